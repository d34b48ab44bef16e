"""Legs whose sides are exchanged for some frames are put right; legs that pass each other are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli.sides import LAG_FRAMES, LEFT, RIGHT, repair_results, repair_sides
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.skeleton.sets import FOOT, JOINT_SETS, result_joints
from dcpose_cli.types import FrameResult, Person

KNEES, ANKLES = ([JOINT_NAMES.index(f"{side}_{name}") for side in ("left", "right")] for name in ("knee", "ankle"))


def walker(time, *, pan=0.0, speed=1.0):
    """Somebody who walks on the spot in profile, 200 pixels tall: the legs pass each other twice a second."""
    points = np.zeros((17, 3), np.float32)
    points[:, :2] = np.random.default_rng(1).uniform(0, 60, (17, 2))
    swing = np.sin(2 * np.pi * speed * time)
    points[KNEES, 0], points[ANKLES, 0] = 50 + 20 * np.array([swing, -swing]), 50 + 40 * np.array([swing, -swing])
    points[KNEES, 1], points[ANKLES, 1] = 150, 195
    points[:, 0] += pan * time
    points[:, 2] = 0.8
    return points


def person(points, track=0, score=None):
    points = points.copy()
    if score is not None:
        points[LEFT + RIGHT, 2] = score
    return Person(track, np.array([points[:, 0].min(), 0, 100, 200], np.float32), 0.9, points)


def exchange(points):
    points = points.copy()
    points[LEFT + RIGHT] = points[RIGHT + LEFT]
    return points


def clip(make, wrong=(), frames=75, fps=25.0, score=0.5):
    """Frames of `make(time)`, those of `wrong` exchanged and a little less sure."""
    rng = np.random.default_rng(0)
    results = []
    for index in range(frames):
        points = make(index / fps)
        points[:, :2] += rng.normal(0, 1, (17, 2))
        found = person(exchange(points), score=score) if index in wrong else person(points)
        results.append(FrameResult(index, index, index / fps, (found,)))
    return results


def exchanged(before, after):
    """Numbers of the frames in which something was exchanged; asserts that nothing else changed."""
    changed = []
    for old, new in zip(before, after, strict=True):
        assert (old.index, old.time, old.damaged) == (new.index, new.time, new.damaged)
        for a, b in zip(old.people, new.people, strict=True):
            assert (a.track_id, a.score) == (b.track_id, b.score)
            if not np.array_equal(a.keypoints, b.keypoints):
                np.testing.assert_array_equal(exchange(a.keypoints), b.keypoints)
                changed.append(old.index)
    return changed


@pytest.mark.parametrize("pan", [0.0, 300.0])
def test_legs_that_pass_each_other_are_left_alone(pan):
    results = clip(lambda time: walker(time, pan=pan))
    assert exchanged(results, list(repair_results(results))) == []


@pytest.mark.parametrize("fps", [12.0, 25.0, 50.0])
def test_exchanges_of_some_frames_are_put_right(fps):
    """While the legs are apart: in the middle of a step."""
    middle = [round(fps * (0.25 + 0.5 * step)) for step in (1, 3)]
    wrong = sorted({middle[0], middle[1], middle[1] + 1})
    results = clip(lambda time: walker(time), wrong, frames=round(3 * fps), fps=fps)
    assert exchanged(results, list(repair_results(results))) == wrong


def test_an_exchange_that_begins_where_the_legs_pass_is_put_right():
    """The shortest way would let the legs bounce off each other there."""
    wrong = list(range(26, 32))
    results = clip(lambda time: walker(time), wrong)
    assert exchanged(results, list(repair_results(results))) == wrong


def test_standing_legs_that_flicker_are_put_right():
    def standing(time):
        points = walker(0.25)
        points[:, 1] += time
        return points

    wrong = [10, 13, 14, 20, 22, 23, 30]
    results = clip(standing, wrong, fps=12.0, frames=40)
    assert exchanged(results, list(repair_results(results))) == wrong


def test_people_are_repaired_each_for_themselves():
    alone = clip(lambda time: walker(time), [12, 13])
    other = clip(lambda time: walker(time, speed=0.7), [40])
    both = [
        FrameResult(a.index, a.pts, a.time, (a.people[0], person(b.people[0].keypoints, track=7)))
        for a, b in zip(alone, other, strict=True)
    ]
    repaired = list(repair_results(both))
    expected = [list(repair_results(results)) for results in (alone, other)]
    for frame, first, second in zip(repaired, *expected, strict=True):
        np.testing.assert_array_equal(frame.people[0].keypoints, first.people[0].keypoints)
        np.testing.assert_array_equal(frame.people[1].keypoints, second.people[0].keypoints)


def test_a_gap_begins_anew():
    """What lies before a pause has no influence on what lies behind it."""
    first, second = clip(lambda time: walker(time), [12]), clip(lambda time: walker(time), [30])
    later = [FrameResult(f.index + 75, f.pts, f.time + 10, f.people) for f in second]
    whole = list(repair_results([*first, *later]))
    apart = [*repair_results(first), *repair_results(later)]
    for a, b in zip(whole, apart, strict=True):
        np.testing.assert_array_equal(a.people[0].keypoints, b.people[0].keypoints)


def test_who_is_absent_for_some_frames_is_followed_on():
    results = clip(lambda time: walker(time), [12])
    for number in (15, 16, 17):
        results[number] = FrameResult(number, number, number / 25, ())
    assert exchanged(results, list(repair_results(results))) == [12]


def test_few_frames_are_held_back_and_everything_comes_out():
    taken = 0

    def stream():
        nonlocal taken
        for result in clip(lambda time: walker(time), frames=200, fps=100.0):
            taken += 1
            yield f"frame {result.index}", result

    given = 0
    for item, result in repair_sides(stream()):
        assert item == f"frame {result.index}"
        assert result.index == given
        given += 1
        assert taken - given <= LAG_FRAMES
    assert given == 200


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_results(count):
    results = clip(lambda time: walker(time), frames=count)
    assert exchanged(results, list(repair_results(results))) == []


def test_joints_that_were_not_predicted_do_no_harm():
    results = clip(lambda time: walker(time), [12])
    for result in results[5:9]:
        result.people[0].keypoints[LEFT + RIGHT] = 0
    assert 12 in exchanged(results, list(repair_results(results)))


def test_feet_are_exchanged_with_the_legs():
    joints = result_joints(JOINT_SETS["halpe26"].channels)
    feet = [[joints.index(f"{side}_{part}") for part in FOOT] for side in ("left", "right")]
    wrong, frames = set(range(30, 36)), []
    for result in clip(walker, wrong):
        [one] = result.people
        points = np.zeros((len(joints), 3), np.float32)
        points[:17] = one.keypoints
        for number, (left, right) in enumerate(zip(*feet, strict=True)):
            points[left], points[right] = (number, 1, 0.5), (number, 2, 0.6)
        frames.append(replace(result, people=(replace(one, keypoints=points, joints=joints),)))
    repaired = list(repair_results(frames))
    for before, after in zip(frames, repaired, strict=True):
        old, new = before.people[0].keypoints, after.people[0].keypoints
        turned = before.index in wrong
        np.testing.assert_array_equal(new[feet[0]], old[feet[1 if turned else 0]])
        np.testing.assert_array_equal(new[feet[1]], old[feet[0 if turned else 1]])
        np.testing.assert_array_equal(new[17:20], old[17:20])  # eyes and hip stay
