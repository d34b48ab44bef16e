"""Batches as a pure function of (seed, step): nothing to save, nothing to restore when a training resumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...pose.crop import normalise
from .augment import Crops, plain_crops, random_crops
from .config import AugmentConfig
from .pack import PoseSample
from .readers import draw_neighbours

#: Pixels of the crop per pixel of the heatmap.
STRIDE = 4


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """images: (B, 3 or 9, H, W) float32 (windows: current, previous, next). joints: (B, 17, 3) of the current frame,
    x and y in heatmap pixels, weight. margin: (B, 2) float32."""

    images: Tensor
    joints: Tensor
    margin: Tensor


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of the samples, the same whenever it is asked for."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def training_batch(
    samples: Sequence[PoseSample],
    step: int,
    *,
    batch: int,
    size: tuple[int, int],
    config: AugmentConfig,
    seed: int,
    window: bool,
) -> Batch:
    """The batch of one step. window: three frames instead of one."""
    crops: list[Crops] = []
    margins: list[tuple[int, int]] = []
    for k in range(batch):
        position = step * batch + k
        epoch, place = divmod(position, len(samples))
        sample = samples[int(epoch_order_cached(len(samples), seed, epoch)[place])]
        rng = np.random.default_rng([seed, 1, position])
        other = samples[int(rng.integers(len(samples)))]
        if sample.neighbours is not None:
            sample = draw_neighbours(sample, np.random.default_rng([seed, 2, position]))
        crops.append(random_crops(sample, size, config, rng, other=other, window=window))
        margins.append(sample.margin)
    return collate(crops, margins)


#: `epoch_order`, remembering the last few asked for.
epoch_order_cached = lru_cache(maxsize=4)(epoch_order)


def plain_batch(samples: Sequence[PoseSample], size: tuple[int, int], enlarge: float) -> Batch:
    """Samples cropped as in inference, without augmentation."""
    return collate([plain_crops(s, size, enlarge) for s in samples], [s.margin for s in samples])


def collate(crops: Sequence[Crops], margins: Sequence[tuple[int, int]]) -> Batch:
    """Stack crops of equal size and equal number of frames."""
    images = torch.from_numpy(np.stack([c.images for c in crops]))
    b, k, h, w, _ = images.shape
    normal = normalise(images.view(b * k, h, w, 3)).reshape(b, k, 3, h, w)
    if k == 3:
        normal = normal[:, [1, 0, 2]]  # the network's order: current, previous, next
    joints = np.stack([c.joints[k // 2] for c in crops])
    joints[..., :2] /= STRIDE
    return Batch(normal.reshape(b, 3 * k, h, w), torch.from_numpy(joints), torch.tensor(margins, dtype=torch.float32))
