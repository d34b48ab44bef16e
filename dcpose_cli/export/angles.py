"""Angles in the plane of the picture, in degrees: between limbs, flexions with a sign, segments to the horizontal.

Between limbs (`left_knee` ...): 0..180, 180 is a straight limb.

Flexions (`left_knee_flexion` ...): -90..270, the turn from one direction to another. Positive is flexion of a person
who is seen from the side; facing right or left is taken from the head (`facing_of`). No joint bends back by 90
degrees, and one that is bent as far as it can be does not jump from 180 to -180.

    knee       from the thigh (hip -> knee) to the shank (knee -> ankle); 0 straight, positive backwards
    hip        from the trunk (shoulder -> hip) to the thigh (hip -> knee); 0 straight, positive forwards
    shoulder   from the trunk (shoulder -> hip) to the arm (shoulder -> elbow); 0 hanging, positive forwards, 180 up
    elbow      from the arm (shoulder -> elbow) to the forearm (elbow -> wrist); 0 straight, positive forwards

Segments (`left_shank_segment` ...): -180..180, anticlockwise from the horizontal to the right to the direction from
the far end to the near end: 90 for all of them in somebody who stands upright with hanging arms.

    shank ankle -> knee, thigh knee -> hip, arm elbow -> shoulder, forearm wrist -> elbow
    trunk middle of the hips -> middle of the shoulders, head head_bottom -> head_top
    pelvis right hip -> left hip, shoulders right shoulder -> left shoulder: 0 for somebody who faces the camera upright

Of models that know the feet also:

    left_ankle          between shank and foot, knee, ankle, big toe
    left_ankle_flexion  from the shank (knee -> ankle) to the foot (heel -> big toe); 0 at a right angle, positive where
                        the toes are nearer to the shin
    left_foot_segment   heel -> big toe: 0 for somebody who stands and faces right, 180 for one who faces left

These are the joint and segment angles of Sports2D. Nothing is known of depth: limbs that point at the camera look
shorter, and their angles are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
#: Flexions lie between this and a whole turn more.
LEAST_FLEXION: Final = -90.0
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
#: The same with feet.
FOOT_ANGLES: Final[dict[str, tuple[str, str, str]]] = {
    f"{s}_ankle": (f"{s}_knee", f"{s}_ankle", f"{s}_big_toe") for s in _SIDES
}
FOOT_FLEXIONS: Final[dict[str, tuple[str, str, str, str, int]]] = {
    f"{s}_ankle_flexion": (f"{s}_knee", f"{s}_ankle", f"{s}_heel", f"{s}_big_toe", 1) for s in _SIDES
}
FOOT_SEGMENTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    f"{s}_foot_segment": ((f"{s}_heel",), (f"{s}_big_toe",)) for s in _SIDES
}
_WITH_FEET: Final = (*ALL_ANGLES, *FOOT_ANGLES, *FOOT_FLEXIONS, *FOOT_SEGMENTS)
#: Turn from the shank to the foot at which the ankle is at rest, degrees.
_ANKLE_REST: Final = 90.0


def angle_names(joints: Sequence[str] = JOINT_NAMES) -> tuple[str, ...]:
    """The angles of people with these joints, in the order of the tables."""
    return _WITH_FEET if _has_feet(joints) else ALL_ANGLES


def _has_feet(joints: Sequence[str]) -> bool:
    return {f"{side}_{part}" for side in _SIDES for part in ("big_toe", "heel")} <= {*joints}


def joint_angles(
    keypoints: NDArray[np.floating],
    pixel_aspect: float = 1.0,
    angles: Mapping[str, tuple[str, str, str]] = ANGLES,
    joints: Sequence[str] = JOINT_NAMES,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles of people in the order of `angles`.

    keypoints: (N, J, 3) x, y in pixels, confidence, of `joints`. pixel_aspect: width of a pixel over its height.
    Returns (degrees, confidence), both (N, 8): degrees in 0..180, NaN where one of the three joints is missing or two
    lie on one spot; confidence is the lowest of the three, 0 where there is none.
    """
    triples = np.array([[joints.index(joint) for joint in three] for three in angles.values()])
    points = (np.asarray(keypoints, np.float64) * (pixel_aspect, 1, 1))[:, triples]
    first, last = (points[:, :, end, :2] - points[:, :, 1, :2] for end in (0, 2))
    cross = first[..., 0] * last[..., 1] - first[..., 1] * last[..., 0]
    dot = (first * last).sum(axis=-1)
    degrees = np.degrees(np.arctan2(np.abs(cross), dot))
    there = present(points).all(axis=-1)
    apart = (first != 0).any(axis=-1) & (last != 0).any(axis=-1)
    known = there & apart
    return np.where(known, degrees, np.nan), np.where(known, points[..., 2].min(axis=-1), 0.0)


