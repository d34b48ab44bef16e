"""Angles in the plane of the picture, in degrees: between limbs, flexions with a sign, segments to the horizontal.

Between limbs (`left_knee` ...): 0..180, 180 is a straight limb.

Flexions (`left_knee_flexion` ...): -180..180, the turn from one direction to another. Positive is flexion of a person
who is seen from the side; facing right or left is taken from the head (`facing_of`).

    knee       from the thigh (hip -> knee) to the shank (knee -> ankle); 0 straight, positive backwards
    hip        from the trunk (shoulder -> hip) to the thigh (hip -> knee); 0 straight, positive forwards
    shoulder   from the trunk (shoulder -> hip) to the arm (shoulder -> elbow); 0 hanging, positive forwards, 180 up
    elbow      from the arm (shoulder -> elbow) to the forearm (elbow -> wrist); 0 straight, positive forwards

Segments (`left_shank_segment` ...): -180..180, anticlockwise from the horizontal to the right to the direction from
the far end to the near end: 90 for all of them in somebody who stands upright with hanging arms.

    shank ankle -> knee, thigh knee -> hip, arm elbow -> shoulder, forearm wrist -> elbow
    trunk middle of the hips -> middle of the shoulders, head head_bottom -> head_top
    pelvis right hip -> left hip, shoulders right shoulder -> left shoulder: 0 for somebody who faces the camera upright

These are the joint and segment angles of Sports2D except those of ankles and feet, for which there are no joints.
Nothing is known of depth: limbs that point at the camera look shorter, and their angles are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..results.reader import PoseTrackResult
from ..results.serialization import present
from ..skeleton import JOINT_NAMES

#: Angle -> the joint it is at, between the two others: end, corner, end.
ANGLES: Final[dict[str, tuple[str, str, str]]] = {
    f"{side}_{name}": (f"{side}_{first}", f"{side}_{name}", f"{side}_{last}")
    for name, first, last in (
        ("shoulder", "elbow", "hip"),
        ("elbow", "shoulder", "wrist"),
        ("hip", "shoulder", "knee"),
        ("knee", "hip", "ankle"),
    )
    for side in ("left", "right")
}
_SIDES: Final = ("left", "right")
#: Flexion -> start and end of the first direction, start and end of the second, and the sign of an anticlockwise turn
#: of somebody who faces right.
FLEXIONS: Final[dict[str, tuple[str, str, str, str, int]]] = {
    f"{s}_{name}_flexion": (f"{s}_{a}", f"{s}_{b}", f"{s}_{c}", f"{s}_{d}", sign)
    for name, a, b, c, d, sign in (
        ("shoulder", "shoulder", "hip", "shoulder", "elbow", 1),
        ("elbow", "shoulder", "elbow", "elbow", "wrist", 1),
        ("hip", "shoulder", "hip", "hip", "knee", 1),
        ("knee", "hip", "knee", "knee", "ankle", -1),
    )
    for s in _SIDES
}
#: Segment -> where its direction begins and ends; two joints stand for their middle.
SEGMENTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    f"{s}_{name}_segment": ((f"{s}_{a}",), (f"{s}_{b}",))
    for name, a, b in (
        ("shank", "ankle", "knee"),
        ("thigh", "knee", "hip"),
        ("arm", "elbow", "shoulder"),
        ("forearm", "wrist", "elbow"),
    )
    for s in _SIDES
} | {
    "pelvis_segment": (("right_hip",), ("left_hip",)),
    "shoulders_segment": (("right_shoulder",), ("left_shoulder",)),
    "trunk_segment": (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")),
    "head_segment": (("head_bottom",), ("head_top",)),
}
#: Every angle of the tables, in their order.
ALL_ANGLES: Final[tuple[str, ...]] = (*ANGLES, *FLEXIONS, *SEGMENTS)
_TRIPLES: Final = np.array([[JOINT_NAMES.index(joint) for joint in joints] for joints in ANGLES.values()])


def joint_angles(
    keypoints: NDArray[np.floating], pixel_aspect: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles of people in the order of ANGLES.

    keypoints: (N, 17, 3) x, y in pixels, confidence. pixel_aspect: width of a pixel over its height.
    Returns (degrees, confidence), both (N, 8): degrees in 0..180, NaN where one of the three joints is missing or two
    lie on one spot; confidence is the lowest of the three, 0 where there is none.
    """
    points = (np.asarray(keypoints, np.float64) * (pixel_aspect, 1, 1))[:, _TRIPLES]
    first, last = (points[:, :, end, :2] - points[:, :, 1, :2] for end in (0, 2))
    cross = first[..., 0] * last[..., 1] - first[..., 1] * last[..., 0]
    dot = (first * last).sum(axis=-1)
    degrees = np.degrees(np.arctan2(np.abs(cross), dot))
    there = present(points).all(axis=-1)
    apart = (first != 0).any(axis=-1) & (last != 0).any(axis=-1)
    known = there & apart
    return np.where(known, degrees, np.nan), np.where(known, points[..., 2].min(axis=-1), 0.0)


