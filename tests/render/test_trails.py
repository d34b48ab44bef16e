"""Trails: where they are drawn, that they fade and end, and that gaps break them."""

from __future__ import annotations

import numpy as np

from dcpose_cli.render.trails import TRAIL_SLOTS, Trails
from dcpose_cli.types import FrameResult, Person

BLACK = np.zeros((120, 200, 3), np.uint8)


def result(index, x, time=None, score=0.9, slots=(9,)):
    keypoints = np.zeros((17, 3), np.float32)
    for slot in slots:
        keypoints[slot] = (x, 60, score)
    moment = index / 25 if time is None else time
    return FrameResult(index, index, moment, (Person(2, np.array([0, 0, 50, 100], np.float32), 0.9, keypoints),))


def brightness(image, x):
    return int(image[52:68, x].max())


def test_a_hand_leaves_a_fading_line():
    trails = Trails(1.0, 0.3)
    for index in range(21):
        drawn = trails(BLACK, result(index, 20 + 6 * index))
    assert (BLACK == 0).all()
    near, far = brightness(drawn, 130), brightness(drawn, 40)
    assert near > far + 50 > 70
    assert brightness(drawn, 160) == 0


def test_it_ends_after_its_seconds():
    trails = Trails(0.4, 0.3)
    for index in range(26):
        drawn = trails(BLACK, result(index, 20 + 4 * index))
    assert brightness(drawn, 40) == 0
    assert brightness(drawn, 110) > 0


def test_a_pause_and_weak_joints_break_it():
    trails = Trails(5.0, 0.3)
    trails(BLACK, result(0, 20))
    assert not trails(BLACK, result(1, 180, time=1.0)).any()
    weak = Trails(5.0, 0.3)
    weak(BLACK, result(0, 20, score=0.2))
    assert not weak(BLACK, result(1, 180, score=0.2)).any()


def test_only_hands_feet_and_head():
    others = tuple(slot for slot in range(17) if slot not in TRAIL_SLOTS)
    trails = Trails(5.0, 0.3)
    trails(BLACK, result(0, 20, slots=others))
    assert not trails(BLACK, result(1, 180, slots=others)).any()