def all_angles(
    keypoints: NDArray[np.floating],
    facing: NDArray[np.floating],
    pixel_aspect: float = 1.0,
    joints: Sequence[str] = JOINT_NAMES,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles of people in the order of `angle_names(joints)`.

    keypoints: (N, J, 3) x, y in pixels, confidence, of `joints`. facing: (N,) 1 for the right, -1 for the left. Returns
    as `joint_angles`: (degrees, confidence), both (N, 28), with feet (N, 34).
    """
    degrees, score = _angles(keypoints, facing, pixel_aspect, joints, ANGLES, FLEXIONS, SEGMENTS)
    if not _has_feet(joints):
        return degrees, score
    feet, sure = _angles(keypoints, facing, pixel_aspect, joints, FOOT_ANGLES, FOOT_FLEXIONS, FOOT_SEGMENTS)
    flexions = slice(len(FOOT_ANGLES), len(FOOT_ANGLES) + len(FOOT_FLEXIONS))
    feet[:, flexions] = _signed((feet[:, flexions] - _ANKLE_REST + 180) % 360 - 180)
    return np.concatenate([degrees, feet], axis=1), np.concatenate([score, sure], axis=1)


def _angles(
    keypoints: NDArray[np.floating],
    facing: NDArray[np.floating],
    pixel_aspect: float,
    joints: Sequence[str],
    angles: Mapping[str, tuple[str, str, str]],
    flexions: Mapping[str, tuple[str, str, str, str, int]],
    segments: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    plain, least = joint_angles(keypoints, pixel_aspect, angles, joints)
    points = np.asarray(keypoints, np.float64) * (pixel_aspect, -1, 1)  # y up: anticlockwise is positive
    known = present(np.asarray(keypoints))
    columns, scores = [plain], [least]
    for a, b, c, d, sign in flexions.values():
        one, other = (_direction(points, known, joints, (start,), (end,)) for start, end in ((a, b), (c, d)))
        degrees = np.degrees(np.angle(other[0] * np.conj(one[0]))) * sign * np.asarray(facing, np.float64)
        degrees = np.where(degrees < LEAST_FLEXION, degrees + 360, degrees)
        columns.append(np.where(one[2] & other[2], degrees, np.nan)[:, None])
        scores.append(np.where(one[2] & other[2], np.minimum(one[1], other[1]), 0.0)[:, None])
    for start, end in segments.values():
        vector, score, there = _direction(points, known, joints, start, end)
        columns.append(_signed(np.where(there, np.degrees(np.angle(vector)), np.nan))[:, None])
        scores.append(np.where(there, score, 0.0)[:, None])
    return np.concatenate(columns, axis=1), np.concatenate(scores, axis=1)


def _signed(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees in -180..180, where -180 is written as 180."""
    return np.where(degrees <= -180 + 1e-9, degrees + 360, degrees)


def _direction(
    points: NDArray[np.float64],
    known: NDArray[np.bool_],
    joints: Sequence[str],
    start: Sequence[str],
    end: Sequence[str],
) -> tuple[NDArray[np.complex128], NDArray[np.float64], NDArray[np.bool_]]:
    """From start to end as complex numbers (N,), the least confidence, and where both ends are there and apart."""
    slots = [[joints.index(name) for name in names] for names in (start, end)]
    places = [points[:, which, :2].mean(axis=1) for which in slots]
    vector = (places[1] - places[0]) @ np.array([1, 1j])
    every = slots[0] + slots[1]
    return vector, points[:, every, 2].min(axis=1), known[:, every].all(axis=1) & (vector != 0)


def facing_of(result: PoseTrackResult) -> dict[int, float]:
    """1 for tracks that face right in the picture, -1 for those that face left: where the nose lies beside the neck.

    Where the neck is not known, where the toes lie beside the heels. The median over the track; somebody who faces the
    camera, or whose head is not found, counts as facing right.
    """
    pairs = [("nose", "head_bottom")]
    if _has_feet(result.joints):
        pairs += [(f"{side}_big_toe", f"{side}_heel") for side in _SIDES]
    ends = [(result.joints.index(front), result.joints.index(back)) for front, back in pairs]
    sides: dict[int, list[float]] = {}
    for frame in result.frames:
        for person in frame.people:
            there = present(person.keypoints)
            known = [(front, back) for front, back in ends if there[front] and there[back]]
            if known:
                asides = [float(person.keypoints[front, 0] - person.keypoints[back, 0]) for front, back in known]
                aside = asides[0] if known[0] == ends[0] else sum(asides)
                sides.setdefault(person.track_id, []).append(aside)
    return {track: -1.0 if np.median(values) < 0 else 1.0 for track, values in sides.items()}
