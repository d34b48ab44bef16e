"""Geometry of person boxes: areas and overlaps. Boxes are rows of x, y, width, height in pixels (xywh)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating]


def iou(box: Boxes, others: Boxes) -> NDArray[np.float32]:
    """Intersection over union (N,) of one xywh box (4,) with others (N, 4)."""
    row: NDArray[np.float32] = pairwise_iou(box[None], others)[0]
    return row


def pairwise_iou(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """Intersection over union of every pair of xywh boxes: (N, 4), (M, 4) -> (N, M); 0 where both are empty."""
    inter = pairwise_intersection(first, second)
    union = areas(first)[:, None] + areas(second)[None] - inter
    return np.asarray(inter / np.maximum(union, 1e-6), np.float32)


def pairwise_intersection(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Area in square pixels that every pair of xywh boxes shares: (N, 4), (M, 4) -> (N, M)."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    sides = np.clip(high - low, 0, None)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float64)


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """Areas (N,) in square pixels of xywh boxes (N, 4)."""
    boxes = np.asarray(boxes, np.float64)
    return np.asarray(boxes[:, 2] * boxes[:, 3], np.float64)


def from_corners(corners: Boxes) -> NDArray[np.float32]:
    """Boxes given by two corners, xyxy (N, 4), as xywh."""
    return np.concatenate([corners[:, :2], corners[:, 2:4] - corners[:, :2]], axis=1).astype(np.float32)


def inside(box: NDArray[np.float32], size: tuple[int, int]) -> float:
    """Share of an xywh box that lies in an image of this width and height."""
    sides = np.minimum(box[:2] + box[2:], size) - np.maximum(box[:2], 0)
    return float(np.prod(np.clip(sides, 0, None)) / max(float(box[2] * box[3]), 1e-6))


def not_suppressed(corners: Boxes, iou: float) -> NDArray[np.int64]:
    """Non-maximum suppression: which boxes xyxy (N, 4), best first, overlap no better kept one by more than `iou`.

    In the precision of `corners`. Returns ascending indices.
    """
    extent = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    kept, left = [], np.arange(len(corners))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low, high = np.maximum(corners[best, :2], corners[left, :2]), np.minimum(corners[best, 2:], corners[left, 2:])
        inter = np.prod(np.clip(high - low, 0, None), axis=1)
        # As a product: boxes without area have a union of 0.
        left = left[inter <= iou * (extent[best] + extent[left] - inter)]
    return np.array(kept, np.int64)
