"""Headers and data sets that ask for what no file has: refused before anything is built, with the right code."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest
import torch

from dcpose_cli._pickles import require_honest, require_unpacked
from dcpose_cli._schema import build
from dcpose_cli._ultralytics import _plain, check_architecture, detection_model, shapes_of
from dcpose_cli.datasets import read_coco, read_lists
from dcpose_cli.errors import InputError, UsageError, WeightsError
from dcpose_cli.nets import DCPoseConfig, HRNetConfig
from dcpose_cli.nets.limits import require_buildable
from dcpose_cli.people.detector_files import load_detector
from dcpose_cli.pictures import PictureFile, picture_size
from dcpose_cli.training.recipes import load_recipe


@pytest.mark.parametrize(
    "config",
    [
        HRNetConfig(modules=(10**6, 1, 1)),
        HRNetConfig(modules=(64, 64, 64), blocks=(64, 64, 64)),
        HRNetConfig(width=0),
        HRNetConfig(stem=10**30),
        DCPoseConfig(dilations=(0,)),
        DCPoseConfig(dilations=tuple(range(1, 100))),
        DCPoseConfig(input_size=(480_000, 640_000)),
        DCPoseConfig(combine_blocks=65),
    ],
)
def test_networks_nobody_can_build(config):
    with pytest.raises(ValueError, match=r"modules|width|stem|dilations|input_size|combine_blocks"):
        require_buildable(config)
    require_buildable(DCPoseConfig())


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**30, "x" * 20_000])
def test_values_out_of_any_range_name_their_key(value):
    from dcpose_cli.training.data.config import DataConfig

    key = "train" if isinstance(value, str) else "memory_gib"
    with pytest.raises(TypeError, match=key):
        build(DataConfig, {key: value})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"imgsz": 10**9}, "imgsz"),
        ({"imgsz": 1e999}, "imgsz"),
        ({"name": "\x1b[2J"}, "control"),
        ({"names": 3}, "names"),
        ({"architecture": [1]}, "architecture"),
        ("[" * 100_000 + "]" * 100_000, "nested"),
    ],
)
def test_detector_headers(dcpose, clip, product, tmp_path, change, says):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    source = f"{dcpose.models[3]}/model.safetensors"
    with safe_open(source, "pt") as file:
        header = json.loads(file.metadata()["dcpose"])
    text = change if isinstance(change, str) else json.dumps(header | change)
    save_file(load_file(source), tmp_path / "x.safetensors", {"dcpose": text})
    result = dcpose.estimate_with("--detector", tmp_path / "x.safetensors", clip, tmp_path / "o.mp4")
    assert result.returncode == 5, result.stderr
    assert says in product.one_line(result)


def test_kind_of_a_model_that_is_no_text(dcpose, product, tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors", {"dcpose": '{"format": 1, "kind": ["x"]}'})
    assert dcpose("models", "info", tmp_path / "x.safetensors").returncode == 5


def test_tensors_that_are_larger_than_their_file(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(bytes(1000))
    shared = torch.zeros(1000, 1000)
    for tensor in (
        torch.zeros(1).expand(10**9),
        torch.zeros(4).to_sparse(),
        torch.zeros(4, device="meta"),
    ):
        with pytest.raises(WeightsError, match="'evil'"):
            require_honest({"evil": tensor}, path)
    with pytest.raises(WeightsError, match="more than the file has"):
        require_honest({f"t{n}": shared for n in range(3)}, path)
    require_honest({"fine": torch.zeros(250)}, path)


def test_archive_that_unpacks_to_much_more(tmp_path):
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 << 20))
    with pytest.raises(WeightsError, match="unpacks to"):
        require_unpacked(path)


def test_dictionaries_of_detectors_that_never_end():
    laughs: list[object] = [1]
    for _ in range(40):
        laughs = [laughs, laughs]
    cyclic: list[object] = []
    cyclic.append(cyclic)
    for value in (laughs, cyclic, [float("nan")], [10**9]):
        assert not _plain(value)
    layer = [-1, 1, "Conv", [64, 3, 2]]
    check_architecture({"nc": 1, "backbone": [layer], "head": [], "scales": {"n": [0.33, 0.25, 1024]}})
    for bad in (
        {"backbone": [[-1, 8000, "Conv", [64, 3, 2]]], "head": []},
        {"backbone": [layer], "head": [], "scales": {"n": [1000, 1, 1]}},
        {"backbone": [layer], "head": [], "depth_multiple": 1000},
        {"backbone": 3, "head": 4},
    ):
        with pytest.raises(WeightsError):
            check_architecture(bad)


CONV = [-1, 1, "Conv", [8, 3, 2]]
DETECT = [[0], 1, "Detect", ["nc"]]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([[-1, 1, "Conv", [8192, 3, 2]]] * 3, "parameters than its file holds"),
        ([[-1, 1, "Conv", [8192, 8192, 2]]], "parameters than its file holds"),
        ([CONV, *([[-1, 64, "nn.Identity", []]] * 190)], None),
        ([CONV, *([[-1, 64, "C2f", [8, False]]] * 190)], "modules than a detector has"),
    ],
)
def test_detectors_that_ask_for_more_than_their_file_holds(layers, says):
    """Found out without memory for the network; each of these but the last but one would take many gigabytes."""
    architecture = {"nc": 1, "backbone": layers, "head": [DETECT]}
    if says is None:
        assert shapes_of(architecture, 1, 10**6)
        return
    with pytest.raises(WeightsError, match=says):
        shapes_of(architecture, 1, 10**6)


def test_a_detector_is_compared_with_its_file_before_it_is_built(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    architecture = {"nc": 1, "backbone": [CONV], "head": [DETECT]}
    shapes = shapes_of(architecture, 1, 10**6)
    header = {"format": 1, "kind": "detector", "name": "x", "names": ["person"], "imgsz": 64}
    text = json.dumps(header | {"architecture": architecture})
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "x.safetensors", {"dcpose": text})
    assert load_detector(tmp_path / "x.safetensors").name == "x"
    first = next(iter(tensors))
    save_file({**tensors, first: tensors[first][:1]}, tmp_path / "y.safetensors", {"dcpose": text})
    monkeypatch.setattr("dcpose_cli._ultralytics.detection_model", lambda *_: pytest.fail("it was built"))
    with pytest.raises(WeightsError, match=f"{first} is"):
        load_detector(tmp_path / "y.safetensors")


@pytest.mark.parametrize("name", ["../yolov8n.yaml", "/tmp/x.yaml", "https://example.org/x.yaml", "yolov8n", "x.yaml"])
def test_architectures_by_name_are_those_of_ultralytics_alone(name, tmp_path, monkeypatch):
    """Ultralytics prefers a file of the working folder, and evaluates some of what it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yolov8.yaml").write_text("activation: __import__('pathlib').Path('ran').touch()\nnc: 3\n")
    (tmp_path / "x.yaml").write_text((tmp_path / "yolov8.yaml").read_text())
    with pytest.raises(WeightsError, match="no architecture"):
        detection_model(name)
    assert detection_model("yolov8n.yaml").yaml["nc"] == 1
    assert not (tmp_path / "ran").exists()


