"""Which crops the windows of some frames need: three of their own each, or ones that neighbouring windows share.

A crop that keeps its box for a few frames is next, current and previous frame of three windows, so that the backbone
sees it once instead of three times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .crop_shape import CropShape

#: How far a shared box may lie from the box of any of its frames, in shares of the width and height of the latter
#: grown to the crop's aspect; and how much larger or smaller it may be. The crop has room for that around the person
#: (`box_scale`). A crop aside of the person costs a network little; one in which the person is smaller costs it a lot.
MOST_ASIDE: Final = 0.09
MOST_SCALED: Final = 1.08


@dataclass(frozen=True, slots=True, eq=False)
class CropPlan:
    """Crops, and the windows made of them.

    frames: (V,) int64, the frame of each crop. boxes: (V, 4) float32 xywh, before they are enlarged.
    rows: (N, F) int64, the crops of each window, in the order of the network's frames; all of one size. order: (N,)
    int64, the windows in the order in which they are best done: those of one size, and of them those that share crops,
    one after the other. sizes: (V, 2) int64, width and height of the part of each crop that is looked at.
    """

    frames: NDArray[np.int64]
    boxes: NDArray[np.float32]
    rows: NDArray[np.int64]
    order: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def shared(self) -> bool:
        """Whether any crop serves more than one place of a window."""
        return len(self.frames) < self.rows.size

    def size(self, window: int) -> tuple[int, int]:
        """Width and height of the part of a window's crops that is looked at."""
        width, height = self.sizes[self.rows[window, 0]].tolist()
        return width, height

    def next_part(self, first: int, most: int) -> NDArray[np.int64]:
        """Up to `most` windows of one size, from place `first` of `order` on."""
        part = self.order[first : first + most]
        sizes = self.sizes[self.rows[part, 0]]
        return part[: int(np.logical_and.accumulate((sizes == sizes[0]).all(axis=1)).sum())]


def own_crops(windows: NDArray[np.int64], boxes: NDArray[np.float32], shape: CropShape) -> CropPlan:
    """Every window cuts its frames with its own box. windows: (N, F) frames; boxes: (N, 4) xywh."""
    count, depth = windows.shape
    rows = np.arange(count * depth, dtype=np.int64).reshape(depth, count).T
    sizes = shape.sizes(boxes, boxes)
    order = np.lexsort((sizes[:, 1], sizes[:, 0]))
    return CropPlan(windows.T.reshape(-1), np.tile(boxes, (depth, 1)), rows, order, np.tile(sizes, (depth, 1)))


def shared_crops(
    windows: NDArray[np.int64], boxes: NDArray[np.float32], tracks: NDArray[np.int64], shape: CropShape
) -> CropPlan:
    """Windows of a person that follow one another cut their frames with one box, as long as it fits all of them.

    windows: (N, F) frames, each person's in the order of time. boxes: (N, 4) xywh. tracks: (N,) who it is.
    Boxes are compared after they have grown to the aspect of whole crops, and shared ones have it.
    """
    grown = _grown(boxes, shape.size)
    runs = [run for track in dict.fromkeys(tracks.tolist()) for run in _runs(np.flatnonzero(tracks == track), grown)]
    shown = np.array([_shared(grown[run]) for run in runs], np.float32).reshape(-1, 4)
    run_sizes = shape.sizes(np.array([_around(boxes[run]) for run in runs], np.float32).reshape(-1, 4), shown)
    frames: list[int] = []
    cut: list[int] = []
    rows = np.zeros(windows.shape, np.int64)
    for number, run in enumerate(runs):
        found: dict[int, int] = {}
        for window in run:
            for place, frame in enumerate(windows[window].tolist()):
                if frame not in found:
                    found[frame] = len(frames)
                    frames.append(frame)
                    cut.append(number)
                rows[window, place] = found[frame]
    order = [window for number in np.lexsort((run_sizes[:, 1], run_sizes[:, 0])).tolist() for window in runs[number]]
    return CropPlan(np.array(frames, np.int64), shown[cut], rows, np.array(order, np.int64), run_sizes[cut])


def _runs(members: NDArray[np.int64], boxes: NDArray[np.float32]) -> list[list[int]]:
    """A person's windows in stretches, each as long as one box fits: from the first on, as far as it goes."""
    runs: list[list[int]] = []
    for window in members.tolist():
        if runs and _fits(boxes[[*runs[-1], window]]):
            runs[-1].append(window)
        else:
            runs.append([window])
    return runs


def _fits(boxes: NDArray[np.float32]) -> bool:
    """Whether the shared box of some boxes (N, 4), grown, is near enough to each of them."""
    shared = _shared(boxes)
    aside = np.abs(_centers(boxes) - _centers(shared[None])) / boxes[:, 2:]
    scaled = np.maximum(boxes[:, 2] / shared[2], shared[2] / boxes[:, 2])
    return bool(aside.max() <= MOST_ASIDE and scaled.max() <= MOST_SCALED)


def _shared(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The box (4,) xywh amid boxes (N, 4) of one aspect: where they lie at most, and as large as they are at most, are
    as near to it as where and as large as they are at least."""
    centers, sizes = _centers(boxes), boxes[:, 2:]
    size = np.sqrt(sizes.min(axis=0) * sizes.max(axis=0))
    center = (centers.min(axis=0) + centers.max(axis=0)) / 2
    return np.concatenate([center - size / 2, size]).astype(np.float32)


def _around(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The box (4,) xywh around boxes (N, 4)."""
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return np.concatenate([low, high - low])


def _grown(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes (N, 4) xywh grown about their centres to the aspect of the crop."""
    width = np.maximum(boxes[:, 2], boxes[:, 3] * size[0] / size[1])
    grown = np.stack([width, width * size[1] / size[0]], axis=1)
    return np.concatenate([_centers(boxes) - grown / 2, grown], axis=1).astype(np.float32)


def _centers(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes[:, :2] + boxes[:, 2:] / 2).astype(np.float32)
