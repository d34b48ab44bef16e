"""Heatmaps -> keypoints in the frame (SPEC 6.5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


#: Height of a heatmap over the standard deviation of its targets: published networks have 2 pixels
#: at 64 x 48 and 3 at 96 x 72.
_HEIGHT_PER_SIGMA: Final = 32
#: Half the width of the blurring kernel, in standard deviations: 11 pixels in all for 2, 17 for 3.
_KERNEL_REACH: Final = 2.5
#: No step of `taylor_peaks` is longer, pixels: farther away the expansion says nothing.
_MOST_STEP: Final = 2.0


def taylor_peaks(heatmaps: Tensor) -> Tensor:
    """Maxima between the pixels by DARK's Taylor step; arguments and result as those of `peaks`.

    "Distribution-aware coordinate representation for human pose estimation" (CVPR 2020): the heatmap is blurred with
    the Gaussian of its targets; P, the logarithm of that, is expanded to second order about the pixel m of the
    heatmap's maximum, and the joint is where the gradient vanishes: m - P''(m)^-1 P'(m). Without a maximum there, and
    next to the border, it is m.
    """
    n, j, h, w = heatmaps.shape
    with torch.autocast(device_type=heatmaps.device.type, enabled=False):
        raw = heatmaps.float()
        sigma = h / _HEIGHT_PER_SIGMA
        blurred = _kernel(h, sigma, raw.device) @ raw @ _kernel(w, sigma, raw.device)
    flat = raw.reshape(n, j, h * w)
    value, where = flat.max(dim=2)
    ties = flat == value[..., None]
    where = torch.where(ties.sum(dim=2) > 1, ties.to(torch.uint8).argmax(dim=2), where)
    where = torch.where(value > 0, where, 0)
    x, y = where % w, where // w
    inner = (x > 0) & (x < w - 1) & (y > 0) & (y < h - 1)
    middle = y.clamp(1, max(h - 2, 1)) * w + x.clamp(1, max(w - 2, 1))
    logs = blurred.clamp(min=1e-10).log().reshape(n, j, h * w)

    def at(dx: int, dy: int) -> Tensor:
        return logs.gather(2, (middle + dy * w + dx).clamp(0, h * w - 1)[..., None])[..., 0]

    here = at(0, 0)
    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = at(1, 0) - 2 * here + at(-1, 0), at(0, 1) - 2 * here + at(0, -1)
    dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    determinant = dxx * dyy - dxy * dxy
    usable = inner & (value > 0) & (dxx < 0) & (determinant > 0)
    whole = torch.where(usable, determinant, 1.0)
    step_x = torch.where(usable, (dxy * dy - dyy * dx) / whole, 0.0).clamp(-_MOST_STEP, _MOST_STEP)
    step_y = torch.where(usable, (dxy * dx - dxx * dy) / whole, 0.0).clamp(-_MOST_STEP, _MOST_STEP)
    return torch.stack([x + step_x, y + step_y, value], dim=2)


def _kernel(side: int, sigma: float, device: torch.device) -> Tensor:
    """(side, side), symmetric: its product with a map's columns is their convolution with a Gaussian, zeros outside."""
    reach = math.ceil(_KERNEL_REACH * sigma)
    at = torch.arange(side, device=device, dtype=torch.float32)
    apart = (at - at[:, None]).abs()
    ruler = torch.arange(-reach, reach + 1, dtype=torch.float32)
    total = float(torch.exp(-(ruler**2) / (2 * sigma**2)).sum())
    return torch.exp(-(apart**2) / (2 * sigma**2)) * (apart <= reach) / total


def unmirrored(heatmaps: Tensor, *, udp: bool = False, order: Sequence[int] = FLIP_ORDER) -> Tensor:
    """Heatmaps (N, 17, h, w) of mirrored crops -> heatmaps of the crops, for a flip test.

    Left and right joints change places. Pixel i of a heatmap lies on pixel 4 i of a crop of 4 w pixels, so that the
    mirrored map lies 3/4 of a pixel too far left; it is moved to the right by one pixel, as published for HRNet. Its
    first column stays. udp: the last pixels of map and crop lie on each other too (see Decoder), and nothing is moved.
    order: the channel of the mirrored person for every channel.
    """
    flipped = heatmaps[:, list(order)].flip(3)
    return flipped if udp else torch.cat([flipped[..., :1], flipped[..., :-1]], dim=3)


@dataclass(frozen=True, slots=True)
class Decoder:
    """How joints are read from heatmaps. read: heatmaps (N, J, h, w) -> (N, J, 3), as `peaks`.

    udp: the first and the last pixel of a heatmap lie on the first and the last of its crop, and these on the edges of
    the box: sides are measured from the first to the last pixel, size - 1 ("The devil is in the details: delving into
    unbiased data processing for human pose estimation", CVPR 2020). Else pixel 0 lies on pixel 0, and the scale is
    that of the sizes.
    """

    read: Callable[[Tensor], Tensor]
    udp: bool = False

    def __call__(self, heatmaps: Tensor) -> Tensor:
        """As `read`."""
        return self.read(heatmaps)


#: How joints are read from heatmaps, by the name that a model's header gives: a quarter of a pixel towards the larger
#: neighbour as HRNet does, as our own trainings do, as published with DARK, and with UDP (on DARK's step).
DECODERS: Final[dict[str, Decoder]] = {
    "quarter": Decoder(peaks),
    "smoothed": Decoder(smoothed_peaks),
    "dark": Decoder(taylor_peaks),
    "udp": Decoder(taylor_peaks, udp=True),
}


def to_image(
    points: NDArray[np.float32],
    boxes: NDArray[np.float32],
    heatmap_size: tuple[int, int],
    enlarge: float = 1.25,
    *,
    udp: bool = False,
) -> NDArray[np.float32]:
    """Peaks (N, J, 3) in heatmap pixels -> keypoints (N, J, 3) in image pixels; boxes (N, 4) xywh.

    heatmap_size: width and height. The inverse is built for the heatmap, not scaled from the crop's (SPEC 6.2).
    udp: see Decoder.
    """
    centers, scales = box_to_center_scale(boxes, heatmap_size, enlarge)
    out = np.array(points, np.float32)
    if len(out):
        forward = np.stack([crop_affine(c, s, heatmap_size, udp=udp) for c, s in zip(centers, scales, strict=True)])
        out[..., :2] = apply_affine(invert_affine(forward), points[..., :2])
    return out
