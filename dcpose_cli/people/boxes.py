"""How much person boxes overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def iou(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union (N,) of a box with others, xywh."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    inter = np.prod(np.clip(high - low, 0, None), axis=1)
    union = box[2] * box[3] + others[:, 2] * others[:, 3] - inter
    return np.asarray(inter / np.maximum(union, 1e-6), np.float32)