def all_angles(
    keypoints: NDArray[np.floating], facing: NDArray[np.floating], pixel_aspect: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles of people in the order of ALL_ANGLES.

    keypoints: (N, 17, 3) x, y in pixels, confidence. facing: (N,) 1 for the right, -1 for the left. Returns as
    `joint_angles`: (degrees, confidence), both (N, 28).
    """
    plain, least = joint_angles(keypoints, pixel_aspect)
    points = np.asarray(keypoints, np.float64) * (pixel_aspect, -1, 1)  # y up: anticlockwise is positive
    known = present(np.asarray(keypoints))
    columns, scores = [plain], [least]
    for a, b, c, d, sign in FLEXIONS.values():
        one, other = _direction(points, known, (a,), (b,)), _direction(points, known, (c,), (d,))
        degrees = np.degrees(np.angle(other[0] * np.conj(one[0]))) * sign * np.asarray(facing, np.float64)
        columns.append(_signed(np.where(one[2] & other[2], degrees, np.nan))[:, None])
        scores.append(np.where(one[2] & other[2], np.minimum(one[1], other[1]), 0.0)[:, None])
    for start, end in SEGMENTS.values():
        vector, score, there = _direction(points, known, start, end)
        columns.append(_signed(np.where(there, np.degrees(np.angle(vector)), np.nan))[:, None])
        scores.append(np.where(there, score, 0.0)[:, None])
    return np.concatenate(columns, axis=1), np.concatenate(scores, axis=1)


def _signed(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees in -180..180, where -180 is written as 180."""
    return np.where(degrees <= -180 + 1e-9, degrees + 360, degrees)


def _direction(
    points: NDArray[np.float64], known: NDArray[np.bool_], start: Sequence[str], end: Sequence[str]
) -> tuple[NDArray[np.complex128], NDArray[np.float64], NDArray[np.bool_]]:
    """From start to end as complex numbers (N,), the least confidence, and where both ends are there and apart."""
    slots = [[JOINT_NAMES.index(name) for name in names] for names in (start, end)]
    places = [points[:, which, :2].mean(axis=1) for which in slots]
    vector = (places[1] - places[0]) @ np.array([1, 1j])
    every = slots[0] + slots[1]
    return vector, points[:, every, 2].min(axis=1), known[:, every].all(axis=1) & (vector != 0)


def facing_of(result: PoseTrackResult) -> dict[int, float]:
    """1 for tracks that face right in the picture, -1 for those that face left: where the nose lies beside the neck.

    The median over the track; somebody who faces the camera, or whose head is not found, counts as facing right.
    """
    nose, neck = JOINT_NAMES.index("nose"), JOINT_NAMES.index("head_bottom")
    sides: dict[int, list[float]] = {}
    for frame in result.frames:
        for person in frame.people:
            there = present(person.keypoints)
            if there[nose] and there[neck]:
                aside = float(person.keypoints[nose, 0] - person.keypoints[neck, 0])
                sides.setdefault(person.track_id, []).append(aside)
    return {track: -1.0 if np.median(values) < 0 else 1.0 for track, values in sides.items()}
