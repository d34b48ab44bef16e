"""The folder of labels as CVAT's and Label Studio's own packages read it, and corrected labels back again.

datumaro reads COCO for CVAT, cvat_sdk has the labels of its interface, label_studio_sdk has Label Studio's checks. They
are big, and no part of the extras: where one is not installed, the test that needs it is skipped.
"""

from __future__ import annotations

import json
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest

from dcpose_cli import InputError
from dcpose_cli.datasets.coco import read_coco
from dcpose_cli.datasets.label_studio import read_label_studio
from dcpose_cli.evaluation.evaluate import as_json, evaluate
from dcpose_cli.preannotation import write_labels
from dcpose_cli.preannotation.folder import LABELS
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


@pytest.fixture
def labels(clip, tmp_path):
    """Four pictures of two people in 96x64, without ears."""
    with PoseTrackWriter(tmp_path / "r.json", {"time_base": "1/25", "fps": "25/1", "width": 96, "height": 64}) as out:
        for index in range(12):
            people = []
            for track in (0, 1):
                points = np.full((17, 3), 0.8, np.float32)
                points[:, 0] = 10 + 40 * track + 2 * np.arange(17) + index
                points[:, 1] = 5 + 3 * np.arange(17)
                points[3:5] = 0
                box = np.array([8 + 40 * track + index, 4, 35, 58], np.float32)
                people.append(Person(track, box, 0.9, points))
            out.write(FrameResult(index, index, index / 25, tuple(people)))
    write_labels(tmp_path / "r.json", clip, tmp_path / "labels", frames=4)
    return tmp_path / "labels"


def exported(folder):
    """The tasks as Label Studio exports them once the predictions were accepted."""
    tasks = json.loads((folder / "label_studio_tasks.json").read_text())
    return [
        {"id": n, "data": task["data"], "annotations": [{"id": n, "result": task["predictions"][0]["result"]}]}
        for n, task in enumerate(tasks, start=1)
    ]


def read(tasks, folder):
    (folder / "export.json").write_text(json.dumps(tasks))
    return read_label_studio(folder / "export.json", folder / "images")


def skeletons_of(item):
    """(id, joints (K, 3), score) of everybody in an item of datumaro, or of the version of it that CVAT uses."""
    for one in item.annotations:
        if type(one).__name__ == "Skeleton":
            joints = [[*joint.points, joint.visibility[0].value] for joint in one.elements]
        elif type(one).__name__ == "Points":
            joints = np.column_stack([np.reshape(one.points, (-1, 2)), [value.value for value in one.visibility]])
        else:
            continue
        yield one.id, np.array(joints, float), one.attributes["score"]


def test_datumaro_reads_everything(labels, caplog):
    dataset = pytest.importorskip("datumaro.components.dataset")
    data = dataset.Dataset.import_from(str(labels / LABELS), "coco_person_keypoints")
    truth = json.loads((labels / LABELS).read_text())
    entries = {entry["id"]: entry for entry in truth["annotations"]}
    found = {item.id: item for item in data}
    assert set(found) == {image["file_name"].removesuffix(".jpg") for image in truth["images"]}
    for image in truth["images"]:
        item = found[image["file_name"].removesuffix(".jpg")]
        assert (item.subset, item.attributes["id"]) == ("default", image["id"])
        assert tuple(item.media.size) == (image["height"], image["width"]) == (64, 96)
        for number, joints, score in skeletons_of(item):
            entry = entries.pop(number)
            assert (entry["image_id"], entry["score"]) == (image["id"], score)
            np.testing.assert_allclose(joints.ravel(), entry["keypoints"], atol=1e-4)  # datumaro keeps float32
    assert entries == {}
    assert "Missing annotation field" not in caplog.text
    (category,) = truth["categories"]
    kinds = {kind.name: value.items for kind, value in data.categories().items()}
    assert (kinds["label"][0].name, kinds["label"][0].parent) == ("person", "")
    assert list(kinds["points"][0].labels) == category["keypoints"]
    assert {tuple(bone) for bone in kinds["points"][0].joints} == {tuple(bone) for bone in category["skeleton"]}


def test_labels_come_back_from_cvat(labels, tmp_path):
    """datumaro writes what CVAT exports, in an order of its own. CVAT drops the boxes; its version of datumaro, which
    has skeletons, writes the extent of the joints instead.
    """
    dataset = pytest.importorskip("datumaro.components.dataset")
    data = dataset.Dataset.import_from(str(labels / LABELS), "coco_person_keypoints")
    for item in data:
        if any(type(one).__name__ == "Skeleton" for one in item.annotations):
            item.annotations = [one for one in item.annotations if type(one).__name__ != "Bbox"]
    data.export(str(tmp_path / "cvat"), "coco_person_keypoints")
    ours = {video.name: video.frames[0].people for video in read_coco(labels / LABELS, labels / "images")}
    shutil.copy(tmp_path / "cvat" / LABELS, labels / LABELS)  # the archive is unpacked over the folder
    theirs = {video.name: video.frames[0].people for video in read_coco(labels / LABELS, labels / "images")}
    assert theirs.keys() == ours.keys()
    for name, people in theirs.items():
        for mine, yours in zip(ours[name], people, strict=True):
            np.testing.assert_allclose(yours.joints, mine.joints, atol=1e-3)
            seen = yours.joints[yours.joints[:, 2] > 0, :2]
            assert (yours.box[:2] < seen.min(axis=0)).all()
            np.testing.assert_allclose(yours.box, mine.box, atol=8)
    found = evaluate(labels / LABELS, labels.parent / "r.json", metrics=["pckh"])
    assert as_json(found)["pck"]["total"] == pytest.approx(100)


