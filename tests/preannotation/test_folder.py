"""The folder of labels: pictures, COCO keypoints, and that they can be trained on."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import av
import cv2
import numpy as np
import pytest

from dcpose_cli import InputError, OutputError, UsageError
from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.config import Selection
from dcpose_cli.datasets.coco import read_coco
from dcpose_cli.preannotation import write_labels
from dcpose_cli.preannotation.folder import LABELS
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.training.recipes import load_recipe
from dcpose_cli.types import FrameResult, Person

FRAMES = 12


def points_of(track, index):
    """17 joints in a clip of 96x64, without ears; the nose is unsure, an ankle of track 1 outside the picture."""
    points = np.zeros((17, 3), np.float32)
    points[:, 0] = 10 + 40 * track + 2 * np.arange(17) + index
    points[:, 1] = 5 + 3 * np.arange(17) + 2 * index * (1 - track)
    points[:, 2] = 0.8
    points[0, 2] = 0.1
    points[3:5] = 0
    if track == 1:
        points[16, 0] = 99
    return points


@pytest.fixture
def result(tmp_path):
    header = {"time_base": "1/25", "fps": "25/1", "width": 96, "height": 64}
    with PoseTrackWriter(tmp_path / "r.json", header) as writer:
        for index in range(FRAMES):
            people = [
                Person(t, np.array([8 + 40 * t + index, 4, 40, 58], np.float32), 0.9, points_of(t, index))
                for t in (0, 1)
            ]
            writer.write(FrameResult(index, index, index / 25, tuple(people)))
    return tmp_path / "r.json"


def labels_of(folder):
    return json.loads((folder / LABELS).read_text())


def test_labels_are_the_joints_of_the_result(result, clip, tmp_path):
    summary = write_labels(result, clip, tmp_path / "out", frames=4)
    data = labels_of(tmp_path / "out")
    assert (summary.frames, summary.people) == (4, 8) == (len(data["images"]), len(data["annotations"]))
    names = [name for name in JOINT_NAMES if not name.endswith("_ear")]
    assert data["categories"][0]["keypoints"] == names
    bones = {tuple(names[place - 1] for place in bone) for bone in data["categories"][0]["skeleton"]}
    assert ("left_knee", "left_ankle") in bones
    assert len(bones) == 13
    frames = {image["id"]: image["frame"] for image in data["images"]}
    for entry in data["annotations"]:
        track, index = entry["track_id"], frames[entry["image_id"]]
        found = np.array(entry["keypoints"]).reshape(15, 3)
        expected = np.delete(points_of(track, index), (3, 4), axis=0)
        inside = (expected[:, 0] < 96) & (expected[:, 1] < 64)
        np.testing.assert_allclose(found[inside, :2], expected[inside, :2], atol=0.01)
        assert not found[~inside].any()
        assert found[0, 2] == 1  # the unsure one
        assert set(found[1:][inside[1:], 2]) == {2}
        assert entry["num_keypoints"] == inside.sum()
        assert entry["bbox"][0] + entry["bbox"][2] <= 96
    assert any(not (points_of(0, index)[:, 1] < 64).all() for index in frames.values())


def test_pictures_are_the_frames_of_the_video(result, clip, tmp_path):
    write_labels(result, clip, tmp_path / "out", frames=3)
    with av.open(str(clip)) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    for image in labels_of(tmp_path / "out")["images"]:
        assert re.fullmatch(r"clip_0000\d\d\.jpg", image["file_name"])
        picture = cv2.imread(str(tmp_path / "out" / "images" / image["file_name"]))[..., ::-1]
        assert picture.shape == (image["height"], image["width"], 3)
        away = [np.abs(picture.astype(int) - frame).mean() for frame in frames]
        assert int(np.argmin(away)) == image["frame"] == int(image["file_name"][5:-4])


def test_pycocotools_loads_the_labels(result, clip, tmp_path, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    write_labels(result, clip, tmp_path / "out", frames=4)
    data = coco.COCO(str(tmp_path / "out" / LABELS))
    assert len(data.getImgIds()) == 4
    people = data.loadAnns(data.getAnnIds(catIds=data.getCatIds(catNms=["person"])))
    assert len(people) == 8
    assert all(person["segmentation"] == [] for person in people)
    assert all(len(person["keypoints"]) == 45 and person["area"] > 0 for person in people)


def test_training_reads_the_folder(result, clip, tiny_model, tmp_path):
    """The recipe of the folder says where the labels are; a network trains on them."""
    from dcpose_cli.cli.train_command import train_model
    from dcpose_cli.nets import HRNet

    write_labels(result, clip, tmp_path / "out", frames=4)
    videos = read_coco(tmp_path / "out" / LABELS, tmp_path / "out" / "images")
    assert [len(video.frames[0].people) for video in videos] == [2] * 4
    recipe = tmp_path / "out" / "recipe.toml"
    made = load_recipe(recipe)
    assert (made.data.format, made.data.train, made.data.val) == ("coco", LABELS, "")
    steps = "steps = 2\nbatch = 2\n"
    data = f'[data]\nformat = "coco"\ntrain = "{LABELS}"\nimages = "images"\n'
    short = f'name = "own"\n{data}[stage1]\n{steps}[stage2]\n{steps}'
    (tmp_path / "short.toml").write_text(short + tiny_model)
    backbone = save_model(HRNet(load_recipe(tmp_path / "short.toml").model.backbone), tmp_path / "b", name="b")
    options = {"init": str(backbone), "device": "cpu", "threads": 1, "overwrite": False, "quiet": True}
    train_model(
        tmp_path / "short.toml", tmp_path / "out", tmp_path / "m", tmp_path / "w", stages=None, workers=1, **options
    )
    assert open_model(tmp_path / "m").header.name == "own"


def test_the_recipe_goes_on_from_the_shipped_model(result, clip, root, tmp_path):
    write_labels(result, clip, tmp_path / "out", frames=1)
    own, shipped = load_recipe(tmp_path / "out/recipe.toml"), load_recipe(root / "models/dcpose-s/recipe.toml")
    assert (own.model, own.crop_margin, own.decoding) == (shipped.model, shipped.crop_margin, shipped.decoding)
    assert own.crop_margin == open_model("dcpose-s").header.crop_margin


def test_the_label_for_cvat_has_the_joints_of_the_category(result, clip, tmp_path):
    write_labels(result, clip, tmp_path / "out", frames=1)
    (label,) = json.loads((tmp_path / "out/cvat_labels.json").read_text())
    category = labels_of(tmp_path / "out")["categories"][0]
    assert (label["name"], label["type"]) == (category["name"], "skeleton")
    assert [one["name"] for one in label["sublabels"]] == category["keypoints"]
    drawing = list(ElementTree.fromstring(f"<svg>{label['svg']}</svg>"))
    nodes = {d.get("data-node-id"): d for d in drawing if d.tag == "circle"}
    assert [nodes[str(n)].get("data-label-name") for n in range(1, 16)] == category["keypoints"]
    edges = [[int(d.get("data-node-from")), int(d.get("data-node-to"))] for d in drawing if d.tag == "line"]
    assert edges == category["skeleton"]
    place = {d.get("data-label-name"): float(d.get("cx")) for d in nodes.values()}
    assert place["left_knee"] > 50 > place["right_knee"]  # somebody who faces the viewer


def test_the_same_input_gives_the_same_bytes(result, clip, product, tmp_path):
    for name in ("a", "b"):
        write_labels(result, clip, tmp_path / name, frames=5)
    names = product.files_in(tmp_path / "a")
    assert names == product.files_in(tmp_path / "b")
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_a_folder_that_is_there_is_replaced_only_when_asked(result, clip, product, tmp_path):
    out = tmp_path / "out"
    write_labels(result, clip, out, frames=5)
    with pytest.raises(OutputError, match="--overwrite"):
        write_labels(result, clip, out, frames=2)
    assert len(labels_of(out)["images"]) == 5
    write_labels(result, clip, out, frames=2, overwrite=True)
    assert len(labels_of(out)["images"]) == 2
    assert len(product.files_in(out / "images")) == 2
    (out / "images" / "mine.txt").write_text("precious")
    with pytest.raises(OutputError, match="other files"):
        write_labels(result, clip, out, frames=2, overwrite=True)
    assert (out / "images" / "mine.txt").read_text() == "precious"


def test_people_are_chosen_as_everywhere(result, clip, tmp_path):
    write_labels(result, clip, tmp_path / "out", frames=3, selection=Selection(tracks=(1,)))
    assert {entry["track_id"] for entry in labels_of(tmp_path / "out")["annotations"]} == {1}


def test_fewer_frames_than_asked_for_are_said(result, clip, tmp_path):
    summary = write_labels(result, clip, tmp_path / "out", frames=100)
    assert summary.frames <= FRAMES
    assert f"only {summary.frames} frames" in " ".join(summary.warnings)


def test_a_video_that_is_too_short_is_refused_and_nothing_is_left(result, product, tmp_path):
    other = product.make_clip(tmp_path / "short.mp4", frames=3)
    before = product.files_in(tmp_path)
    with pytest.raises(InputError, match="it has no frame"):
        write_labels(result, other, tmp_path / "new" / "out", frames=12)
    assert product.files_in(tmp_path) == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("frames", [0, -1, 10**9])
def test_numbers_of_frames_that_cannot_be_meant(result, clip, tmp_path, frames):
    with pytest.raises(UsageError, match="--frames"):
        write_labels(result, clip, tmp_path / "out", frames=frames)


def test_the_command(dcpose, product, result, clip, tmp_path):
    args = ("dataset", "from-result", result, clip, "--out", tmp_path / "out", "--frames", 2)
    done = dcpose(*args, "--other", result)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == f"{tmp_path / 'out'}: 2 frames, 4 people"
    again = dcpose(*args)
    assert again.returncode == 4
    assert "--overwrite" in product.one_line(again)
    assert dcpose(*args, "--overwrite", "--track", 9).returncode == 2
    assert dcpose(*args[:2], tmp_path / "none.json", *args[3:]).returncode == 4  # the folder is looked at first
    assert dcpose(*args[:2], tmp_path / "none.json", *args[3:], "--overwrite").returncode == 3


def test_the_command_counts_the_doubtful_frames(dcpose, result, clip, tmp_path):
    read = json.loads(result.read_text())
    for person in read["annotations"]:
        if person["image_id"] == read["images"][1]["id"]:
            person["scores"] = [0.1] * len(person["scores"])
    result.write_text(json.dumps(read))
    done = dcpose("dataset", "from-result", result, clip, "--out", tmp_path / "out", "--frames", 2)
    said = f"{tmp_path / 'out'}: 2 frames, 4 people; low confidence in 1 of the frames"
    assert done.stderr.splitlines()[-1] == said
