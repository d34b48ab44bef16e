"""Cards come out of results, weights, recipes and logs; nothing of them is typed."""

from __future__ import annotations

import importlib
import json
import re
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.files import save_model
from dcpose_cli.evaluation.sample_truth import read_truth
from dcpose_cli.files import sha256_of
from dcpose_cli.nets import DCPose
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.training.recipes import load_recipe
from dcpose_cli.types import Detections, FrameResult, Person

RECIPE = """
name = "tiny"
[data]
stills = ["stills"]
triplets = ["triplets"]
exclude = ["forbidden"]
hold_out_clips = 0.5
[stage1]
steps = 6
batch = 2
[stage2]
epochs = 4
batch = 2
"""


@pytest.fixture
def load(root, monkeypatch):
    """Imports benchmarks/NAME.py as the command does."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name in ("accuracy", "card", "detector", "detector_card"):
            del sys.modules[name]


@pytest.fixture
def model(tiny_model, tmp_path):
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE + tiny_model)
    (folder / "notes.md").write_text("Good for nothing.\n")
    torch.manual_seed(0)
    save_model(DCPose(load_recipe(folder / "recipe.toml").model), folder, name="tiny")
    return folder


def pack(root):
    """Labels of a pack, without pictures: a card only counts them."""

    def image(number, **more):
        return {"id": number, "source": "web", "split": "train", "file_name": "x", **more}

    stills = [image(1), image(2, source="forbidden"), image(3, split="val")]
    windows = [image(10 + k, role="c", clip=f"clip{k}", source="film") for k in range(20)]
    for part, images in (("stills", stills), ("triplets", windows)):
        people = [{"image_id": i["id"], "label_kind": "human" if part == "stills" else "teacher"} for i in images]
        (root / f"{part}.json").write_text(json.dumps({"images": images, "annotations": people}))
    table = "| source | train | licence |\n|---|---|---|\n| web | 1 | none stated |\n| film | 2 | CC BY 4.0 |\n"
    (root / "DATA.md").write_text(f"# data\n\n{table}\n")


def truth_with(header):
    def run(clip, folder):
        result = folder / f"{clip.stem}.json"
        with PoseTrackWriter(result, {"time_base": "1/25", **header}) as writer:
            for index, frame in enumerate(read_truth(clip.with_suffix(".json"))):
                people = []
                for true in frame:
                    keypoints = true.keypoints.astype(np.float32)
                    keypoints[:, 2] = 0.8 * (keypoints[:, 2] > 0)
                    people.append(Person(true.track_id, true.bbox.astype(np.float32), 0.9, keypoints))
                writer.write(FrameResult(index, index, index / 25, tuple(people)))
        return result

    return run


@pytest.fixture
def heldout(tmp_path):
    """DATA with heldout-dev of two pictures, and an estimator that knows their joints."""
    import io
    import tarfile

    data = tmp_path / "data"
    (data / "heldout-dev").mkdir(parents=True)
    pack(data)
    joints = np.random.default_rng(0).uniform(20, 100, (15, 3))
    joints[:, 2] = 2
    raw = cv2.imencode(".png", np.full((160, 120, 3), 128, np.uint8))[1].tobytes()
    images, people = [], []
    with tarfile.open(data / "heldout-dev" / "heldout-dev.tar", "w") as tar:
        for number, source in enumerate(("web", "lspet")):
            entry = tarfile.TarInfo(f"{number}.png")
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
            images.append(
                {"id": number, "file_name": entry.name, "shard": "heldout-dev.tar", "source": source,
                 "complete_boxes": source == "web"}
            )  # fmt: skip
            people.append({"image_id": number, "bbox": [10, 10, 95, 95], "area": 9025.0,
                           "keypoints": joints.ravel().tolist()})  # fmt: skip
    names = ["nose", "head_bottom", "head_top"] + [
        f"{side}_{joint}"
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ]
    category = {"keypoints": names}
    text = json.dumps({"images": images, "annotations": people, "categories": [category]})
    (data / "heldout-dev" / "heldout-dev.json").write_text(text)

    class Knowing:
        def poses(self, previous, current, next, boxes, margin=(1, 1)):  # noqa: A002
            out = np.zeros((len(boxes), 17, 3), np.float32)
            out[:, [0, 1, 2, *range(5, 17)]] = joints
            out[..., 2] = 0.8
            return out

    return data, Knowing()


@pytest.mark.slow
def test_the_card_of_a_pose_model(load, model, heldout, root, tmp_path):
    data, knowing = heldout
    accuracy, card = load("accuracy"), load("card")
    sha = sha256_of(model / "model.safetensors")
    run = truth_with({"model": {"name": "tiny", "sha256": sha}, "detector": {"name": "none", "sha256": "0"}})
    figures = tmp_path / "tiny.json"
    arguments = ["--model", str(model), "--data", str(data), "--samples", str(root / "sample_videos")]
    accuracy.main([*arguments, "--json", str(figures), "--pictures", str(model)], estimator=knowing, run=run)
    work, results = tmp_path / "work", tmp_path / "results"
    work.mkdir()
    results.mkdir()
    log = "stage,step,loss,lr,samples_per_s\nstage1,3600,1.0,1e-3,1.0\nstage1,7200,0.5,1e-4,2.0\n"
    (work / "log.csv").write_text(log)
    (work / "validation.csv").write_text("stage,step,all,stills,windows,single\nstage1,7200,0.5,0.5,,\n")
    gain = tmp_path / "gain.json"
    gain.write_text(json.dumps(GAIN))
    card.main(
        ["--model", str(model), "--accuracy", str(figures), "--data", str(data), "--logs", str(work),
         "--results", str(results), "--gain", str(gain)]
    )  # fmt: skip
    text = (model / "card.md").read_text()
    assert text.startswith("# tiny\n\nDCPose with")
    assert sha in text
    assert "Good for nothing." in text
    assert "| stills (1) | pck@0.2 torso (15 joints) | **1.000** | 1.000-1.000 |" in text
    assert "| lspet (1) | **1.000** | 1.000-1.000 |" in text  # OKS-AP
    assert "| sample clips: within half a head | - | - | 1.00 (1.00-1.00, 4783 joints) |" in text
    assert "logged: 7,200 steps in 3.0 h" in text  # 3600 x 2 at 1 a second, then at 2 a second
    assert "* Stage 2, the head on windows of three frames, the backbone frozen: 4 epochs of 2." in text
    kept = sum(not card.is_held_out(f"clip{k}", 0.5) for k in range(20))
    assert f"| triplets | {kept} | 0 | `" in text
    assert f"| film | {kept} | CC BY 4.0 |" in text
    assert "| web | 1 | none stated |" in text
    assert "| blur | 50.0 | 70.0 | +20.0 (+10.0 to +30.0) |" in text
    for name in ("curves.png", "good.jpg", "bad.jpg"):
        assert f"]({name})" in text
        assert (model / name).stat().st_size > 1000
    assert (results / "tiny-log.csv").read_text() == log
    assert (results / "tiny-validation.csv").is_file()

    save_model(DCPose(load_recipe(model / "recipe.toml").model), model, name="tiny", overwrite=True)
    with pytest.raises(SystemExit, match="measured another file"):
        card.main(["--model", str(model), "--accuracy", str(figures), "--data", str(data)])


GAIN = {
    "date": "2026-11-25",
    "windows": 3,
    "clips": 2,
    "joints": 45,
    "backbone": {"name": "tiny", "sha256": "abc"},
    "conditions": {
        "clean": {"single frame": 80.0, "DCPose, seed 1": 81.0, "gain": [1.0, -0.5, 2.5]},
        "blur": {"single frame": 50.0, "DCPose, seed 1": 70.0, "gain": [20.0, 10.0, 30.0]},
    },
    "damaged": {"gain": [20.0, 10.0, 30.0], "gain by head": {"seed 1": [20.0, 10.0, 30.0]}},
}


# --- detectors


def test_ablations_are_a_table_with_what_it_rests_on(load):
    row = {
        column: {"mean": 0.5, "sd": 0.01, "minus_complete": {"mean": -0.1, "low": -0.2, "high": -0.05}}
        for column in ("plain", "blurred", "covered", "hidden")
    }
    settings = {"steps": 300, "batch": 16, "seeds": 3}
    report = {"model": "tiny", "date": "2026-01-02", "machine": "m", "windows": 9, "clips": 4, "within": 0.05}
    report |= {"sha256": "abc", "settings": settings, "variants": {"one": row | {"parameters": 1234}}}
    text = load("card").ablation_section(report, "abc")
    assert "heatmaps of this model's backbone" in text
    assert "an earlier version's backbone (sha256 `abc`)" in load("card").ablation_section(report, "def")
    assert "9 held-out windows of 4 clips" in text
    assert "| one | 1,234 | 50.0 ± 1.0 (-20.0 to -5.0) |" in text


def test_detectors_are_measured_against_human_boxes(load, heldout):
    detector = load("detector")
    pictures = detector.read_labelled(heldout[0] / "heldout-dev")
    assert [(p.source, p.complete, p.boxes.tolist()) for p in pictures] == [
        ("web", True, [[10, 10, 95, 95]]),
        ("lspet", False, [[10, 10, 95, 95]]),
    ]

    def found(boxes, scores):
        return lambda images: [Detections(np.array(boxes, np.float32), np.array(scores, np.float32))]

    good = detector.measure(found([[10, 10, 95, 95]], [0.9]), pictures, 0.3)
    assert [good["recall"][k]["value"] for k in ("all", "stills", "lspet")] == [1, 1, 1]
    assert good["false boxes per picture"]["value"] == 0
    assert good["ap50"]["value"] == pytest.approx(1)
    noisy = detector.measure(
        found([[10, 10, 95, 95], [11, 10, 95, 95], [100, 140, 9, 9]], [0.8, 0.5, 0.2]), pictures, 0.3
    )
    # The second box of the same person is false; the third is too unsure to count, but not for AP.
    assert noisy["false boxes per picture"] == {"value": 1.0, "hits": 1, "of": 1, "interval": [1.0, 1.0]}
    assert noisy["ap50"]["value"] == pytest.approx(1)
    shy = detector.measure(found([[10, 10, 95, 95]], [0.2]), pictures, 0.3)
    assert shy["recall"]["all"]["value"] == 0
    assert shy["ap50"]["value"] == pytest.approx(1)
    small = [replace(p, image=np.zeros((400, 400, 3), np.uint8)) for p in pictures]
    assert detector.measure(found([[10, 10, 95, 95]], [0.9]), small, 0.3)["recall"]["all"] == {"value": None}
    none = detector.measure(lambda images: [Detections.empty()], pictures, 0.3)
    assert (none["recall"]["all"]["value"], none["ap50"]["value"]) == (0, 0)


def test_the_card_of_a_detector(load, root, heldout, tmp_path):
    detector_card, detector = load("detector_card"), load("detector")
    model = tmp_path / "person-n"
    model.mkdir()
    for name in ("model.safetensors", "recipe.toml", "notes.md"):
        (model / name).write_bytes((root / "models" / "person-n" / name).read_bytes())
    recipe = (model / "recipe.toml").read_text()
    for key in ("whole", "validation"):
        recipe = re.sub(rf"^{key} = .*$", f'{key} = ["det"]', recipe, flags=re.MULTILINE)
    (model / "recipe.toml").write_text(re.sub(r"^crops = .*$", "crops = []", recipe, flags=re.MULTILINE))
    sha = sha256_of(model / "model.safetensors")
    pictures = detector.read_labelled(heldout[0] / "heldout-dev")
    nothing = detector.measure(lambda images: [Detections.empty()], pictures, 0.3)
    rows = [{"name": n, "sha256": s, "imgsz": 384, **nothing} for n, s in (("person-n", sha), ("yolov8n", "1"))]
    figures = tmp_path / "figures.json"
    report = {
        "date": "2026-11-25",
        "machine": "here",
        "conf": 0.3,
        "detectors": rows,
        "sha256": {"heldout-dev.json": "2"},
    }
    figures.write_text(json.dumps(report))
    images = [("web", "train", "a"), ("web", "val", "b"), ("peers", "train", "c"), ("web", "train", "b")]
    boxes = {
        "images": [
            {"id": k, "source": source, "split": split, "origin": origin}
            for k, (source, split, origin) in enumerate(images)
        ],
        "annotations": [{"image_id": 0, "ignore": 0, "label_kind": "human"}, {"image_id": 0, "ignore": 1}],
    }
    (heldout[0] / "det.json").write_text(json.dumps(boxes))
    logs = tmp_path / "run"
    logs.mkdir()
    (logs / "log.csv").write_text("step,elapsed,samples\n50,3600,1600\n100,7200,3200\n")
    arguments = ["--model", str(model), "--figures", str(figures), "--data", str(heldout[0])]
    arguments += ["--logs", str(logs), "--results", str(tmp_path)]
    detector_card.main(arguments)
    text = (model / "card.md").read_text()
    assert "| measure | person-n at 384 px | yolov8n at 384 px |" in text
    assert "| recall of people taller than a third of the picture, all | 0.000 (0.000-0.000) of 2 |" in text
    assert "Logged: 100 steps, 3,200 canvases, 2.0 h." in text
    assert "and gives targets at every place of a canvas" in text
    (logs / "log.csv").write_text("stage,step,loss,lr,samples_per_s\nstage1,50,1,1,3.2\nstage1,100,1,1,0.8888889\n")
    detector_card.main(arguments)
    assert "Logged: 100 steps, 3,200 canvases, 0.6 h." in (model / "card.md").read_text()
    assert "| det | 1 | 1 | 1 | `" in text
    assert sha in text
