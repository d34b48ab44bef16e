"""Person box -> centre and scale -> affine -> normalised crops, and back (SPEC 6.1-6.3).

There is no half-pixel shift anywhere: pixel centres have integer coordinates, as in OpenCV's warpAffine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dcpose_cli._opencv import cv2
from dcpose_cli.pixels import Pixels

#: Channel means and standard deviations of RGB in 0..1 (ImageNet's).
MEAN: Final[tuple[float, float, float]] = (0.485, 0.456, 0.406)
STD: Final[tuple[float, float, float]] = (0.229, 0.224, 0.225)

#: OpenCV's coordinates are 16-bit integers: no side of a frame it samples may reach this many pixels.
_OPENCV_LIMIT: Final = 2**15

#: Scales are kept in units of this many pixels, as the published code and its golden numbers do.
SCALE_UNIT: Final = 200.0


def box_to_center_scale(
    boxes: ArrayLike, size: tuple[int, int], enlarge: float = 1.25
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centres (N, 2) in pixels and scales (N, 2) in units of 200 px of boxes (N, 4) xywh.

    size: crop width and height; the shorter side of the box grows to their aspect. enlarge: factor on both sides,
    not applied where the centre's x is exactly -1 (a sentinel of the published code).
    """
    xywh = np.asarray(boxes, np.float32).reshape(-1, 4)
    center = xywh[:, :2] + xywh[:, 2:] * np.float32(0.5)
    w, h = xywh[:, 2].astype(np.float64), xywh[:, 3].astype(np.float64)
    aspect = size[0] / size[1]
    wide = w > aspect * h
    out_w, out_h = np.where(wide, w, h * aspect), np.where(wide, w / aspect, h)
    scale = np.stack([out_w, out_h], axis=1) / SCALE_UNIT
    scale = np.where(center[:, :1] == -1, scale, scale * enlarge)
    return center, scale.astype(np.float32)


def crop_affine(
    center: NDArray[np.float32],
    scale: NDArray[np.float32],
    size: tuple[int, int],
    degrees: float = 0.0,
    *,
    udp: bool = False,
) -> NDArray[np.float64]:
    """(2, 3) float64 matrix from image pixels to crop pixels; only the scale's width counts (SPEC 6.2).

    udp: the edges of the box fall on the first and the last pixel of the crop, in x and y alike; see heatmaps.Decoder.
    """
    target = np.array(size, np.float64) - (1 if udp else 0)
    lengths = SCALE_UNIT * np.asarray(scale, np.float64)
    ratios = target / lengths if udp else np.full(2, size[0] / lengths[0])
    theta = math.radians(degrees)
    turn = ratios[:, None] * np.array([[math.cos(theta), math.sin(theta)], [-math.sin(theta), math.cos(theta)]])
    offset = target / 2 - turn @ np.asarray(center, np.float64)
    return np.concatenate([turn, offset[:, None]], axis=1)


def crop_affines(
    boxes: ArrayLike, size: tuple[int, int], enlarge: float = 1.25, *, udp: bool = False
) -> NDArray[np.float64]:
    """(N, 2, 3) matrices from image pixels to crop pixels of boxes (N, 4) xywh. udp: see `crop_affine`."""
    centers, scales = box_to_center_scale(boxes, size, enlarge)
    if not len(centers):
        return np.zeros((0, 2, 3))
    return np.stack([crop_affine(c, s, size, udp=udp) for c, s in zip(centers, scales, strict=True)])


