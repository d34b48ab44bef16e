"""COCO labels as ground truth, COCO results as predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.evaluation.coco_files import PCK_SHARE, is_coco_truth
from dcpose_cli.evaluation.evaluate import as_json, evaluate
from dcpose_cli.export.formats import convert
from dcpose_cli.results import read_posetrack
from dcpose_cli.skeleton import JOINT_NAMES

NAMES = ["nose", "left_eye", "right_eye", *JOINT_NAMES[3:]]


def labels_of(result, *, every=1, first=0, names="clip/{:06d}.jpg", shift=0.0):
    """COCO labels that say what a result says, moved by `shift` shares of the longer side of every box."""
    images, annotations = [], []
    for number, frame in enumerate(result.frames[::every]):
        images.append({"id": 500 + number, "file_name": names.format(frame.index + first), "width": 1, "height": 1})
        del images[-1]["width"], images[-1]["height"]
        for person in frame.people:
            joints = []
            for name in NAMES:
                known = name in JOINT_NAMES and person.keypoints[JOINT_NAMES.index(name), 2] > 0
                x, y, _ = person.keypoints[JOINT_NAMES.index(name)].tolist() if known else (0, 0, 0)
                joints += [x + shift * max(person.bbox[2:].tolist()), y, 2] if known else [0, 0, 0]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": 500 + number, "category_id": 1, "keypoints": joints,
                 "bbox": person.bbox.tolist()}
            )  # fmt: skip
    categories = [{"id": 1, "name": "person", "keypoints": NAMES}]
    return {"images": images, "annotations": annotations, "categories": categories}


def save(path, data):
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("shift", "least", "most"), [(0.0, 100, 100), (0.9 * PCK_SHARE, 90, 100), (1.1 * PCK_SHARE, 0, 10)]
)
def test_pck_is_a_share_of_the_box(real: Path, tmp_path: Path, shift, least, most):
    """In a crowd a moved joint may lie on the same joint of somebody else."""
    labels = labels_of(read_posetrack(real), shift=shift)
    result = evaluate(save(tmp_path / "truth.json", labels), real, metrics=["pckh"])
    figures = as_json(result)
    assert "pckh" not in figures
    assert "ap" not in figures
    assert least <= figures["pck"]["total"] <= most
    assert figures["frames"] == len(labels["images"])


@pytest.mark.parametrize(("first", "names"), [(0, "clip/{:06d}.jpg"), (0, "img{}.png"), (1, "{:04d}.jpg")])
def test_pictures_are_frames_by_their_numbers(real: Path, tmp_path: Path, first, names):
    result = read_posetrack(real)
    data = json.loads(real.read_text())
    start = result.frames[0].index
    # The same frames, numbered from 0 as those of a whole clip.
    for image in data["images"]:
        image["id"] -= start
        image["frame_id"] = image["id"]
        image["file_name"] = f"images/val/000001_mpii_dcpose/{image['id'] % 10000:06d}.jpg"
    for entry in data["annotations"]:
        entry["image_id"] -= start
    predicted = save(tmp_path / "predicted.json", data)
    labels = labels_of(read_posetrack(predicted), every=1 if first else 2, first=first, names=names)
    for prediction in (predicted, *convert(predicted, tmp_path / "coco.json", "coco")):
        found = evaluate(save(tmp_path / "truth.json", labels), prediction, metrics=["pckh"])
        assert as_json(found)["pck"]["total"] == pytest.approx(100)


@pytest.mark.parametrize("text", [False, True])
def test_coco_results_with_the_ids_of_the_labels(real: Path, tmp_path: Path, text):
    pytest.importorskip("pycocotools")
    labels = labels_of(read_posetrack(real), names="photo{:d}a7.jpg")
    if text:
        for entry, key in [*((e, "id") for e in labels["images"]), *((e, "image_id") for e in labels["annotations"])]:
            entry[key] = f"p{10_000_000_100 - entry[key]}_1"
    results = [
        {"image_id": e["image_id"], "category_id": 1, "keypoints": e["keypoints"], "score": 0.9} for e in
        reversed(labels["annotations"])
    ]  # fmt: skip
    found = evaluate(save(tmp_path / "truth.json", labels), save(tmp_path / "results.json", results))
    assert found.metrics == ("pckh", "oks")
    assert found.total.oks is not None
    assert found.total.oks.ap == pytest.approx(100)


def test_coco_results_against_the_truth_of_a_sample_clip(root: Path, real: Path, tmp_path: Path):
    """Frames that are not in the list have nobody: the figures are those of the list with everybody."""
    [coco] = convert(real, tmp_path / "coco.json", "coco")
    found = evaluate(root / "sample_videos" / "plaza.json", coco, metrics=["ap"])
    assert found.total.ap.frames == 75
    assert np.nansum(found.total.ap.recall) > 0


def test_what_does_not_belong_together_is_named(real: Path, tmp_path: Path):
    labels = labels_of(read_posetrack(real))
    truth = save(tmp_path / "truth.json", labels)
    with pytest.raises(UsageError, match=r"needs head boxes.*oks,pckh"):
        evaluate(truth, real, metrics=["ap"])
    with pytest.raises(InputError, match="is a result of dcpose, not ground truth"):
        evaluate(real, real)
    with pytest.raises(InputError, match="is a list of results, not ground truth"):
        evaluate(save(tmp_path / "results.json", [{"image_id": 1, "keypoints": [0] * 51, "score": 1}]), real)
    labels["images"][0]["file_name"] = "clip/000999.jpg"
    with pytest.raises(InputError, match="a picture of frame 999, the predictions end with frame"):
        evaluate(save(truth, labels), real)
    labels["images"][0]["file_name"] = "cat.jpg"
    with pytest.raises(InputError, match="no frame numbers in their names"):
        evaluate(save(truth, labels), real)
    labels["annotations"][0]["keypoints"] = ["x"]
    with pytest.raises(InputError, match="not COCO labels"):
        evaluate(save(truth, labels), real)


def test_labels_made_from_a_result_are_the_truth_of_it(real: Path, tmp_path: Path):
    """`dataset from-result` writes neck and crown, which COCO lacks; labelling tools drop our other keys."""
    result = read_posetrack(real)
    labels = labels_of(result, every=3)
    labels["categories"][0]["keypoints"] = list(JOINT_NAMES)
    people = [person for frame in result.frames[::3] for person in frame.people]
    for entry, person in zip(labels["annotations"], people, strict=True):
        joints = person.keypoints.copy()
        joints[:, 2] = 2 * (joints[:, 2] > 0)
        entry["keypoints"] = joints.ravel().tolist()
    assert is_coco_truth(labels)
    truth = save(tmp_path / "truth.json", labels)
    found = evaluate(truth, real)
    assert as_json(found)["pck"]["total"] == pytest.approx(100)
    assert (set(found.metrics) - {"oks"}, found.untracked) == ({"pckh"}, "")  # labels lack track ids as a rule
    for key, value in (("frame_id", 1), ("is_labeled", True)):
        images = [image | {key: value} for image in labels["images"]]
        assert not is_coco_truth(labels | {"images": images})
    heads = [entry | {"bbox_head": [0, 0, 9, 9]} for entry in labels["annotations"]]
    assert not is_coco_truth(labels | {"annotations": heads})


def test_posetrack_files_are_none(posetrack_root: Path):
    for name in ("annotations/val/000003_mpii_test.json", "annotations17/val/000003_mpii_test.json"):
        assert not is_coco_truth(json.loads((posetrack_root / name).read_text()))
    assert is_coco_truth(json.loads((posetrack_root / "coco_train.json").read_text()))
