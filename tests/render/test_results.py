"""Earlier results: whom to choose, and smoothed copies."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli import OutputError, UsageError, read_posetrack
from dcpose_cli.render.results import Choice, smooth_result
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.skeleton import ALL_JOINTS
from dcpose_cli.types import FrameResult, Person


def person(track, x, size=10.0):
    keypoints = np.full((17, 3), 0.5, np.float32)
    keypoints[:, 0] = x
    return Person(track, np.array([x, 0, size, size], np.float32), 0.9, keypoints)


FRAMES = [FrameResult(i, i, i / 25, (person(3, 10 + i), person(5, 100, 30), person(8, 200))) for i in range(6)]


def ids(frames):
    return [[p.track_id for p in frame.people] for frame in frames]


def test_everybody_by_default():
    assert ids(Choice().apply(FRAMES)) == [[3, 5, 8]] * 6


def test_tracks_largest_and_roi():
    assert ids(Choice(tracks=(8, 3)).apply(FRAMES)) == [[3, 8]] * 6
    assert ids(Choice(largest=True).apply(FRAMES)) == [[5]] * 6
    assert ids(Choice(largest=True, tracks=(3, 8)).apply(FRAMES)) == [[3]] * 6
    assert ids(Choice(roi=(0, 0, 17, 50)).apply(FRAMES)) == [[3], [3], [3], [], [], []]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (Choice(tracks=(4,)), "there are 3, 5, 8"),
        (Choice(roi=(0, 0, 0, 5)), "width and height"),
        (Choice(roi=(500, 500, 5, 5)), "nobody"),
    ],
)
def test_choices_of_nobody(choice, says):
    with pytest.raises(UsageError, match=says):
        choice.apply(FRAMES)


@pytest.fixture
def result(tmp_path):
    generator = np.random.default_rng(2)
    header = {"time_base": "1/25", "width": 320, "height": 240, "video": "ab", "input": {"name": "x.mp4"}}
    with PoseTrackWriter(tmp_path / "in.json", header) as writer:
        for index in range(30):
            points = np.full((17, 3), 0.7, np.float32)
            points[:, :2] = 50 + index + generator.normal(0, 2, (17, 2))
            box = np.array([20, 20, 60, 90], np.float32)
            writer.write(FrameResult(index, index, index / 25, (Person(1, box, 0.9, points),), index == 3))
    return tmp_path / "in.json"


def test_a_smoothed_copy(result, tmp_path):
    raw = result.read_bytes()
    assert smooth_result(result, tmp_path / "out.json", method="one-euro") == 30
    assert result.read_bytes() == raw
    before, after = read_posetrack(result), read_posetrack(tmp_path / "out.json")
    assert after.header["smoothing"]["method"] == "one-euro"
    assert after.header["video"] is None
    assert after.header["input"] == before.header["input"]
    assert (after.header["pts"], after.header["damaged_frames"]) == (before.header["pts"], [3])
    moves = [np.array([f.people[0].keypoints[:, 0] for f in r.frames]) for r in (before, after)]
    assert np.diff(moves[1], 2, axis=0).std() < 0.6 * np.diff(moves[0], 2, axis=0).std()
    with pytest.raises(UsageError, match="smoothed already"):
        smooth_result(tmp_path / "out.json", tmp_path / "twice.json")


def test_a_smoothed_copy_replaces_nothing(result, tmp_path):
    (tmp_path / "out.json").write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        smooth_result(result, tmp_path / "out.json")
    with pytest.raises(UsageError, match="is the input"):
        smooth_result(result, result, overwrite=True)
    with pytest.raises(UsageError, match="nothing to do"):
        smooth_result(result, tmp_path / "new.json", method="none")
    assert (tmp_path / "out.json").read_text() == "precious"
    smooth_result(result, tmp_path / "out.json", overwrite=True)
    assert json.loads((tmp_path / "out.json").read_text())["dcpose"]["frames"] == 30


def test_a_choice_of_people_keeps_the_eyes(tmp_path):
    box, points = np.array([1, 0, 9, 9], np.float32), np.full((19, 3), 0.5, np.float32)
    with_eyes = Person(3, box, 0.9, points, joints=ALL_JOINTS)
    with PoseTrackWriter(tmp_path / "in.json", {"time_base": "1/25"}, joints=ALL_JOINTS) as writer:
        writer.write(FrameResult(0, 0, 0.0, (with_eyes, replace(with_eyes, track_id=4))))
    smooth_result(tmp_path / "in.json", tmp_path / "out.json", selection=Choice(tracks=(4,)))
    out = read_posetrack(tmp_path / "out.json")
    assert (out.joints, ids(out.frames)) == (ALL_JOINTS, [[4]])
