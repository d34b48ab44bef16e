"""Models in COCO's order: their eyes stand behind the 17 slots, from the network to every file."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.pose.heatmaps import unmirrored
from dcpose_cli.pose.methods import method_of
from dcpose_cli.pose.network import PoseNetwork
from dcpose_cli.results import read_posetrack
from dcpose_cli.skeleton import ALL_JOINTS, JOINT_NAMES
from dcpose_cli.skeleton.sets import COCO_NAMES

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same weights as a model in COCO's order, as one imported before it had eyes, and in PoseTrack's order."""
    from dcpose_cli.nets import HRNet, HRNetConfig
    from dcpose_cli.nets.hrnet import init_weights

    torch.manual_seed(7)
    net = HRNet(HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1)))
    init_weights(net)
    torch.nn.init.normal_(net.final_layer.weight)
    root = tmp_path_factory.mktemp("eyes")
    save_model(net, root / "coco", name="coco", joints="coco", input_size=(48, 64))
    before = tuple(i for i in range(17) if i not in (1, 2))
    save_model(net, root / "before", name="before", joints="coco", predicts=before, input_size=(48, 64))
    save_model(net, root / "posetrack", name="posetrack", input_size=(48, 64))
    return root


def poses(folder):
    network = PoseNetwork(open_model(folder), device=CPU, precision="fp32")
    frames = [np.random.default_rng(k).integers(0, 255, (64, 96, 3), np.uint8) for k in range(3)]
    boxes = np.array([[10, 5, 30, 50], [50, 8, 30, 50]], np.float32)
    windows = np.tile(np.array([0, 1, 2]), (2, 1))
    return network, network.poses(frames, windows, boxes, np.ones((2, 2), np.int64))


def test_eyes_stand_behind_the_slots(folders):
    _, channels = poses(folders / "posetrack")
    network, found = poses(folders / "coco")
    assert network.joints == ALL_JOINTS
    assert found.shape == (2, 19, 3)
    assert np.array_equal(found[:, 17:], channels[:, 1:3])
    assert not found[:, 1:3].any()
    same = [0, *range(3, 17)]
    assert np.array_equal(found[:, same], channels[:, same])
    assert channels[:, 1:3].any()
    network, found = poses(folders / "before")
    assert network.joints == JOINT_NAMES
    assert found.shape == (2, 17, 3)
    assert not found[:, 1:3].any()


def test_a_flip_test_exchanges_the_eyes(folders):
    model = open_model(folders / "coco")
    method = method_of(model.net, channels=COCO_NAMES)
    maps = torch.rand(1, 17, 4, 3)
    assert torch.equal(
        method.unmirror(maps), unmirrored(maps, order=(0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15))
    )
    assert torch.equal(method.unmirror(maps)[0, 1, :, 1:], maps[0, 2].flip(1)[:, :-1])
    assert torch.equal(method_of(model.net).unmirror(maps)[0, 1, :, 1:], maps[0, 1].flip(1)[:, :-1])


@pytest.fixture(scope="module")
def result(folders, dcpose, clip):
    out = folders / "result.json"
    models = [*dcpose.models, "--model", folders / "coco"]
    done = dcpose("estimate", clip, "-o", folders / "video.mp4", "--json", out, *models, "--max-frames", 4)
    assert done.returncode == 0, done.stderr
    return out


def test_the_result_names_them(result):
    data = json.loads(result.read_text())
    assert data["categories"][0]["keypoints"] == list(ALL_JOINTS)
    assert [1, 18] in data["categories"][0]["skeleton"]
    assert all(len(entry["keypoints"]) == 57 and len(entry["scores"]) == 19 for entry in data["annotations"])
    read = read_posetrack(result)
    assert read.joints == ALL_JOINTS
    person = read.frames[0].people[0]
    assert person.keypoints.shape == (19, 3)
    assert person.keypoints[17:, 2].all()
    slots = read.in_slots()
    assert slots.joints == JOINT_NAMES
    assert np.array_equal(slots.frames[0].people[0].keypoints, person.keypoints[:17])


