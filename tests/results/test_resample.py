"""Results at a fixed rate: straight lines between frames, gaps stay gaps, and when times count as irregular."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli import UsageError
from dcpose_cli.results import PoseTrackResult, PoseTrackWriter, read_posetrack
from dcpose_cli.results.resample import irregular_times, resample
from dcpose_cli.types import FrameResult, Person

HEADER = {"time_base": "1/1000", "fps": "25/1", "shot_fps": "50/1", "start_pts": 7, "video": "ab", "damaged_frames": []}


def person(track, time, score=0.8):
    points = np.zeros((17, 3), np.float32)
    points[:, 0], points[:, 1], points[:, 2] = 100 * time, 50, score
    points[3] = 0
    return Person(track, np.array([100 * time, 0, 10, 20], np.float32), score, points)


def result_at(times, people=lambda i, time: (person(1, time),)):
    frames = [FrameResult(i, round(1000 * t), t, tuple(people(i, t))) for i, t in enumerate(times)]
    return PoseTrackResult(HEADER | {"pts": [f.pts for f in frames]}, frames)


def test_a_moving_joint_lies_where_it_is_at_each_moment(tmp_path):
    times = [0.0, 0.03, 0.085, 0.11, 0.16, 0.2]
    made = resample(result_at(times), "100")
    assert [frame.index for frame in made.frames] == list(range(21))
    assert [frame.time for frame in made.frames] == pytest.approx([k / 100 for k in range(21)])
    for frame in made.frames:
        [one] = frame.people
        assert one.keypoints[0].tolist() == pytest.approx([100 * frame.time, 50, 0.8], abs=1e-4)
        assert one.keypoints[3].tolist() == [0, 0, 0]
        assert one.bbox[0] == pytest.approx(100 * frame.time, abs=1e-4)
    assert made.header["fps"] == "100/1"
    assert made.header["resampled_from"] == "25/1"
    assert not {"shot_fps", "start_pts"} & made.header.keys()
    with PoseTrackWriter(tmp_path / "x.json", made.header) as writer:
        for frame in made.frames:
            writer.write(frame)
    again = read_posetrack(tmp_path / "x.json")
    assert [frame.time for frame in again.frames] == pytest.approx([k / 100 for k in range(21)])


def test_its_own_rate_changes_nothing():
    regular = result_at([k / 25 for k in range(10)])
    made = resample(regular, 25)
    for a, b in zip(regular.frames, made.frames, strict=True):
        np.testing.assert_array_equal(a.people[0].keypoints, b.people[0].keypoints)


def test_gaps_stay_gaps():
    def people(i, time):
        return [person(1, time)] + ([person(2, time, 0.4)] if i not in (2, 3) else [])

    made = resample(result_at([0, 0.1, 0.2, 0.3, 0.4, 1.0, 1.1], people), 20)
    there = {round(f.time, 2): [p.track_id for p in f.people] for f in made.frames}
    assert there[0.1] == [1, 2]
    assert there[0.15] == there[0.2] == there[0.25] == there[0.35] == [1]
    assert there[0.4] == [1, 2]
    assert there[0.7] == []  # six tenths of a second between two frames
    assert there[1.05] == [1, 2]


def test_confidence_is_the_lower_one():
    made = resample(result_at([0, 0.1], lambda i, t: (person(1, t, 0.9 - 0.5 * i),)), 20)
    assert made.frames[1].people[0].keypoints[0, 2] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("times", "irregular"),
    [
        ([k / 30 for k in range(20)], False),
        ([round(k / 30, 3) for k in range(20)], False),  # a container that counts milliseconds
        ([0, 0.04, 0.08, 0.16, 0.2], True),
        ([0, 0.033, 0.075, 0.1, 0.14], True),
        ([0.0], False),
        ([], False),
    ],
)
def test_irregular_times(times, irregular):
    assert bool(irregular_times(result_at(times))) == irregular


def test_frames_that_are_not_in_the_result_are_no_irregularity():
    frames = [FrameResult(i, i, i / 25) for i in (0, 1, 2, 5, 6)]
    assert irregular_times(PoseTrackResult(HEADER, frames)) == ""


@pytest.mark.parametrize("fps", ["fast", "0", "-5", "1/0"])
def test_rates_that_cannot_be(fps):
    with pytest.raises(UsageError, match="not a frame rate"):
        resample(result_at([0, 1]), fps)
    with pytest.raises(UsageError, match="too many"):
        resample(result_at([0, 1e9]), 100)


def test_nobody_and_nothing():
    assert resample(result_at([]), 50).frames == []
    assert [f.people for f in resample(result_at([0, 0.1], lambda i, t: ()), 20).frames] == [(), (), ()]
