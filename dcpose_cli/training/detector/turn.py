"""Boxes of people in a turned picture.

The corners of a turned box span too much, because no person fills them. Known joints give a person's extent; without
them a shape between the ellipse in the box and the box itself does.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Exponent of the shape in the box: 2 is an ellipse, 1 the box itself.
SPREAD: Final = 1.7
#: Joints are used when there are at least so many, and they span this share of both sides of the box.
MIN_JOINTS: Final = 9
MIN_SPAN: Final = 0.6
#: Margin around joints, in shares of the longer side of the box: least and most.
JOINT_MARGIN: Final = (0.02, 0.12)
#: Below this angle between the axes of picture and canvas (its sine), joints give no more than the box.
MIN_SINE: Final = 0.1
#: Where a head is when no nose is known, in shares of the box's height from the top.
HEAD_DEPTH: Final = 0.12


def turned_boxes(
    boxes: NDArray[np.float32],
    matrix: NDArray[np.float64],
    joints: NDArray[np.float32] | None = None,
    spread: float = SPREAD,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes (N, 4) xyxy and places of heads (N, 2) after an affine map (2, 3).

    boxes: (N, 4) xyxy pixels. joints: (N, J, 2) pixels, the nose first, NaN where unknown. Without a turn the boxes
    are exact.
    """
    linear, offset = matrix[:, :2], matrix[:, 2]
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    centres = middle @ linear.T + offset
    reach = (np.abs(half[:, None, :] * linear[None]) ** spread).sum(2) ** (1 / spread)  # (N, 2)
    heads = np.stack([middle[:, 0], boxes[:, 1] + HEAD_DEPTH * 2 * half[:, 1]], 1)
    out = np.concatenate([centres - reach, centres + reach], 1)
    turn = np.abs(linear[0, 1]) / max(float(np.hypot(*linear[0])), 1e-9)
    if joints is not None and len(boxes):
        heads = np.where(np.isnan(joints[:, 0]), heads, joints[:, 0])
        if turn > MIN_SINE:
            outer = (np.abs(half[:, None, :] * linear[None])).sum(2)
            for number in np.flatnonzero(_with_enough_joints(boxes, joints)):
                known = joints[number][~np.isnan(joints[number, :, 0])]
                gaps = np.concatenate([known.min(0) - boxes[number, :2], boxes[number, 2:] - known.max(0)])
                longer = 2 * float(half[number].max())
                flesh = np.clip(gaps.mean() / longer, *JOINT_MARGIN) * longer * np.hypot(linear[:, 0], linear[:, 1])
                moved = known @ linear.T + offset
                span = np.concatenate([moved.min(0) - flesh, moved.max(0) + flesh])
                low, high = np.tile(centres[number] - outer[number], 2), np.tile(centres[number] + outer[number], 2)
                out[number] = np.clip(span, low, high)
    return out.astype(np.float32), (heads @ linear.T + offset).astype(np.float32)


def _with_enough_joints(boxes: NDArray[np.float32], joints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """For whom joints are enough, (N,): many are known, none far outside the box, and they span it."""
    known = ~np.isnan(joints[..., 0])
    out = np.zeros(len(boxes), np.bool_)
    for number in np.flatnonzero(known.sum(1) >= MIN_JOINTS):
        points, box = joints[number][known[number]], boxes[number]
        sides = np.maximum(box[2:] - box[:2], 1e-6)
        inside = (points >= box[:2] - 0.1 * sides) & (points <= box[2:] + 0.1 * sides)
        out[number] = bool(inside.all() and ((points.max(0) - points.min(0)) >= MIN_SPAN * sides).all())
    return out
