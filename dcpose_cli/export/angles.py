"""Joint angles in the plane of the picture, in degrees: 180 is a straight limb."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

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
