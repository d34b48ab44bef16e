"""The damage of damage.py, applied to many crops at once on a device. Crops are (N, h, w, 3) float32 in 0..255."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dcpose_cli._opencv import cv2

from .pack import PoseSample

#: Kinds of damage, drawn alike.
KINDS = ("blur", "defocus", "cover", "coarsen", "person")
Box = tuple[float, float, float, float]

#: Luminance table of JPEG at quality 50.
_QUANTA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """Part of another picture that lies over a crop.

    matrix: (2, 3) from that picture to the crop. box: xyxy in crop pixels that it fills. soft: fades out at its edge.
    colour: one colour instead of the picture.
    """

    matrix: NDArray[np.float64]
    box: Box
    soft: bool
    colour: tuple[int, int, int] | None = None


def blur_kernel(length: float, degrees: float) -> NDArray[np.float32]:
    """A line through the middle, as `damage.motion_blur` has it; sides odd."""
    half = max(1, round(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    dx, dy = half * np.cos(np.radians(degrees)), half * np.sin(np.radians(degrees))
    cv2.line(kernel, (round(half - dx), round(half - dy)), (round(half + dx), round(half + dy)), (1.0,), 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def gaussian_kernel(sigma: float) -> NDArray[np.float32]:
    """(k, k), k odd, sum 1; reaching as far as OpenCV's."""
    line = cv2.getGaussianKernel(2 * int(np.ceil(4 * sigma)) + 1, sigma, cv2.CV_32F)
    return np.asarray(line @ line.T, np.float32)


def filtered(images: Tensor, kernels: list[NDArray[np.float32]]) -> Tensor:
    """Each crop through a kernel of its own; borders reflect."""
    side = max(k.shape[0] for k in kernels)
    h, w = images.shape[1:3]
    side = min(side, 2 * min(h, w) - 1)
    bank = np.stack([_fitted(k, side) for k in kernels])
    weight = torch.from_numpy(bank).to(images.device).repeat_interleave(3, dim=0)[:, None]
    n, half = len(images), side // 2
    planes = images.permute(0, 3, 1, 2).reshape(1, 3 * n, h, w)
    padded = F.pad(planes, (half, half, half, half), mode="reflect")
    return F.conv2d(padded, weight, groups=3 * n).view(n, 3, h, w).permute(0, 2, 3, 1)


