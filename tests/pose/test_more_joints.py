"""Models with more joints than COCO's: feet, fingers and faces go from the checkpoint to every file by their names."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec

import av
import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.export.formats import FORMATS
from dcpose_cli.pose.network import PoseNetwork
from dcpose_cli.results import read_posetrack
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.skeleton.sets import JOINT_SETS, flip_order, limbs, result_joints, sigmas

#: Joint set -> the network that stands for it, and names it must have.
CASES = {
    "halpe26": ("hrnet", ("hip", "left_heel", "right_small_toe")),
    "wholebody": ("simplebaseline", ("right_big_toe", "face_67", "left_pinky_4")),
}


@pytest.fixture(scope="module", params=CASES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name, layouts, dcpose, tmp_path_factory):
    """A checkpoint in OpenMMLab's layout, imported by the command; its maps are positive somewhere."""
    kind, _ = CASES[name]
    count = len(JOINT_SETS[name].channels)
    shapes = layouts.hrnet_shapes(8, count, short=True) if kind == "hrnet" else layouts.resnet_shapes(18, 8, count)
    state = layouts.filled(*shapes)
    state["head.final_layer.bias"] = torch.linspace(1, 2, count)
    root = tmp_path_factory.mktemp(name)
    (root / "best.pth").write_bytes(layouts.content_of(state))
    done = dcpose("models", "import", root / "best.pth", "--out", root / "model", "--input-size", "48x64")
    assert done.returncode == 0, done.stderr
    assert f"joints {name}," in done.stdout
    assert f"{name}, {count}" in dcpose("models", "info", root / "model").stdout
    return root / "model"


@pytest.fixture(scope="module")
def result(model, dcpose, clip):
    out = model.parent / "result.json"
    models = [*dcpose.models, "--model", model, "--flip-test", "--smooth", "gaussian"]
    done = dcpose("estimate", clip, "-o", model.parent / "video.mp4", "--json", out, *models, "--max-frames", 4)
    assert done.returncode == 0, done.stderr
    return out


def test_channels_stand_in_their_places(model, name):
    loaded = open_model(model)
    network = PoseNetwork(loaded, device=torch.device("cpu"), precision="fp32")
    image = np.random.default_rng(1).integers(0, 255, (64, 96, 3), np.uint8)
    boxes = np.array([[10, 5, 30, 50]], np.float32)
    found = network.poses([image], np.zeros((1, 3), np.int64), boxes, np.ones((1, 2), np.int64))[0]
    channels = JOINT_SETS[name].channels
    assert network.joints == result_joints(channels)
    assert found.shape == (len(network.joints), 3)
    # Every channel's bias is its least value: the scores rise along the channels as the biases do.
    scores = found[[network.joints.index(joint) for joint in channels], 2]
    assert (scores > 0.9).all()
    absent = [place for place, joint in enumerate(network.joints) if joint not in channels]
    assert not found[absent].any()
    assert {network.joints[place] for place in absent} == {*JOINT_NAMES} - {*channels}
    maps = torch.rand(1, len(channels), 4, 3)
    mirrored = network.method.unmirror(maps)[0, :, :, 1:]
    assert torch.equal(mirrored, maps[0, list(flip_order(channels))].flip(2)[:, :, :-1])


def test_the_result_says_all_of_them(result, name):
    joints = result_joints(JOINT_SETS[name].channels)
    data = json.loads(result.read_text())
    [category] = data["categories"]
    assert tuple(category["keypoints"]) == joints
    assert {*CASES[name][1]} <= {*joints}
    assert category["skeleton"] == [[a + 1, b + 1] for a, b in limbs(joints)]
    assert category["sigmas"] == list(sigmas(joints))
    pairs = {(joints[a - 1], joints[b - 1]) for a, b in category["flip_pairs"]}
    assert {("left_heel", "right_heel"), ("left_shoulder", "right_shoulder")} <= pairs
    assert all(len(entry["scores"]) == len(joints) for entry in data["annotations"])
    read = read_posetrack(result)
    assert read.joints == joints
    person = read.frames[0].people[0]
    assert person.joints == joints
    assert person.keypoints[17:, 2].all()
    slots = read.in_slots().frames[0].people[0]
    assert (slots.joints, slots.keypoints.shape) == (JOINT_NAMES, (17, 3))