def test_cvat_takes_the_label(labels):
    models = pytest.importorskip("cvat_sdk.models")
    (label,) = json.loads((labels / "cvat_labels.json").read_text())
    sublabels = [models.SublabelRequest(**one) for one in label["sublabels"]]
    taken = models.PatchedLabelRequest(**{**label, "sublabels": sublabels})
    assert (taken.name, taken.type, len(taken.sublabels)) == ("person", "skeleton", 15)
    assert taken.svg == label["svg"]


def test_label_studio_takes_the_interface_and_the_predictions(labels):
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    rules = interface.LabelInterface((labels / "label_studio_interface.xml").read_text())
    rules.validate()
    tasks = json.loads((labels / "label_studio_tasks.json").read_text())
    assert len(tasks) == 4
    for task in tasks:
        assert rules.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert rules.validate_prediction(prediction, return_errors=True) == []


def test_points_lie_above_the_rectangles_and_have_the_colour_of_their_side(labels):
    """In Label Studio 1.23.2 the first region is on top; a rectangle above a point moves in its stead."""
    for task in json.loads((labels / "label_studio_tasks.json").read_text()):
        kinds = [region["type"] for region in task["predictions"][0]["result"]]
        assert kinds == ["keypointlabels"] * 30 + ["rectanglelabels"] * 2
    root = ElementTree.parse(labels / "label_studio_interface.xml").getroot()
    colors = {label.get("value"): label.get("background") for label in root.iter("Label")}
    sides = {side: {color for name, color in colors.items() if name.startswith(side)} for side in ("left_", "right_")}
    assert [len(found) for found in sides.values()] == [1, 1]
    assert len({colors["nose"], colors["person"], *sides["left_"], *sides["right_"]}) == 4


def test_labels_come_back_from_label_studio(labels):
    ours, theirs = read_coco(labels / LABELS, labels / "images"), read(exported(labels), labels)
    assert [video.name for video in theirs] == [video.name for video in ours]
    for one, other in zip(ours, theirs, strict=True):
        assert len(other.frames[0].people) == 2
        for mine, yours in zip(one.frames[0].people, other.frames[0].people, strict=True):
            np.testing.assert_allclose(yours.joints, mine.joints, atol=1e-3)
            np.testing.assert_allclose(yours.box, mine.box, atol=1e-3)


def test_what_people_do_in_label_studio(labels):
    """A point moved, one deleted, one drawn without a parent; a task skipped; a picture that was uploaded."""
    tasks = exported(labels)
    result = tasks[0]["annotations"][0]["result"]
    moved = next(region for region in result if region["value"].get("keypointlabels") == ["nose"])
    moved["value"] |= {"x": 25.0, "y": 50.0}
    drawn = next(region for region in result if region["value"].get("keypointlabels") == ["left_knee"])
    del drawn["parentID"]
    result.remove(next(region for region in result if region["value"].get("keypointlabels") == ["left_hip"]))
    tasks[1]["annotations"][0]["was_cancelled"] = True
    tasks[2]["data"]["image"] = f"/data/upload/3/0a1b2c3d-{tasks[2]['data']['image'].rpartition('/')[2]}"
    videos = read(tasks, labels)
    assert [video.name for video in videos] == [
        video.name for n, video in enumerate(read(exported(labels), labels)) if n != 1
    ]
    joints = videos[0].frames[0].people[0].joints
    assert joints[0].tolist() == [24, 32, 1]
    assert joints[11].tolist() == [0, 0, 0]
    assert joints[13, 2] == 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda tasks: {"tasks": tasks}, "no list of tasks"),
        (lambda tasks: [{"data": {}, **{k: v for k, v in t.items() if k != "data"}} for t in tasks], "image"),
        (lambda tasks: tasks[0]["annotations"][0]["result"].pop() and tasks, "lies in no rectangle"),
        (lambda tasks: tasks[0]["annotations"][0]["result"].append(tasks[0]["annotations"][0]["result"][1]) or tasks,
         "has two points"),
    ],
)  # fmt: skip
def test_other_exports_are_refused(labels, spoil, says):
    tasks = exported(labels)
    for task in tasks:  # one person, so that a point without a rectangle has no other one
        task["annotations"][0]["result"] = [
            region for region in task["annotations"][0]["result"]
            if region.get("parentID", region["id"]) == task["annotations"][0]["result"][0]["parentID"]
        ]  # fmt: skip
    with pytest.raises(InputError, match=says):
        read(spoil(tasks), labels)


def test_a_recipe_trains_on_an_export(labels):
    from dcpose_cli.training.data.config import DataConfig
    from dcpose_cli.training.data.readers import read_samples

    (labels / "export.json").write_text(json.dumps(exported(labels)))
    data = DataConfig(format="label-studio", train="export.json", images="images")
    assert len(read_samples(labels, data, split="train")) == 8
    shutil.rmtree(labels / "images")
    with pytest.raises(InputError, match="jpg"):
        read_samples(labels, data, split="train")
