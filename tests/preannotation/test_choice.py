"""Which frames are chosen for labelling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dcpose_cli.preannotation.choice import ALIKE, alike, choose_frames
from dcpose_cli.sides import LEFT, RIGHT
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person


def walker(time):
    """Somebody 200 pixels tall who walks to the right: nobody is twice at the same place."""
    points = np.zeros((17, 3), np.float32)
    points[:, :2] = np.random.default_rng(1).uniform(0, 60, (17, 2))
    swing = np.sin(2 * np.pi * time)
    for part, reach, y in (("knee", 20, 150), ("ankle", 40, 195)):
        for sign, side in ((1, "left"), (-1, "right")):
            points[JOINT_NAMES.index(f"{side}_{part}"), :2] = 50 + sign * reach * swing, y
    points[:, 0] += 200 * time
    points[:, 2] = 0.8
    return points


def at(index, points, track=0, **more):
    box = np.array([points[:, 0].min(), 0, 100, 200], np.float32)
    return FrameResult(index, index, index / 25, (Person(track, box, 0.9, points, **more),))


def clip(frames=200):
    return [at(index, walker(index / 25)) for index in range(frames)]


def with_points(frame, change):
    points = frame.people[0].keypoints.copy()
    change(points)
    return replace(frame, people=(replace(frame.people[0], keypoints=points),))


def indexes(choices):
    return [choice.frame.index for choice in choices]


def test_equally_sure_frames_are_spread_over_the_video():
    chosen = indexes(choose_frames(clip(), 5))
    assert len(chosen) == 5
    assert min(np.diff([0, *chosen, 199])[1:-1]) >= 35  # 40 would be equal


def test_doubtful_frames_come_first_and_say_why():
    frames = clip()
    for index in range(60, 63):
        frames[index] = with_points(frames[index], lambda p: p.__setitem__(LEFT + RIGHT, p[RIGHT + LEFT]))
    frames[120] = with_points(frames[120], lambda p: p.__setitem__((slice(None), 2), 0.1))
    frames[170] = at(170, walker(170 / 25), interpolated=True)
    chosen = {choice.frame.index: choice.reasons for choice in choose_frames(frames, 6)}
    assert chosen[120] == ("low confidence",)
    assert chosen[170] == ("filled gap",)
    swapped = [index for index, reasons in chosen.items() if reasons == ("probable swap of the legs",)]
    assert len(swapped) == 1
    assert 60 <= swapped[0] < 63
    assert sum(not reasons for reasons in chosen.values()) == 3
    assert list(chosen) == sorted(chosen)


def test_frames_that_look_alike_are_taken_once():
    still = [at(index, walker(0)) for index in range(100)]
    assert len(choose_frames(still, 10)) == 1
    moved = [*still, *(at(100 + k, walker(1 + k / 25)) for k in range(100))]
    chosen = indexes(choose_frames(moved, 10))
    assert sum(index < 100 for index in chosen) == 1
    assert len(chosen) == 10


def test_alike_means_the_same_people_at_the_same_places():
    one = at(0, walker(0))
    near = with_points(one, lambda p: p.__setitem__((slice(None), 0), p[:, 0] + 0.9 * ALIKE * 200))
    far = with_points(one, lambda p: p.__setitem__((slice(None), 0), p[:, 0] + 1.1 * ALIKE * 200))
    assert alike(one, near)
    assert not alike(one, far)
    assert not alike(one, at(1, walker(0), track=1))
    assert not alike(one, replace(one, people=one.people + at(0, walker(1), track=1).people))


def test_where_a_second_model_disagrees_is_chosen():
    frames = clip()
    other = clip()
    other[90] = with_points(other[90], lambda p: p.__setitem__((slice(5, None), 1), p[5:, 1] + 30))
    other[150] = replace(other[150], people=())
    other[30] = replace(other[30], people=other[30].people + at(30, walker(9), track=3).people)
    chosen = {choice.frame.index: choice.reasons for choice in choose_frames(frames, 3, other)}
    assert chosen == {30: ("models disagree",), 90: ("models disagree",), 150: ("models disagree",)}
    # Of people who were chosen, somebody whom only the other model has says nothing.
    assert 30 not in indexes(choose_frames(frames, 3, other, everybody=False))


def test_damaged_frames_and_empty_ones_are_not_taken():
    frames = [replace(frame, damaged=frame.index % 2 == 0) for frame in clip(20)]
    frames[5] = replace(frames[5], people=())
    chosen = indexes(choose_frames(frames, 20))
    assert chosen == [1, 3, *range(7, 20, 2)]
    assert choose_frames([replace(frame, people=()) for frame in clip(5)], 3) == []
