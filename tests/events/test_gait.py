"""Heel strikes of a walk whose steps are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli.events.gait import heel_strikes, walking_direction
from dcpose_cli.events.signals import tracks_of
from dcpose_cli.results import PoseTrackResult
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person

STRIDE = 1.1
STANCE = 0.62  # share of a stride with the foot on the ground


def ankle_ahead(phase):
    """Place of an ankle ahead of the hips in body heights, 0.23 at the strike (phase 0), -0.23 when the foot leaves."""
    phase = phase % 1
    swing = (phase - STANCE) / (1 - STANCE)
    return np.where(phase < STANCE, 0.23 - 0.46 * phase / STANCE, -0.23 * np.cos(np.pi * swing))


def walk(*, seconds=6.0, fps=50, speed=0.8, direction=1, noise=0.0, aspect=1, treadmill=False):
    """Somebody 200 pixels tall; the left heel strikes at 0.3 s and every stride, the right one half a stride later."""
    generator = np.random.default_rng(0)
    frames = []
    for index in range(round(seconds * fps)):
        time = index / fps
        points = np.zeros((17, 3), np.float32)
        points[:, 2] = 0.8
        x = 300 if treadmill else 300 + direction * 200 * speed * (time - seconds / 2)
        points[:, 0], points[:, 1] = x, 60
        points[JOINT_NAMES.index("nose"), 0] = x + direction * 12
        for side, late in (("left", 0.0), ("right", STRIDE / 2)):
            points[JOINT_NAMES.index(f"{side}_hip"), :2] = x, 110
            ahead = 200 * float(ankle_ahead((time - 0.3 - late) / STRIDE))
            points[JOINT_NAMES.index(f"{side}_ankle"), :2] = x + direction * ahead, 205
        points[:, :2] += generator.normal(0, noise, (17, 2)) if noise else 0
        points[:, 0] /= aspect
        box = np.array([points[:, 0].min(), 10, 100, 200], np.float32)
        frames.append(FrameResult(index, index, time, (Person(4, box, 0.9, points),)))
    return PoseTrackResult({"width": 640, "height": 240, "pixel_aspect": str(aspect)}, frames)


def strikes(result):
    (track,) = tracks_of(result)
    found = list(heel_strikes(track))
    return {side: [e.time for e in found if e.signal == f"{side}_ankle"] for side in ("left", "right")}, found


def expected(first, seconds=6.0):
    times = np.arange(first, seconds, STRIDE)
    return times[(times > 0.05) & (times < seconds - 0.05)].tolist()


@pytest.mark.parametrize("options", [{}, {"direction": -1}, {"noise": 2.0}, {"treadmill": True}, {"aspect": 2}])
def test_both_sides_of_a_known_walk(options):
    found, events = strikes(walk(**options))
    for side, first in (("left", 0.3), ("right", 0.3 + STRIDE / 2)):
        assert found[side] == pytest.approx(expected(first), abs=0.05 if "noise" in options else 0.03)
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert {event.kind for event in events} == {"heel_strike"}
    assert all(40 < event.value < 50 and event.start == event.end == event.time for event in events)


def test_heels_are_taken_where_the_result_has_them():
    """Heels 3 frames before the ankles."""
    result = walk()
    joints = (*JOINT_NAMES, "left_heel", "right_heel")
    ankles = [JOINT_NAMES.index("left_ankle"), JOINT_NAMES.index("right_ankle")]
    frames = []
    for number, frame in enumerate(result.frames):
        (person,), later = frame.people, result.frames[min(number + 3, len(result.frames) - 1)].people[0]
        heels = later.keypoints[ankles] + [person.keypoints[0, 0] - later.keypoints[0, 0], 0, 0]
        points = np.concatenate([person.keypoints, heels]).astype(np.float32)
        frames.append(replace(frame, people=(replace(person, keypoints=points, joints=joints),)))
    _, events = strikes(PoseTrackResult(result.header, frames, joints=joints))
    assert {event.signal for event in events} == {"left_heel", "right_heel"}
    left = [event.time for event in events if event.signal == "left_heel"]
    assert left == pytest.approx([time - 3 / 50 for time in expected(0.3)], abs=0.03)


def test_somebody_who_stands_has_none():
    result = walk()
    still = [
        FrameResult(f.index, f.pts, f.time, (Person(0, p.bbox, p.score, result.frames[0].people[0].keypoints),))
        for f in result.frames
        for p in f.people
    ]
    assert strikes(PoseTrackResult(result.header, still))[1] == []


def test_the_direction_is_that_of_the_hips_or_of_the_face():
    directions = [
        walking_direction(next(tracks_of(walk(direction=d, treadmill=t)))) for t in (False, True) for d in (1, -1)
    ]
    assert directions == [1, -1, 1, -1]