def invert_affine(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of one or many (..., 2, 3) affine matrices, float64."""
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def apply_affine(matrix: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, K, 2) points moved by (N, 2, 3) matrices, float64."""
    moved: NDArray[np.float64] = points @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    return moved


def sample_crops(
    frames: Tensor | Sequence[Tensor], index: Tensor, affines: NDArray[np.float64], size: tuple[int, int]
) -> Tensor:
    """Cut crops out of frames on the frames' own device: bilinear, black outside, normalised.

    frames: (F, H, W, 3) uint8 RGB, one tensor or one for each frame. index: (N,) int64, the frame of each crop.
    affines: (N, 2, 3) from image to crop. size: crop width and height. Returns (N, 3, h, w) float32. On the CPU OpenCV
    samples and rounds to whole grey levels, as it does for training; other devices do not round.
    """
    if frames[0].device.type == "cpu" and max(frames[0].shape) < _OPENCV_LIMIT:
        return _sample_opencv(frames, index, affines, size)
    return _sample_torch(frames if isinstance(frames, Tensor) else torch.stack(list(frames)), index, affines, size)


def sample_pixels(
    frames: Sequence[Pixels], index: Tensor, affines: NDArray[np.float64], size: tuple[int, int]
) -> Tensor:
    """`sample_crops` on the CPU, which of large frames looks only at what the crops show."""
    if not frames[0].is_large or max(frames[0].shape) >= _OPENCV_LIMIT:
        whole = [torch.from_numpy(np.require(frame.rgb(), requirements=("C", "W"))) for frame in frames]
        return sample_crops(whole, index, affines, size)
    out = torch.empty(len(affines), size[1], size[0], 3)
    shown = crop_parts(affines, size).tolist()
    for row, frame, part, affine in zip(out.numpy(), index.tolist(), shown, affines, strict=True):
        cv2.LUT(frames[frame].sampled(affine, size, tuple(part)), _NORMALISED, dst=row)
    return out.permute(0, 3, 1, 2)


def crop_parts(affines: NDArray[np.float64], size: ArrayLike) -> NDArray[np.int64]:
    """(N, 4) x0, y0, x1, y1 in whole pixels, from 0 on: the parts of a frame that crops show, and are interpolated
    from. affines: (N, 2, 3) from image to crop. size: crop width and height, of all (2,) or of each (N, 2)."""
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * np.reshape(np.asarray(size, np.float64), (-1, 1, 2)) - 1
    found = apply_affine(invert_affine(affines), np.broadcast_to(corners, (len(affines), 4, 2)))
    low, high = np.floor(found.min(axis=1)) - 1, np.ceil(found.max(axis=1)) + 2
    return np.asarray(np.clip(np.concatenate([low, high], axis=1), 0, _OPENCV_LIMIT), np.int64)


def _sample_opencv(
    frames: Tensor | Sequence[Tensor], index: Tensor, affines: NDArray[np.float64], size: tuple[int, int]
) -> Tensor:
    """`sample_crops` in a quarter of the time."""
    out = torch.empty(len(affines), size[1], size[0], 3)
    rows = out.numpy()
    for crop, frame in enumerate(index.tolist()):
        levels = cv2.warpAffine(frames[frame].numpy(), affines[crop], size, flags=cv2.INTER_LINEAR)
        cv2.LUT(levels, _NORMALISED, dst=rows[crop])
    return out.permute(0, 3, 1, 2)


def _sample_torch(frames: Tensor, index: Tensor, affines: NDArray[np.float64], size: tuple[int, int]) -> Tensor:
    """`sample_crops` on any device."""
    count, height, width, _ = frames.shape
    w, h = size
    device = frames.device
    # Positions in float64: in float32 a 4K coordinate keeps only 1/4096 px, and weights would differ between devices.
    # MPS has no float64, so there they are made on the CPU.
    home = torch.device("cpu") if device.type == "mps" else device
    inverse = torch.from_numpy(invert_affine(affines)).to(home)
    xs = torch.arange(w, device=home, dtype=torch.float64)
    ys = torch.arange(h, device=home, dtype=torch.float64)
    px = inverse[:, 0, 0, None, None] * xs + inverse[:, 0, 1, None, None] * ys[:, None] + inverse[:, 0, 2, None, None]
    py = inverse[:, 1, 0, None, None] * xs + inverse[:, 1, 1, None, None] * ys[:, None] + inverse[:, 1, 2, None, None]
    x0, y0 = px.floor(), py.floor()
    fx, fy = (px - x0).float().to(device), (py - y0).float().to(device)
    x0, y0 = x0.long().to(device), y0.long().to(device)
    flat = frames.reshape(count * height * width, 3)
    base = (index.to(device) * (height * width))[:, None, None]
    out = torch.zeros(len(affines), h, w, 3, device=device)
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            x, y = x0 + dx, y0 + dy
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            where = base + y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
            values = flat.index_select(0, where.flatten()).view(len(affines), h, w, 3)
            out += values * (wx * wy * inside)[..., None]
    return normalise(out)


def normalise(crops: Tensor) -> Tensor:
    """(N, h, w, 3) RGB in 0..255 -> (N, 3, h, w) float32 with the training statistics."""
    mean = torch.tensor(MEAN, device=crops.device) * 255
    std = torch.tensor(STD, device=crops.device) * 255
    return (crops.float() - mean).div_(std).permute(0, 3, 1, 2)


_GREYS: Final = torch.arange(256).view(1, 1, 256, 1).expand(1, 1, 256, 3)
#: (1, 256, 3) what `normalise` makes of every grey level of the three channels.
_NORMALISED: Final = normalise(_GREYS)[0].permute(1, 2, 0).contiguous().numpy()
