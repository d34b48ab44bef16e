from __future__ import annotations

import math

import numpy as np
import pytest

from dcpose_cli.evaluation.jitter import jitter
from dcpose_cli.types import FrameResult, Person


def track(positions, height=100.0, first=0, track_id=0):
    """One person whose joints all lie at (x, 0) of `positions`, frame after frame; None: not there."""
    frames = []
    for k, x in enumerate(positions):
        keypoints = np.zeros((17, 3), np.float32)
        keypoints[:, 0] = 0 if x is None else x
        people = () if x is None else (Person(track_id, np.array([0, 0, 50, height], np.float32), 0.9, keypoints),)
        frames.append(FrameResult(first + k, first + k, (first + k) / 25, people))
    return frames


def test_still_and_steady_people_do_not_tremble():
    assert jitter(track([5, 5, 5, 5])) == 0
    assert jitter(track([0, 3, 6, 9])) == 0


def test_a_joint_that_jumps_to_and_fro():
    assert jitter(track([0, 1, 0, 1])) == pytest.approx(2.0)  # second differences of 2 px, 100 px tall
    assert jitter(track([0, 1, 0, 1], height=50)) == pytest.approx(4.0)


def test_gaps_and_other_people_are_not_motion():
    assert jitter(track([0, 0, None, 50, 50, 50])) == 0
    assert math.isnan(jitter(track([0, 50])))
    assert math.isnan(jitter([]))
    swapped = [*track([0, 0, 0], track_id=1), *track([90, 90, 90], first=3, track_id=2)]
    assert jitter(swapped) == 0
