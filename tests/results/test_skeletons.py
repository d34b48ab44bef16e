"""Joints beyond the 17 slots travel through files of other tools, those of our own writers and those made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.export.formats import Options, convert, write_result
from dcpose_cli.results import PoseTrackResult, PoseTrackWriter
from dcpose_cli.results.foreign import read_result
from dcpose_cli.results.skeletons import distinct, joints_of_names, plain
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.skeleton.sets import JOINT_SETS, limbs, result_joints
from dcpose_cli.types import FrameResult, Person

WHOLE = result_joints(JOINT_SETS["wholebody"].channels)
HALPE = result_joints(JOINT_SETS["halpe26"].channels)


def sent(joints, absent=()):
    """Four frames with two people, whose joints all lie in other places."""
    frames = []
    for index in range(4):
        people = []
        for track in (2, 5):
            k = np.arange(len(joints))
            points = np.stack([100 + 300 * track + k + index, 50 + 3.0 * k, 0.3 + 0.001 * k], axis=1)
            points[[joints.index(name) for name in absent]] = 0
            box = np.array([points[:, 0].min(), 50, 300, 500], np.float32)
            people.append(Person(track, box, 0.75, points.round(4).astype(np.float32), joints=joints))
        frames.append(FrameResult(index, index, index / 25, tuple(people)))
    return frames


@pytest.fixture
def written(real, tmp_path):
    """Writes a result with these joints; the path and the result."""

    def write(joints, absent=()):
        header = read_result(real).header | {"time_base": "1/25", "start_pts": 0, "fps": "25/1"}
        path = tmp_path / "sent.json"
        with PoseTrackWriter(path, header, True, joints=joints) as writer:
            for frame in sent(joints, absent):
                writer.write(frame)
        return path, read_result(path)

    return write


def assert_same(got: PoseTrackResult, result: PoseTrackResult, names, scores=True):
    assert {*names} <= {*got.joints}
    for a, b in zip(got.frames, result.frames, strict=True):
        assert [p.track_id for p in a.people] == [p.track_id for p in b.people]
        for one, other in zip(a.people, b.people, strict=True):
            assert one.joints == got.joints
            for name in names:
                ours = one.keypoints[got.joints.index(name)]
                theirs = other.keypoints[result.joints.index(name)]
                np.testing.assert_allclose(ours if scores else ours[:2], theirs if scores else theirs[:2], atol=0.006)


@pytest.mark.parametrize(
    "joints", [HALPE, WHOLE, (*JOINT_NAMES, "tail_tip", "left_eye")], ids=["halpe", "whole", "own"]
)
def test_our_own_files_without_their_header_keep_every_joint(written, tmp_path, joints):
    path, result = written(joints)
    data = json.loads(path.read_text())
    del data["dcpose"]
    (tmp_path / "x.json").write_text(json.dumps(data))
    got = read_result(tmp_path / "x.json")
    assert got.joints == joints
    assert_same(got, result, joints)


def test_coco_wholebody_lists_come_back(written, tmp_path):
    path, result = written(WHOLE, absent=["head_top", "head_bottom"])
    convert(path, tmp_path / "x.json", "coco")
    got = read_result(tmp_path / "x.json")
    assert got.joints == WHOLE
    assert_same(got, result, WHOLE)


@pytest.mark.parametrize("joints", [WHOLE, HALPE], ids=["whole", "halpe"])
def test_openpose_comes_back_with_feet_face_and_hands(written, tmp_path, joints):
    path, result = written(joints, absent=["head_top", "head_bottom"])
    convert(path, tmp_path / "folder", "openpose")
    got = read_result(tmp_path / "folder")
    names = [name for name in joints if name not in ("head_top", "head_bottom")]
    assert_same(got, result, names)
    assert {*got.joints} - {*joints} == ({"neck", "hip"} if joints == WHOLE else {"neck"})
    # A second time nothing is added: neck and mid-hip are those of the file.
    convert(tmp_path / "folder", tmp_path / "again", "openpose", fps=25)
    for file in (tmp_path / "folder").iterdir():
        number = file.name.removeprefix("folder")
        assert json.loads(file.read_text()) == json.loads((tmp_path / "again" / f"again{number}").read_text())


@pytest.mark.parametrize("kind", ["deeplabcut-csv", "trc"])
def test_tables_of_named_columns_come_back(written, tmp_path, kind):
    joints = (*HALPE, "left_hand_root", "racket_tip")
    _, result = written(joints)
    files = write_result(result, tmp_path / f"x{'.csv' if kind != 'trc' else '.trc'}", kind, Options())
    for file in files:
        got = read_result(file)
        assert {*got.joints} == {*joints}
        tracks = {p.track_id for frame in got.frames for p in frame.people}
        frames = [
            FrameResult(f.index, f.pts, f.time, tuple(p for p in f.people if p.track_id in tracks))
            for f in result.frames
        ]
        assert_same(got, PoseTrackResult({}, frames, joints=joints), joints, scores=kind != "trc")


def test_results_without_further_joints_stay_as_they_were(written, tmp_path):
    path, result = written(JOINT_NAMES)
    convert(path, tmp_path / "x.json", "coco")
    assert read_result(tmp_path / "x.json").joints == JOINT_NAMES
    assert_same(read_result(tmp_path / "x.json"), result, JOINT_NAMES)


#: The 133 names of mmpose's COCO-WholeBody, as its dataset file spells some of them.
def mmpose_names():
    fingers = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
    hands = [f"{s}_{f}{k}" for s in ("left", "right") for f in ("hand_root", *fingers) for k in (1, 2, 3, 4)]
    hands = [name for name in hands if "root" not in name or name.endswith("1")]
    feet = [f"{s}_{part}" for s in ("left", "right") for part in ("big_toe", "small_toe", "heel")]
    body = ["nose", "left_eye", "right_eye", *JOINT_NAMES[3:]]
    return [*body, *feet, *(f"face-{k}" for k in range(68)), *(n.replace("root1", "root") for n in hands)]


def test_names_of_a_file_are_recognised():
    assert joints_of_names(mmpose_names()) == JOINT_SETS["wholebody"].channels
    halpe = ["nose", "left_eye", "right_eye", *JOINT_NAMES[3:], "head", "neck", "hip"]
    halpe += [f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in ("left", "right")]
    assert joints_of_names(halpe) == JOINT_SETS["halpe26"].channels
    assert joints_of_names(JOINT_NAMES) == JOINT_NAMES
    mouse = [f"p{k}" for k in range(26)]
    assert joints_of_names(mouse) == tuple(mouse)
    # The last joint of Halpe is a heel: a list that ends otherwise is not Halpe's, and its neck is no head_bottom.
    assert joints_of_names([*halpe[:-1], "left_elbow_tip"])[17:19] == ("head", "neck")


def test_mmpose_video_with_133_names(tmp_path):
    names = mmpose_names()
    people = [
        [{"keypoints": [[10.0 + k + i, 20.0 + k] for k in range(133)], "keypoint_scores": [0.9] * 133}] for i in (0, 1)
    ]
    data = {
        "meta_info": {"keypoint_id2name": {str(k): name for k, name in enumerate(names)}},
        "instance_info": [{"frame_id": i, "instances": one} for i, one in enumerate(people)],
    }
    (tmp_path / "x.json").write_text(json.dumps(data))
    got = read_result(tmp_path / "x.json")
    assert got.joints == WHOLE
    points = got.frames[1].people[0].keypoints
    for k, name in enumerate(JOINT_SETS["wholebody"].channels):
        assert points[WHOLE.index(name)].tolist() == pytest.approx([11 + k, 20 + k, 0.9])


def test_labels_of_coco_wholebody(tmp_path):
    """Lists beside the keypoints, visibilities in the third place, an empty list where nothing is labelled."""
    names = ["nose", "left_eye", "right_eye", *JOINT_NAMES[3:]]
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 90]}
    person |= {"keypoints": [v for k in range(17) for v in (k + 1, 9, 2)], "foot_kpts": [4, 8, 1] + [0] * 15}
    person |= {"lefthand_kpts": [], "face_kpts": [0.0] * 204}
    images = [{"id": 1, "file_name": "a/1.jpg"}]
    data = {"images": images, "annotations": [person], "categories": [{"id": 1, "name": "person", "keypoints": names}]}
    (tmp_path / "x.json").write_text(json.dumps(data))
    got = read_result(tmp_path / "x.json")
    assert got.joints == (*JOINT_NAMES, "left_eye", "right_eye", "left_big_toe")
    assert got.frames[0].people[0].keypoints[17:].tolist() == [[2, 9, 1], [3, 9, 1], [4, 8, 1]]
    person["foot_kpts"] = [1, 2, 3]
    (tmp_path / "x.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="3 numbers for 6 joints"):
        read_result(tmp_path / "x.json")


def test_people_of_different_skeletons_get_one(tmp_path):
    entries = [
        {"image_id": f"{k}.jpg", "keypoints": [v for j in range(n) for v in (j + 1.0, 2.0, 0.5)], "score": 1.0}
        for k, n in enumerate((17, 26))
    ]
    (tmp_path / "x.json").write_text(json.dumps(entries))
    got = read_result(tmp_path / "x.json")
    assert got.joints == HALPE
    first, second = (frame.people[0].keypoints for frame in got.frames)
    assert not first[HALPE.index("left_heel")].any()
    assert second[HALPE.index("left_heel")].tolist() == [25, 2, 0.5]


def test_a_neck_between_the_shoulders_has_limbs():
    names = (*JOINT_NAMES, "neck", "hip")
    pairs = {(names[a], names[b]) for a, b in limbs(names)}
    assert {("neck", "nose"), ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("neck", "hip")} <= pairs


def test_names_that_results_cannot_hold_are_changed():
    assert plain(" racket  tip!") == "racket_tip_"
    assert plain("...") == "joint"
    assert len(plain("x" * 200)) <= 60
    assert distinct(["a", "a", "a_2", "a"]) == ("a", "a_3", "a_2", "a_4")


@pytest.mark.parametrize("kind", ["posetrack", "sleap", "blender"])
def test_convert_takes_them_on(dcpose, tmp_path, kind):
    """AlphaPose's 26 joints through the command."""
    if kind == "sleap":
        pytest.importorskip("sleap_io", reason="needs sleap-io: pip install 'dcpose[formats]'")
    entry = {"image_id": "0.jpg", "keypoints": [v for j in range(26) for v in (j + 1.0, 2.0, 0.5)], "score": 1.0}
    (tmp_path / "x.json").write_text(json.dumps([entry]))
    suffix = {"posetrack": "json", "sleap": "slp", "blender": "py"}[kind]
    out = tmp_path / f"out.{suffix}"
    style = "posetrack18" if kind == "posetrack" else kind
    done = dcpose("convert", tmp_path / "x.json", "--to", style, "-o", out)
    assert done.returncode == 0, done.stderr
    if kind == "posetrack":
        assert tuple(json.loads(out.read_text())["categories"][0]["keypoints"]) == HALPE
    elif kind == "blender":
        assert "left_heel" in out.read_text()