def test_a_resumed_run_has_them(model, dcpose, clip, result, tmp_path):
    """Joints that come from stored segments have the same names as those that are computed."""
    out = [tmp_path / f"{k}.json" for k in (1, 2)]
    models = [*dcpose.models, "--model", model, "--max-frames", 4]
    assert dcpose("export", clip, "-o", out[0], *models, "--resume").returncode == 0
    done = dcpose("export", clip, "-o", out[1], *models, "--resume")
    assert done.returncode == 0, done.stderr
    assert read_posetrack(out[1]).joints == read_posetrack(result).joints
    assert out[0].read_bytes() == out[1].read_bytes()


def test_commands_keep_them(result, dcpose, clip, tmp_path):
    original = read_posetrack(result)
    track = original.frames[0].people[0].track_id
    for args in (
        ("smooth", result, "-o", tmp_path / "smooth.json", "--fix-swaps"),
        ("smooth", result, "-o", tmp_path / "median.json", "--method", "median", "--window", "3"),
        ("smooth", result, "-o", tmp_path / "euro.json", "--method", "one-euro"),
        ("edit", result, "-o", tmp_path / "swap.json", "--swap-sides", f"{track} from 0 to 3"),
        ("edit", result, "-o", tmp_path / "move.json", "--move", f"{track} left_heel at 0 to 12.5 8"),
        ("convert", result, "-f", "posetrack21", "-o", tmp_path / "21.json"),
        ("convert", result, "--resample-fps", "50", "-f", "posetrack18", "-o", tmp_path / "50.json"),
        ("render", clip, result, "-o", tmp_path / "drawn.mp4", "--blur-faces", "--trails", "1"),
        ("report", result, "-o", tmp_path / "page.html"),
    ):
        done = dcpose(*args)
        assert done.returncode == 0, (args, done.stderr)
    for name in ("smooth", "median", "euro", "swap", "move", "21", "50"):
        assert read_posetrack(tmp_path / f"{name}.json").joints == original.joints, name

    def of_track(path):
        return next(p for p in read_posetrack(path).frames[0].people if p.track_id == track).keypoints

    before, order = of_track(result), flip_order(original.joints)
    assert np.array_equal(of_track(tmp_path / "swap.json"), before[list(order)])
    heel = original.joints.index("left_heel")
    assert of_track(tmp_path / "move.json")[heel].tolist() == [12.5, 8, 1]
    assert np.array_equal(np.delete(of_track(tmp_path / "move.json"), heel, 0), np.delete(before, heel, 0))
    page = (tmp_path / "page.html").read_text()
    assert '"left_heel"' in page
    refused = dcpose("edit", result, "-o", tmp_path / "no.json", "--move", f"{track} left_hoof at 0 to 1 2")
    assert refused.returncode == 2
    assert "left_heel" in refused.stderr


