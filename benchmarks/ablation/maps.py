"""Heatmaps of one frozen backbone for all windows, computed once and kept in files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcpose_cli.files import output_error
from dcpose_cli.pose.crop import box_to_center_scale
from dcpose_cli.pose.crop_shape import CropShape
from dcpose_cli.training.data.augment import Crops, plain_crops, random_crops
from dcpose_cli.training.data.batches import STRIDE, collate
from dcpose_cli.training.data.damage import cover, motion_blur, motion_direction
from dcpose_cli.training.data.pack import PoseSample
from dcpose_cli.training.dcpose.recipe import AugmentConfig

#: Held-out windows are looked at as they are, with the current frame blurred, and with part of the person covered.
CONDITIONS: Final = ("plain", "blurred", "covered")
#: Heatmaps are kept in eight bits: their values lie a little beyond 0..1.
LOW, STEP = -0.1, 1.3 / 255


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Cached heatmaps. maps: (N, 3, 17, h, w) uint8: current, previous, next. joints: (N, 17, 3) float32 in heatmap
    pixels, weight. margin: (N, 2). side: (N,) longer side of the box in heatmap pixels. clip: (N,) names.
    hidden: (N, 17) joints that damage covers."""

    maps: NDArray[np.uint8]
    joints: NDArray[np.float32]
    margin: NDArray[np.float32]
    side: NDArray[np.float32]
    clip: NDArray[np.str_]
    hidden: NDArray[np.bool_]

    def tensors(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Heatmaps (3, B, 17, h, w), joints and margins of some rows."""
        maps = torch.from_numpy(np.ascontiguousarray(self.maps[rows])).float() * STEP + LOW
        return maps.transpose(0, 1), torch.from_numpy(self.joints[rows]), torch.from_numpy(self.margin[rows])

    def within(self, most: int) -> Maps:
        """The windows whose neighbours lie at most so many frames away."""
        rows = np.flatnonzero(self.margin.max(axis=1) <= most)
        return Maps(*(getattr(self, name)[rows] for name in self.__slots__))


def is_held_out(clip: str, share: float = 0.2) -> bool:
    """Whether a clip is held out: the same for the same name, everywhere and always."""
    return int(hashlib.sha256(clip.encode()).hexdigest()[:8], 16) < share * 2**32


def cache_maps(
    backbone: nn.Module,
    samples: Sequence[PoseSample],
    folder: Path,
    name: str,
    make: Callable[[int], tuple[Crops, NDArray[np.bool_]]],
    count: int,
    size: tuple[int, int],
    enlarge: float,
) -> Maps:
    """Heatmaps of `count` windows, computed unless `folder` holds them; window k shows samples[k % len(samples)].

    make: its three crops, and which joints the damage covers. Raises OutputError.
    """
    target = folder / f"{name}.npz"
    if not target.is_file():
        made = _compute(backbone, samples, make, count, size, enlarge)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f"{name}.part.npz"
            np.savez(part, **{field: getattr(made, field) for field in Maps.__slots__})
            part.replace(target)
        except OSError as error:
            raise output_error(error, target) from error
    with np.load(target) as data:
        return Maps(*(data[field] for field in Maps.__slots__))


@torch.no_grad()
def _compute(
    backbone: nn.Module,
    samples: Sequence[PoseSample],
    make: Callable[[int], tuple[Crops, NDArray[np.bool_]]],
    count: int,
    size: tuple[int, int],
    enlarge: float,
) -> Maps:
    columns: list[list[Any]] = [[] for _ in Maps.__slots__]
    for first in range(0, count, 16):
        rows = range(first, min(first + 16, count))
        made = [make(k) for k in rows]
        people = [samples[k % len(samples)] for k in rows]
        batch = collate([crops for crops, _ in made], [s.margin for s in people])
        x = batch.images.reshape(-1, 3, size[1], size[0]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            maps = backbone(x).float()
        maps = ((maps - LOW) / STEP).round().clamp(0, 255).to(torch.uint8)
        boxes = np.stack([s.boxes[1] for s in people])
        _, scale = box_to_center_scale(boxes, size, enlarge)
        side = boxes[:, 2:].max(axis=1) * (size[0] / STRIDE) / (scale[:, 0] * 200)
        values = (
            maps.view(len(rows), 3, *maps.shape[1:]).numpy(),
            batch.joints.numpy(),
            batch.margin.numpy(),
            side.astype(np.float32),
            np.array([s.name for s in people]),
            np.stack([hidden for _, hidden in made]),
        )
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return Maps(*(np.concatenate(column) for column in columns))


def training_crops(
    samples: Sequence[PoseSample], size: tuple[int, int], config: AugmentConfig, seed: int
) -> Callable[[int], tuple[Crops, NDArray[np.bool_]]]:
    """Random variations of the windows, a function of their number."""

    def make(k: int) -> tuple[Crops, NDArray[np.bool_]]:
        rng = np.random.default_rng([seed, k])
        other = samples[int(rng.integers(len(samples)))]
        crops = random_crops(samples[k % len(samples)], size, config, rng, other=other, window=True)
        return crops, np.zeros(crops.joints.shape[1], bool)

    return make


def held_out_crops(
    samples: Sequence[PoseSample], size: tuple[int, int], enlarge: float, condition: str
) -> Callable[[int], tuple[Crops, NDArray[np.bool_]]]:
    """The windows as inference sees them, the current frame damaged as `condition` says."""

    def make(k: int) -> tuple[Crops, NDArray[np.bool_]]:
        crops = plain_crops(samples[k], CropShape(size, enlarge))
        seen = crops.joints[1][crops.joints[1, :, 2] > 0, :2]
        if condition == "plain" or len(seen) < 2:
            return crops, np.zeros(crops.joints.shape[1], bool)
        rng = np.random.default_rng([7, k])
        low, high = seen.min(axis=0), seen.max(axis=0)
        before = crops.images[1]
        if condition == "blurred":
            direction = motion_direction(crops.joints)
            angle = float(rng.uniform(0, 180)) if direction is None else direction
            after = motion_blur(before, 0.2 * float((high - low).max()), angle)
            hidden = np.zeros(crops.joints.shape[1], bool)
        else:
            other = samples[int(rng.integers(len(samples)))]
            body = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
            after = cover(before, body, other.pictures[0], rng)
            hidden = _changed(before, after, crops.joints[1])
        images = crops.images.copy()
        images[1] = after
        return Crops(images, crops.joints), hidden

    return make


def _changed(before: NDArray[np.uint8], after: NDArray[np.uint8], joints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(17,) joints in whose place the picture has become another."""
    different = (before != after).any(axis=2)
    h, w = different.shape
    x = np.clip(joints[:, 0].round().astype(int), 1, w - 2)
    y = np.clip(joints[:, 1].round().astype(int), 1, h - 2)
    near = np.stack([different[y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    changed: NDArray[np.bool_] = near.mean(axis=0) > 0.5
    return changed


def described(folder: Path, **circumstances: Any) -> Path:
    """A folder below `folder` named by a hash: what was made under other circumstances is never taken for this."""
    text = json.dumps(circumstances, sort_keys=True, default=str)
    return folder / hashlib.sha256(text.encode()).hexdigest()[:12]
