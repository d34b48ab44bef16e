"""Joint angles from keypoints."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.export.angles import ANGLES, joint_angles
from dcpose_cli.skeleton import JOINT_NAMES as NAMES


def test_angles() -> None:
    points = np.zeros((1, 17, 3))
    places = {"left_hip": (0, 0), "left_knee": (0, 10), "left_ankle": (0, 20), "left_shoulder": (0, -10)}
    places |= {"left_elbow": (10, -10), "left_wrist": (10, -20), "right_hip": (5, 0), "right_knee": (5, 0)}
    for score, (name, place) in enumerate(places.items(), start=1):
        points[0, NAMES.index(name)] = (*place, score / 10)
    degrees, score = joint_angles(points)
    known = dict(zip(ANGLES, degrees[0].tolist(), strict=True))
    assert known["left_knee"] == known["left_hip"] == 180
    assert known["left_elbow"] == known["left_shoulder"] == 90
    assert np.isnan(known["right_knee"])
    assert score[0, list(ANGLES).index("left_knee")] == pytest.approx(0.1)
    assert joint_angles(np.zeros((0, 17, 3)))[0].shape == (0, 8)


def test_angles_of_pixels_that_are_not_square() -> None:
    square = np.random.default_rng(2).uniform(0, 640, (50, 17, 3))
    stored = square * (0.75, 1, 1)
    degrees, _ = joint_angles(stored, 4 / 3)
    np.testing.assert_allclose(degrees, joint_angles(square)[0], atol=1e-9)
    assert np.abs(joint_angles(stored)[0] - degrees).max() > 5
