"""Batches as a pure function of (seed, step): nothing to save, nothing to restore when a training resumes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, NotRequired, TypedDict, TypeVar, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...pose.crop import normalise
from ...pose.crop_shape import CropShape
from .augment import Crops, draw_geometry, plain_crops, random_crops
from .config import AugmentConfig
from .pack import PoseSample
from .readers import draw_neighbours

#: Pixels of the crop per pixel of the heatmap.
STRIDE = 4
#: Batches among which samples are shared out by the size of their crops.
BLOCK = 16

T = TypeVar("T")


class Same(Generic[T]):
    """A value that equals itself only, so that results can be remembered for it."""

    def __init__(self, value: T) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        """Whether it is the same value, not an equal one."""
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        """Of the value's identity."""
        return id(self.value)


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


@dataclass(frozen=True, slots=True)
class Draw:
    """How batches are drawn. samples: what of. batch: how many to a batch. shape: of their crops. seed: of everything.
    window: three frames instead of one. parts: where several processes share a batch, each makes a batch that is a part
    of it, and steps count parts; the parts have crops of one size."""

    samples: Same[Sequence[PoseSample]]
    batch: int
    shape: CropShape
    config: AugmentConfig
    seed: int
    window: bool
    parts: int = 1

    def sample(self, position: int) -> tuple[int, PoseSample, int, np.random.Generator]:
        """The sample at a position of the training, with its number; the number of another one, and the random numbers
        of the crops."""
        samples = self.samples.value
        epoch, place = divmod(position, len(samples))
        number = int(epoch_order_cached(len(samples), self.seed, epoch)[place])
        sample = samples[number]
        if sample.neighbours is not None:
            sample = draw_neighbours(sample, np.random.default_rng([self.seed, 2, position]))
        rng = np.random.default_rng([self.seed, 1, position])
        return number, sample, int(rng.integers(len(samples))), rng

    def members(self, step: int) -> tuple[list[int], tuple[int, int]]:
        """The positions of a batch, and the width and height of its crops.

        Where crops are trimmed, the samples of BLOCK batches are shared out anew, so that those of a batch need crops
        of nearly one size.
        """
        if self.shape.margin is None:
            return list(range(step * self.batch, (step + 1) * self.batch)), self.shape.size
        whole, part = divmod(step, self.parts)
        block, place = divmod(whole, BLOCK)
        with _SIZING:  # threads that need the same block wait for the first of them
            sizes = _sizes_of_block(self, block)
        batches = np.lexsort((sizes[:, 1], sizes[:, 0])).reshape(BLOCK, -1)
        chosen = np.sort(batches[np.random.default_rng([self.seed, 3, block]).permutation(BLOCK)[place]])
        width, height = sizes[chosen].max(axis=0).tolist()
        own = chosen[part * self.batch : (part + 1) * self.batch]
        return (block * len(sizes) + own).tolist(), (width, height)


_SIZING: Final = threading.Lock()


@lru_cache(maxsize=4)
def _sizes_of_block(draw: Draw, block: int) -> NDArray[np.int64]:
    """(BLOCK * batch * parts, 2) width and height that the crops of a block's samples need."""
    count = BLOCK * draw.batch * draw.parts
    sizes = []
    for position in range(block * count, (block + 1) * count):
        _, sample, _, rng = draw.sample(position)
        sizes.append(draw_geometry(sample, draw.shape.size, draw.config, rng, window=draw.window).size(draw.shape))
    return np.array(sizes, np.int64)


#: Lets go of the samples that sizes are remembered of, after a training.
forget_sizes = _sizes_of_block.cache_clear


class BatchOptions(TypedDict):
    """How batches are drawn, as `Draw` has it. size: width and height of whole crops. margin: of trimmed crops, see
    CropShape."""

    batch: int
    size: tuple[int, int]
    config: AugmentConfig
    seed: int
    window: bool
    margin: NotRequired[float | None]
    parts: NotRequired[int]


def draw_of(samples: Sequence[PoseSample], options: BatchOptions) -> Draw:
    """How batches are drawn of these samples."""
    config = options["config"]
    shape = CropShape(options["size"], config.enlarge, options.get("margin"))
    return Draw(
        Same(samples), options["batch"], shape, config, options["seed"], options["window"], options.get("parts", 1)
    )


def training_batch(samples: Sequence[PoseSample], step: int, **options: Unpack[BatchOptions]) -> Batch:
    """The batch of one step."""
    draw = draw_of(samples, options)
    positions, part = draw.members(step)
    crops: list[Crops] = []
    margins: list[tuple[int, int]] = []
    for position in positions:
        _, sample, other, rng = draw.sample(position)
        crops.append(
            random_crops(sample, draw.shape.size, draw.config, rng, other=samples[other], window=draw.window, part=part)
        )
        margins.append(sample.margin)
    return collate(crops, margins)


#: `epoch_order`, remembering the last few asked for.
epoch_order_cached = lru_cache(maxsize=4)(epoch_order)


def plain_batch(samples: Sequence[PoseSample], shape: CropShape) -> Batch:
    """Samples cropped as in inference, without augmentation; all need crops of one size."""
    return collate([plain_crops(s, shape) for s in samples], [s.margin for s in samples])


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