def test_every_command_keeps_them(result, dcpose, clip, tmp_path):
    original = read_posetrack(result)
    track = original.frames[0].people[0].track_id
    for args in (
        ("smooth", result, "-o", tmp_path / "smooth.json"),
        ("edit", result, "-o", tmp_path / "edit.json", "--swap-sides", f"{track} from 0 to 3"),
        ("convert", result, "-f", "posetrack21", "-o", tmp_path / "21.json"),
        ("render", clip, result, "-o", tmp_path / "drawn.mp4", "--blur-faces", "--trails", "1"),
        ("edit", result, "-o", tmp_path / "moved.json", "--move", f"{track} left_eye at 0 to 20.5 7"),
        ("report", result, "-o", tmp_path / "page.html"),
    ):
        done = dcpose(*args)
        assert done.returncode == 0, done.stderr
    for name in ("smooth.json", "edit.json", "21.json"):
        assert read_posetrack(tmp_path / name).joints == ALL_JOINTS, name
    before = next(p for p in original.frames[0].people if p.track_id == track).keypoints
    after = next(p for p in read_posetrack(tmp_path / "edit.json").frames[0].people if p.track_id == track).keypoints
    assert np.array_equal(after[17:], before[[18, 17]])
    moved = next(p for p in read_posetrack(tmp_path / "moved.json").frames[0].people if p.track_id == track).keypoints
    assert moved[17].tolist() == [20.5, 7, 1]
    assert '"left_eye","right_eye"]' in (tmp_path / "page.html").read_text()  # the page's joints


def test_formats_have_them(result, dcpose, tmp_path):
    person = read_posetrack(result).frames[0].people[0]
    left, right = ([round(float(v), 4) for v in person.keypoints[slot]] for slot in (17, 18))
    for form, name in (
        *(("coco", "c.json"), ("openpose", "folder"), ("csv", "t.csv"), ("trc", "t.trc")),
        *(("jsonl", "l.jsonl"), ("bvh", "b.bvh"), ("posetrack17", "17.json")),  # have no eyes, and are written without
    ):
        done = dcpose("convert", result, "-f", form, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
    entry = json.loads((tmp_path / "c.json").read_text())[0]
    assert len(entry["keypoints"]) == 51
    assert entry["keypoints"][3:9] == pytest.approx([*left, *right], abs=0.01)
    assert "head_top" not in entry
    frame = json.loads(sorted((tmp_path / "folder").iterdir())[0].read_text())["people"][0]["pose_keypoints_2d"]
    assert frame[45:51] == pytest.approx([*right, *left], abs=0.01)
    with (tmp_path / "t.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["frame"] == "0" and row["person"] == "0"]
    assert [row["joint"] for row in rows] == list(ALL_JOINTS)
    assert float(rows[17]["x"]) == pytest.approx(left[0], abs=0.01)
    assert "left_eye" in next(tmp_path.glob("t*.trc")).read_text()


def test_a_file_that_says_other_joints_is_refused(result, tmp_path):
    from dcpose_cli.errors import InputError

    data = json.loads(result.read_text())
    for names in (
        [*JOINT_NAMES[1:], "left_eye"],
        [*JOINT_NAMES, "left_eye", "left_eye"],
        [*JOINT_NAMES, "a\nb"],
        [],
        [17],
    ):
        data["categories"][0]["keypoints"] = names
        (tmp_path / "odd.json").write_text(json.dumps(data))
        with pytest.raises(InputError, match="17 PoseTrack joints"):
            read_posetrack(tmp_path / "odd.json")
    data["categories"][0]["keypoints"] = [*JOINT_NAMES, "left_eye"]  # a joint for which there are no numbers is missing
    (tmp_path / "odd.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="not a list of 54 numbers"):
        read_posetrack(tmp_path / "odd.json")