def test_every_format_takes_them(result, dcpose, tmp_path):
    person = read_posetrack(result).frames[0].people[0]
    place = person.joints.index("right_big_toe")
    toe = [round(float(v), 2) for v in person.keypoints[place, :2]]
    made = {}
    for form, kind in FORMATS.items():
        if kind.needs is not None and find_spec(kind.needs[0]) is None:
            continue
        made[form] = tmp_path / f"{form}{kind.suffix}"
        done = dcpose("convert", result, "-f", form, "-o", made[form])
        assert done.returncode == 0, (form, done.stderr)
    with made["csv"].open() as table:
        rows = [row for row in csv.DictReader(table) if row["frame"] == "0" and row["person"] == "0"]
    assert [row["joint"] for row in rows] == list(person.joints)
    assert float(rows[place]["x"]) == pytest.approx(toe[0], abs=0.01)
    with made["csv"].with_name("csv_angles.csv").open() as table:
        angles = {row["angle"] for row in csv.DictReader(table)}
    assert {"left_knee", "left_ankle", "right_ankle_flexion", "left_foot_segment"} <= angles
    assert len(angles) == 34
    line = json.loads(made["jsonl"].read_text().splitlines()[0])["people"][0]["joints"]
    assert line["right_big_toe"][:2] == pytest.approx(toe, abs=0.01)
    openpose = json.loads(sorted(made["openpose"].iterdir())[0].read_text())["people"][0]
    assert openpose["pose_keypoints_2d"][3 * 22 : 3 * 22 + 2] == pytest.approx(toe, abs=0.01)
    hand = len(openpose["hand_left_keypoints_2d"])
    assert (len(openpose["face_keypoints_2d"]), hand) == ((210, 63) if "face_0" in person.joints else (0, 0))
    assert "JOINT LeftFoot" in next(tmp_path.glob("bvh*.bvh")).read_text()
    for name, at in (("trc", "trc*.trc"), ("deeplabcut-csv", "deeplabcut-csv.csv"), ("blender", "blender.py")):
        assert "right_big_toe" in next(tmp_path.glob(at)).read_text(), name


def test_libraries_read_them(result, dcpose, tmp_path):
    pynwb = pytest.importorskip("pynwb", reason="needs pip install 'dcpose[formats]'")
    sleap_io = pytest.importorskip("sleap_io", reason="needs pip install 'dcpose[formats]'")

    joints = read_posetrack(result).joints
    for form in ("sleap", "nwb"):
        done = dcpose("convert", result, "-f", form, "-o", tmp_path / f"r{FORMATS[form].suffix}")
        assert done.returncode == 0, done.stderr
    skeleton = sleap_io.load_slp(str(tmp_path / "r.slp"), open_videos=False).skeleton
    assert {(e.source.name, e.destination.name) for e in skeleton.edges} >= {("left_ankle", "left_heel")}
    assert {frozenset(n.name for n in s.nodes) for s in skeleton.symmetries} >= {frozenset(("left_heel", "right_heel"))}
    with pynwb.NWBHDF5IO(str(tmp_path / "r.nwb"), "r") as opened:
        [skeleton] = opened.read().processing["behavior"]["Skeletons"].skeletons.values()
        nodes = list(skeleton.nodes[:])
        edges = {(nodes[a], nodes[b]) for a, b in skeleton.edges[:].tolist()}
    assert {*nodes} <= {*joints}
    assert ("right_ankle", "right_big_toe") in edges


def test_named_joints_go_the_same_way(layouts, dcpose, clip, tmp_path):
    """Joints that no set has: names in, names out."""
    state = layouts.filled(*layouts.hrnet_shapes(8, 5, short=True))
    state["head.final_layer.bias"] = torch.ones(5)
    (tmp_path / "tail.pth").write_bytes(layouts.content_of(state))
    names = "nose,tail_root,tail_tip,left_paw,right_paw"
    done = dcpose(
        "models", "import", tmp_path / "tail.pth", "--out", tmp_path / "m", "--input-size", "48x64", "--joints", names
    )
    assert done.returncode == 0, done.stderr
    assert names.replace(",", ", ") in dcpose("models", "info", tmp_path / "m").stdout
    out = tmp_path / "r.json"
    done = dcpose(
        "estimate", clip, "-o", tmp_path / "v.mp4", "--json", out, *dcpose.models, "--model", tmp_path / "m",
        "--max-frames", 2,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [category] = json.loads(out.read_text())["categories"]
    assert category["keypoints"] == [*JOINT_NAMES, "tail_root", "tail_tip", "left_paw", "right_paw"]
    assert [20, 21] in category["flip_pairs"]
    assert category["sigmas"][17:] == [None] * 4
    person = read_posetrack(out).frames[0].people[0]
    assert {person.joints[k] for k in np.flatnonzero(person.keypoints[:, 2])} == {*names.split(",")}
    with av.open(str(tmp_path / "v.mp4")) as video:
        assert video.streams.video[0].frames == 2
