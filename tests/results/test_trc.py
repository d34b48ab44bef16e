"""TRC files in pixels as input: those of Sports2D and our own; files in metres are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.export.formats import Options, write_result
from dcpose_cli.results.foreign import read_result
from dcpose_cli.results.serialization import written
from dcpose_cli.skeleton import JOINT_NAMES

#: Markers as Sports2D names them, and our joints.
MARKERS = {
    "Hip": "hip", "RHip": "right_hip", "RKnee": "right_knee", "RAnkle": "right_ankle", "RBigToe": "right_big_toe",
    "RHeel": "right_heel", "LHip": "left_hip", "LKnee": "left_knee", "LAnkle": "left_ankle", "LBigToe": "left_big_toe",
    "LSmallToe": "left_small_toe", "Neck": "neck", "Head": "head_top", "Nose": "nose", "RShoulder": "right_shoulder",
    "RElbow": "right_elbow", "RWrist": "right_wrist", "LShoulder": "left_shoulder", "LElbow": "left_elbow",
    "LWrist": "left_wrist",
}  # fmt: skip
TIMES = [0.0, 0.033333, 0.066667, 0.1]


def sports2d(path, *, units="m", gap=True):
    """A file as Sports2D writes it: frames from 0, the unit m in every file, empty cells where nothing was found."""
    names = list(MARKERS)
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"30.0\t30.0\t{len(TIMES)}\t{len(names)}\t{units}\t30.0\t0\t{len(TIMES)}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t\t",
        "\t\t" + "\t".join(f"X{i + 1}\tY{i + 1}\tZ{i + 1}" for i in range(len(names))),
    ]
    for frame, time in enumerate(TIMES):
        cells = [f"{300.0 + 5 * k + frame}\t{40.0 + 9 * k}\t0.0" for k in range(len(names))]
        if frame == 2 and gap:
            cells[-1] = "\t\t"  # the left wrist, at the end of the line
        lines.append(f"{frame}\t{time}\t" + "\t".join(cells))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_pixels_of_sports2d(tmp_path):
    result = read_result(sports2d(tmp_path / "demo_Sports2D_px_person03.trc"))
    assert not result.assumed_fps
    assert result.header["fps"] == "30/1"
    assert [frame.index for frame in result.frames] == [0, 1, 2, 3]
    assert [frame.time for frame in result.frames] == pytest.approx(TIMES, abs=1e-6)
    for frame in result.frames:
        (person,) = frame.people
        assert person.track_id == 3
        assert result.joints == (*JOINT_NAMES, *(name for name in MARKERS.values() if name not in JOINT_NAMES))
        expected = np.zeros((len(result.joints), 3))
        for k, joint in enumerate(MARKERS.values()):
            if not (frame.index == 2 and joint == "left_wrist"):
                expected[result.joints.index(joint)] = 300 + 5 * k + frame.index, 40 + 9 * k, 1
        np.testing.assert_allclose(person.keypoints, expected)


def test_what_dcpose_writes_is_read_back(tmp_path, result):
    files = write_result(result, tmp_path / "r.trc", "trc", Options())
    assert len(files) > 1
    back = {}
    for path in files:
        for frame in read_result(path).frames:
            for person in frame.people:
                back[frame.index, person.track_id] = (frame.time, written(person).joints)
    expected = {
        (frame.index, person.track_id): (frame.time, [j and (j[0], j[1], 1.0) for j in written(person).joints])
        for frame in result.frames
        for person in frame.people
    }
    assert back.keys() == expected.keys()
    for key, (time, joints) in expected.items():
        assert back[key][0] == pytest.approx(time, abs=1e-6)
        assert back[key][1] == joints


@pytest.mark.parametrize(("name", "units"), [("demo_m_person00.trc", "m"), ("mocap.trc", "mm"), ("x.trc", "")])
def test_metres_are_refused(tmp_path, name, units):
    with pytest.raises(InputError, match=rf"in {units or 'unknown units'}, and only pixels .*NAME_px_person00.trc"):
        read_result(sports2d(tmp_path / name, units=units))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: "nonsense", "not that of a TRC file"),
        (lambda t: "", "a list or a line of it is too short"),
        (lambda t: t.replace("30.0\t30.0", "x\t30.0"), "is no frame rate"),
        (lambda t: t.replace("RHip", "Snout"), "not understood: Snout"),
        (lambda t: t.replace("300.0", "abc"), "could not convert"),
        (lambda t: t.replace("\n1\t", "\n9\t"), "not in ascending order"),
        (lambda t: t.replace("0.066667", "0.01"), r"time of frame 2 \(0.01 s\) is not later"),
        (lambda t: "\n".join(t.splitlines()[:3]), "a list or a line of it is too short"),
    ],
)
def test_broken_files_are_refused(tmp_path, change, says):
    path = sports2d(tmp_path / "a_px_person00.trc")
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=says):
        read_result(path)


def test_the_commands_take_them(dcpose, product, tmp_path):
    """convert, evaluate and render."""
    trc = sports2d(tmp_path / "a_px_person02.trc")
    done = dcpose("convert", trc, "--to", "mot", "-o", tmp_path / "a.txt")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.txt").read_text().splitlines()[0].startswith("1,3,")  # MOTChallenge counts from 1
    clip = product.make_clip(tmp_path / "a.mp4", frames=4, size=(640, 360), fps=30)
    done = dcpose("render", clip, trc, "-o", tmp_path / "b.mp4", "--track", 2)
    assert done.returncode == 0, done.stderr
    images = [{"id": i, "file_name": f"a/{i:06d}.jpg", "width": 640, "height": 360} for i in range(4)]
    names = ["nose", "left_eye", "right_eye", *JOINT_NAMES[3:]]
    places = {joint: (300 + 5 * k, 40 + 9 * k) for k, joint in enumerate(MARKERS.values())}
    people = []
    for i in range(4):
        points = [v for n in names for v in ((places[n][0] + i, places[n][1], 2) if n in places else (0, 0, 0))]
        people.append({"id": i, "image_id": i, "category_id": 1, "keypoints": points, "bbox": [290, 30, 120, 200]})
    truth = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person", "keypoints": names}]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    done = dcpose("evaluate", tmp_path / "truth.json", trc, "--metrics", "pckh", "--json", tmp_path / "f.json")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["pck"]["hip"] == 100
    assert figures["pck"]["wrist"] == 87.5  # one of eight was not found
