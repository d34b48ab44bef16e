"""Heatmaps -> keypoints in the frame (SPEC 6.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..skeleton import FLIP_ORDER
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


#: Standard deviation, in heatmap pixels, of what `smoothed_peaks` smooths with. Chosen on validation people (models/
#: dcpose-s/notes.md): targets have 2.
SMOOTHING: Final = 1.5


def smoothed_peaks(heatmaps: Tensor) -> Tensor:
    """Maxima of the smoothed heatmaps, between the pixels; arguments and result as those of `peaks`.

    What a network with unbiased targets draws around a joint is nearly a Gaussian, whose logarithm is a parabola: the
    three pixels around the maximum give its top exactly. Smoothing takes the noise out and prefers a broad bump, which
    is more often right, to a narrow one of the same height. The idea is that of "Distribution-aware coordinate
    representation for human pose estimation" (CVPR 2020). The value is the unsmoothed map's at that pixel.
    """
    n, j, h, w = heatmaps.shape
    with torch.autocast(device_type=heatmaps.device.type, enabled=False):
        raw = heatmaps.float()
        smooth = _smoothing(h, raw.device) @ raw.clamp(min=0) @ _smoothing(w, raw.device).T
    flat = smooth.reshape(n, j, h * w)
    value, where = flat.max(dim=2)
    positive = value > 0
    where = torch.where(positive, where, 0)
    x, y = where % w, where // w

    def step(place: Tensor, side: int, delta: int) -> Tensor:
        inner = positive & (place > 0) & (place < side - 1)
        near = torch.stack([where + k * inner for k in (-delta, 0, delta)], dim=2)
        before, here, after = flat.gather(2, near).clamp(min=1e-12).log().unbind(dim=2)
        bend = before - 2 * here + after
        return torch.where(bend < 0, ((before - after) / (2 * bend)).clamp(-0.5, 0.5), 0.0)

    score = raw.reshape(n, j, h * w).gather(2, where[..., None])[..., 0]
    return torch.stack([x + step(x, w, 1), y + step(y, h, w), score], dim=2)


def _smoothing(side: int, device: torch.device) -> Tensor:
    """(side, side): a row's product with a map's column is a Gaussian mean around that place."""
    at = torch.arange(side, device=device, dtype=torch.float32)
    weights = torch.exp(-((at - at[:, None]) ** 2) / (2 * SMOOTHING**2))
    return weights / weights.sum(dim=1, keepdim=True)


def unmirrored(heatmaps: Tensor) -> Tensor:
    """Heatmaps (N, 17, h, w) of mirrored crops -> heatmaps of the crops, for a flip test.

    Left and right joints change places. Pixel i of a heatmap lies on pixel 4 i of a crop of 4 w pixels, so that the
    mirrored map lies 3/4 of a pixel too far left; it is moved to the right by one pixel, as published for HRNet. Its
    first column stays.
    """
    flipped = heatmaps[:, list(FLIP_ORDER)].flip(3)
    return torch.cat([flipped[..., :1], flipped[..., :-1]], dim=3)


Decoder = Callable[[Tensor], Tensor]
#: How joints are read from heatmaps, by the name that a model's header gives: as published, or better.
DECODERS: Final[dict[str, Decoder]] = {"quarter": peaks, "smoothed": smoothed_peaks}


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