def test_contents_of_a_checkpoint_that_never_end(tmp_path):
    from dcpose_cli.training.engine.checkpoint import read_checkpoint

    nested: list[object] = [1]
    for _ in range(40):
        nested = [nested, nested]
    torch.save({"recipe": {"seed": nested}}, tmp_path / "stage1.ckpt")
    with pytest.raises(WeightsError, match="more than 1,000,000 values"):
        read_checkpoint(tmp_path / "stage1.ckpt", torch.device("cpu"))


@pytest.mark.parametrize("kind", ["x" * 10_000_000, "\x1b[2J", "robot"])
def test_kinds_of_models_nobody_knows(dcpose, product, tmp_path, kind):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors", {"dcpose": json.dumps({"format": 1, "kind": kind})})
    result = dcpose("models", "info", tmp_path / "x.safetensors")
    assert result.returncode == 5
    assert len(product.one_line(result)) < 200 + len(str(tmp_path))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(side=40_000):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_size_of_a_picture_before_it_is_decoded(ending):
    data = cv2.imencode(ending, np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    assert picture_size(data) == (64, 48)
    assert picture_size(data[:10]) == (0, 0)
    assert picture_size(b"") == (0, 0)


@pytest.mark.parametrize("kind", ["bomb", "pipe", "folder", "NUL", "surrogate", "empty", "missing"])
def test_pictures_of_a_training_set_are_looked_at_before_the_first_step(tmp_path, kind):
    path = tmp_path / {"NUL": "a\0b", "surrogate": "\ud800"}.get(kind, "p.png")
    if kind == "bomb":
        path.write_bytes(png_bomb())
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    with pytest.raises(InputError):
        PictureFile(path).check()
    with pytest.raises(InputError):
        PictureFile(path).decode()


RECIPE = """
name = "t"
[model]
[data]
format = "coco"
train = "t.json"
[stage1]
steps = 2
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("name = ", 'kind = "' + "x" * 10_000 + '"\nname = '), "has the kind"),
        (("name = ", "kind = 0x" + "f" * 5_000 + "\nname = "), "has the kind no text"),
        (("name = ", "kind" + ".a" * 50_000 + " = 1\nname = "), "too many parts"),
        (("name = ", "x = " + "[" * 50_000 + "]" * 50_000 + "\nname = "), "not valid TOML"),
        (("name = ", '"' + "x" * 100_000 + '" = 1\nname = '), "unknown key"),
        (('"t"', '"\\u001b[2J"'), "name holds control characters"),
        (('"t"', '"' + "x" * 1_000 + '"'), "name is a text of 1000"),
        (('"t"', '"../../evil"'), "cannot be the name of a folder"),
        (('"t"', '".."'), "cannot be the name of a folder"),
        (('"t"', "'C:\\evil'"), "cannot be the name of a folder"),
        (("steps = 2", f"steps = {2**62}"), "stage1.steps"),
        (("steps = 2", "epochs = 1e300"), "stage1.epochs"),
        (("steps = 2", f"steps = 2\nbatch = {2**40}"), "stage1.batch"),
        (("steps = 2", "steps = 2\nsigma = 1e300"), "stage1.sigma"),
        (('"coco"', f'"coco"\ndistance = {2**62}'), "data.distance"),
        (('"coco"', f'"coco"\nhuman_repeat = {2**62}'), "data.human_repeat"),
        (("[stage1]", "[augment]\nenlarge = -5\n[stage1]"), "augment.enlarge"),
        (("[stage1]", "[augment]\nrotation = 1e300\n[stage1]"), "augment.rotation"),
        (("steps = 2", "steps = 2\n# " + "x" * (1 << 20)), "the most"),
    ],
)
def test_recipes_that_cannot_be_meant_are_named_at_once(tmp_path, change, says):
    (tmp_path / "r.toml").write_text(RECIPE)
    load_recipe(tmp_path / "r.toml")
    assert change[0] in RECIPE
    (tmp_path / "r.toml").write_text(RECIPE.replace(*change))
    with pytest.raises(UsageError, match=says) as caught:
        load_recipe(tmp_path / "r.toml")
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_recipes_that_are_no_files(tmp_path, kind):
    path = tmp_path / "r.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(UsageError, match="cannot read the recipe: it is"):
        load_recipe(path)


@pytest.mark.parametrize(
    "change",
    [
        {"keypoints": [float("inf"), 5, 2] * 17},
        {"keypoints": [1e300, 5, 2] * 17},
        {"keypoints": [3e9, -3e9, 2] * 17},
        {"bbox": [float("nan"), 5, 40, 60]},
        {"bbox": [5, 5, 1e30, 1e30]},
        {"image_id": [0]},
        {"bbox": 5},
    ],
)
def test_labels_that_are_no_places_in_a_picture(tmp_path, change):
    person = {"id": 0, "image_id": 0, "category_id": 1, "keypoints": [9, 9, 2] * 17, "bbox": [5, 5, 40, 60]}
    data = {"images": [{"id": 0, "file_name": "0.jpg"}], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "t.json").write_text(json.dumps(data | {"annotations": [person | change]}))
    with pytest.raises(InputError, match=r"t\.json: not a COCO keypoints file"):
        read_coco(tmp_path / "t.json", tmp_path)


@pytest.mark.parametrize("frames", [10**12, -1, 0])
def test_videos_of_more_frames_than_any(tmp_path, frames):
    person = {"id": 0, "image_id": 0, "category_id": 1, "keypoints": [9, 9, 2] * 17, "bbox": [5, 5, 40, 60]}
    image = {"id": 0, "file_name": "a/000000.jpg", "nframes": frames}
    (tmp_path / "t.json").write_text(json.dumps({"images": [image], "annotations": [person]}))
    with pytest.raises(InputError, match="nframes"):
        read_lists(tmp_path / "t.json", tmp_path)