def _fitted(kernel: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The kernel in the middle of a square of `side`, cut where it is larger."""
    cut = max(0, (kernel.shape[0] - side) // 2)
    inner = kernel[cut : kernel.shape[0] - cut, cut : kernel.shape[1] - cut]
    edge = (side - inner.shape[0]) // 2
    padded = np.pad(inner, edge)
    return np.asarray(padded / padded.sum(), np.float32)


def coarsened(image: Tensor, factor: float, quality: int) -> Tensor:
    """One crop (h, w, 3) with fewer pixels, then with JPEG's losses of brightness and colour alike."""
    h, w = image.shape[:2]
    small = (max(8, int(h / factor)), max(8, int(w / factor)))
    planes = F.interpolate(image.permute(2, 0, 1)[None], small, mode="area")
    return F.interpolate(_quantised(planes, quality), (h, w), mode="bilinear")[0].permute(1, 2, 0).clamp(0, 255)


def _quantised(planes: Tensor, quality: int) -> Tensor:
    """(1, 3, h, w): blocks of 8 x 8, their cosine transform rounded as JPEG does at this quality."""
    h, w = planes.shape[2:]
    padded = F.pad(planes, (0, -w % 8, 0, -h % 8), mode="replicate")
    k = np.arange(8)
    basis = np.cos(np.pi * (2 * k[None] + 1) * k[:, None] / 16) * np.where(k[:, None] == 0, np.sqrt(1 / 8), 0.5)
    dct = torch.from_numpy(basis.astype(np.float32)).to(planes.device)
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    quanta = torch.from_numpy(np.maximum(1, np.floor(_QUANTA * scale + 0.5))).to(planes.device)
    blocks = padded.unfold(2, 8, 8).unfold(3, 8, 8) - 128
    rounded = ((dct @ blocks @ dct.T) / quanta).round() * quanta
    back = dct.T @ rounded @ dct + 128
    return back.permute(0, 1, 2, 4, 3, 5).reshape(padded.shape)[:, :, :h, :w]


def masks(overlays: list[Overlay], size: tuple[int, int], device: torch.device) -> Tensor:
    """(N, h, w, 1): how much of each overlay is seen, as `damage.paste_person` and `damage.cover` have it."""
    boxes = torch.tensor([o.box for o in overlays], dtype=torch.float32, device=device)[:, :, None, None]
    soft = torch.tensor([o.soft for o in overlays], device=device)[:, None, None]
    xs = torch.arange(size[0], dtype=torch.float32, device=device)
    ys = torch.arange(size[1], dtype=torch.float32, device=device)[:, None]
    across = ((xs - boxes[:, 0]) / (boxes[:, 2] - boxes[:, 0]).clamp(min=1) * 2 - 1).abs()
    down = ((ys - boxes[:, 1]) / (boxes[:, 3] - boxes[:, 1]).clamp(min=1) * 2 - 1).abs()
    hard = ((across <= 1) & (down <= 1)).float()
    faded = ((1 - (across**4 + down**4) ** 0.25) / 0.12).clamp(0, 1)
    return torch.where(soft, faded, hard)[..., None]


def draw_cover(body: Box, size: tuple[int, int], other: PoseSample, rng: np.random.Generator) -> Overlay:
    """A patch over 10-40 % of the body's box (damage.cover)."""
    w, h = size
    bw, bh = body[2] - body[0], body[3] - body[1]
    area, ratio = rng.uniform(0.1, 0.4), np.exp(rng.uniform(-0.7, 0.7))
    pw = float(np.clip(np.sqrt(area * bw * bh * ratio), 4, w))
    ph = float(np.clip(np.sqrt(area * bw * bh / ratio), 4, h))
    x = float(np.clip(rng.uniform(body[0], max(body[2], body[0] + 1e-3)) - pw / 2, 0, w - pw))
    y = float(np.clip(rng.uniform(body[1], max(body[3], body[1] + 1e-3)) - ph / 2, 0, h - ph))
    oh, ow = other.pictures[0].shape[:2]
    part = rng.uniform(1 / 3, 1.0, 2)
    left, top = rng.uniform(0, 1, 2) * (1 - part) * (ow, oh)
    sx, sy = pw / (part[0] * ow), ph / (part[1] * oh)
    matrix = np.array([[sx, 0, x - sx * left], [0, sy, y - sy * top]])
    colour = None if rng.random() < 0.7 else tuple(int(c) for c in rng.integers(0, 256, 3))
    return Overlay(matrix, (x, y, x + pw, y + ph), soft=False, colour=colour)  # type: ignore[arg-type]


def draw_person(body: Box, other: PoseSample, rng: np.random.Generator) -> Overlay:
    """Another person beside the body, about as tall (damage.paste_person)."""
    ox, oy, ow, oh = (float(v) for v in other.boxes[0])
    ow, oh = max(ow, 1.0), max(oh, 1.0)
    height = max(8.0, (body[3] - body[1]) * rng.uniform(0.8, 1.2))
    scale = height / oh
    width = scale * ow
    apart = (body[2] - body[0] + width) / 2 * rng.uniform(0.45, 1.0) * rng.choice((-1, 1))
    left = (body[0] + body[2]) / 2 + apart - width / 2
    top = (body[1] + body[3]) / 2 + (body[3] - body[1]) * 0.12 * rng.standard_normal() - height / 2
    mirrored = rng.random() < 0.5
    sx, shift = (-scale, left + width + scale * ox) if mirrored else (scale, left - scale * ox)
    matrix = np.array([[sx, 0, shift], [0, scale, top - scale * oy]])
    return Overlay(matrix, (left, top, left + width, top + height), soft=True)
