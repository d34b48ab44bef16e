"""Heatmaps -> keypoints in the frame (SPEC 6.5)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .crop import apply_affine, box_to_center_scale, crop_affine, invert_affine


def peaks(heatmaps: Tensor) -> Tensor:
    """Quarter-offset maxima of heatmaps (N, J, h, w) -> (N, J, 3) float32: x, y in heatmap pixels, raw value.

    The first maximum wins. A map without a positive value decodes to (0, 0). The quarter step towards the larger
    neighbour is made only two pixels or more away from the border.
    """
    n, j, h, w = heatmaps.shape
    flat = heatmaps.reshape(n, j, h * w).float()
    value, where = flat.max(dim=2)
    # torch promises no order among equal maxima; the first one wins here.
    ties = flat == value[..., None]
    where = torch.where(ties.sum(dim=2) > 1, ties.to(torch.uint8).argmax(dim=2), where)
    x, y = where % w, where // w
    positive = value > 0
    x, y = torch.where(positive, x, 0), torch.where(positive, y, 0)
    inner = (x > 1) & (x < w - 1) & (y > 1) & (y < h - 1)
    at = (y.clamp(1, h - 2) * w + x.clamp(1, w - 2))[..., None]

    def step(delta: int) -> Tensor:
        forward = flat.gather(2, at + delta)[..., 0]
        backward = flat.gather(2, at - delta)[..., 0]
        return torch.sign(forward - backward) * 0.25 * inner

    return torch.stack([x + step(1), y + step(w), value], dim=2)


def to_image(
    points: NDArray[np.float32], boxes: NDArray[np.float32], heatmap_size: tuple[int, int], enlarge: float = 1.25
) -> NDArray[np.float32]:
    """Peaks (N, J, 3) in heatmap pixels -> keypoints (N, J, 3) in image pixels; boxes (N, 4) xywh.

    heatmap_size: width and height. The inverse is built for the heatmap, not scaled from the crop's (SPEC 6.2).
    """
    centers, scales = box_to_center_scale(boxes, heatmap_size, enlarge)
    out = np.array(points, np.float32)
    if len(out):
        forward = np.stack([crop_affine(c, s, heatmap_size) for c, s in zip(centers, scales, strict=True)])
        out[..., :2] = apply_affine(invert_affine(forward), points[..., :2])
    return out
