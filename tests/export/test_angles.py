"""Joint angles from keypoints."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.export.angles import ALL_ANGLES, ANGLES, all_angles, angle_names, facing_of, joint_angles
from dcpose_cli.results import PoseTrackResult
from dcpose_cli.skeleton import JOINT_NAMES as NAMES
from dcpose_cli.skeleton.sets import JOINT_SETS, result_joints
from dcpose_cli.types import FrameResult, Person


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


def upright(**places):
    """(17, 3): somebody who stands upright and faces right, arms hanging; places: (x, y) that replace some, y down."""
    stand = {"head_top": (0, -80), "head_bottom": (0, -60), "nose": (6, -70)}
    for side in ("left", "right"):
        stand |= {f"{side}_shoulder": (0, -55), f"{side}_elbow": (0, -30), f"{side}_wrist": (0, -5)}
        stand |= {f"{side}_hip": (0, 0), f"{side}_knee": (0, 40), f"{side}_ankle": (0, 80)}
    points = np.zeros((17, 3))
    for name, place in (stand | places).items():
        points[NAMES.index(name)] = (*place, 0.9)
    return points


def named(points, facing=1.0, aspect=1.0):
    degrees, score = all_angles(points[None], np.array([facing]), aspect)
    assert degrees.shape == score.shape == (1, len(ALL_ANGLES)) == (1, 28)
    return dict(zip(ALL_ANGLES, degrees[0].tolist(), strict=True))


def test_somebody_who_stands_upright() -> None:
    angles = named(upright())
    for name, value in angles.items():
        if name.endswith("_flexion"):
            assert value == pytest.approx(0), name
        elif name.endswith("_segment") and name not in ("pelvis_segment", "shoulders_segment"):
            assert value == pytest.approx(90), name
    assert np.isnan(angles["pelvis_segment"])  # seen from the side both hips lie on one spot
    front = named(upright(left_hip=(5, 0), right_hip=(-5, 0), left_shoulder=(8, -50), right_shoulder=(-8, -60)))
    assert front["pelvis_segment"] == pytest.approx(0)
    assert front["shoulders_segment"] == pytest.approx(-np.degrees(np.arctan2(10, 16)))


@pytest.mark.parametrize(
    ("name", "degrees", "places"),
    [
        ("left_knee_flexion", 90, {"left_ankle": (-40, 40)}),
        ("left_knee_flexion", -10, {"left_ankle": (40 * np.sin(np.radians(10)), 40 + 40 * np.cos(np.radians(10)))}),
        ("right_hip_flexion", 90, {"right_knee": (40, 0), "right_ankle": (40, 40)}),
        ("right_hip_flexion", -30, {"right_knee": (-20, 40 * np.cos(np.radians(30))), "right_ankle": (-20, 80)}),
        ("left_shoulder_flexion", 90, {"left_elbow": (25, -55)}),
        ("left_shoulder_flexion", 180, {"left_elbow": (0, -80)}),
        ("left_shoulder_flexion", -45, {"left_elbow": (-20, -35)}),
        ("right_elbow_flexion", 120, {"right_wrist": (25 * np.sin(np.radians(60)), -30 - 25 * np.cos(np.radians(60)))}),
        (
            "right_elbow_flexion",
            200,
            {"right_wrist": (-25 * np.sin(np.radians(20)), -30 - 25 * np.cos(np.radians(20)))},
        ),
        (
            "left_shoulder_flexion",
            190,
            {"left_elbow": (-25 * np.sin(np.radians(10)), -55 - 25 * np.cos(np.radians(10)))},
        ),
        ("left_thigh_segment", 180, {"left_knee": (40, 0)}),
        ("left_shank_segment", 45, {"left_ankle": (-40, 80)}),
        ("trunk_segment", 45, {"left_shoulder": (55, -55), "right_shoulder": (55, -55)}),
        ("head_segment", 0, {"head_top": (20, -60)}),
    ],
)
def test_signs_and_zeros(name, degrees, places) -> None:
    points = upright(**places)
    assert named(points)[name] == pytest.approx(degrees)
    mirrored = points * (-1, 1, 1)
    mirror = named(mirrored, facing=-1.0)[name]
    expected = degrees if name.endswith("_flexion") else 180 - degrees
    assert np.cos(np.radians(mirror - expected)) == pytest.approx(1)
    stored = points * (0.5, 1, 1)
    assert named(stored, aspect=2.0)[name] == pytest.approx(degrees)
    missing = points.copy()
    missing[:] = 0
    assert np.isnan(named(missing)[name])


def test_where_somebody_faces() -> None:
    def frame(index, *people):
        return FrameResult(
            index, index, index / 25, tuple(Person(t, np.ones(4, np.float32), 0.9, p) for t, p in people)
        )

    right, left = upright(), upright() * (-1, 1, 1)
    nobody = np.zeros((17, 3))
    frames = [frame(0, (1, right), (2, left)), frame(1, (1, right), (2, left)), frame(2, (1, left), (3, nobody))]
    assert facing_of(PoseTrackResult({}, frames)) == {1: 1.0, 2: -1.0}


HALPE = result_joints(JOINT_SETS["halpe26"].channels)


def standing_on_feet(toe=(20, 0), facing=1):
    """(27, 3): `upright` with feet; toe: of the big toes, from the heel under the ankle, y up."""
    points = np.zeros((len(HALPE), 3))
    points[:17] = upright()
    for side in ("left", "right"):
        points[HALPE.index(f"{side}_heel")] = (0, 90, 0.8)
        points[HALPE.index(f"{side}_big_toe")] = (facing * toe[0], 90 - toe[1], 0.7)
    return points


@pytest.mark.parametrize("facing", [1, -1])
@pytest.mark.parametrize(("toe", "flexion"), [((20, 0), 0.0), ((20, 20), 45.0), ((20, -20), -45.0), ((0, -20), -90.0)])
def test_feet(facing, toe, flexion) -> None:
    """Toes lifted to the shin are dorsiflexion, whichever way somebody faces."""
    assert angle_names() == ALL_ANGLES
    assert angle_names(HALPE)[:28] == ALL_ANGLES
    points = standing_on_feet(toe, facing)[None]
    degrees, score = all_angles(points, np.array([float(facing)]), 1.0, HALPE)
    angles = dict(zip(angle_names(HALPE), degrees[0].tolist(), strict=True))
    for side in ("left", "right"):
        assert angles[f"{side}_ankle_flexion"] == pytest.approx(flexion)
        direction = np.degrees(np.arctan2(toe[1], facing * toe[0]))
        assert angles[f"{side}_foot_segment"] == pytest.approx(180 if direction == -180 else direction)
        # Knee, ankle and toe: the ankle lies ten above the heel.
        expected = np.degrees(np.arctan2(toe[0], -(toe[1] - 10)))
        assert angles[f"{side}_ankle"] == pytest.approx(180 - abs(expected))
    assert angles["left_knee"] == 180
    assert score[0, angle_names(HALPE).index("left_foot_segment")] == pytest.approx(0.7)
    without, _ = all_angles(points[:, :17], np.array([float(facing)]))
    np.testing.assert_array_equal(degrees[:, :28], without)


def test_toes_say_where_somebody_without_a_neck_faces() -> None:
    frames = []
    for index in range(3):
        people = []
        for track, facing in enumerate((1, -1)):
            points = standing_on_feet(facing=facing)
            points[HALPE.index("head_bottom")] = 0
            box = np.array([0, 0, 10, 10], np.float32)
            people.append(Person(track, box, 0.9, points.astype(np.float32), joints=HALPE))
        frames.append(FrameResult(index, index, index / 25, tuple(people)))
    assert facing_of(PoseTrackResult({}, frames, joints=HALPE)) == {0: 1.0, 1: -1.0}
