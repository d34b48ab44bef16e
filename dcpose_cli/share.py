"""Which crops the windows of some frames need: three of their own each, or ones that neighbouring windows share.

A crop that keeps its box for a few frames is next, current and previous frame of three windows, so that the backbone
sees it once instead of three times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: A shared box covers the boxes of its frames; it may be larger than any of them by this factor.
LARGEST: Final = 1.2


@dataclass(frozen=True, slots=True, eq=False)
class CropPlan:
    """Crops, and the windows made of them.

    frames: (V,) int64, the frame of each crop. boxes: (V, 4) float32 xywh, before they are enlarged.
    rows: (N, F) int64, the crops of each window, in the order of the network's frames. order: (N,) int64, the windows
    in the order in which they are best done: those that share crops one after the other.
    """

    frames: NDArray[np.int64]
    boxes: NDArray[np.float32]
    rows: NDArray[np.int64]
    order: NDArray[np.int64]

    @property
    def shared(self) -> bool:
        """Whether any crop serves more than one place of a window."""
        return len(self.frames) < self.rows.size


def own_crops(windows: NDArray[np.int64], boxes: NDArray[np.float32]) -> CropPlan:
    """Every window cuts its frames with its own box. windows: (N, F) frames; boxes: (N, 4) xywh."""
    count, depth = windows.shape
    rows = np.arange(count * depth, dtype=np.int64).reshape(depth, count).T
    return CropPlan(windows.T.reshape(-1), np.tile(boxes, (depth, 1)), rows, np.arange(count))


def shared_crops(
    windows: NDArray[np.int64], boxes: NDArray[np.float32], tracks: NDArray[np.int64], size: tuple[int, int]
) -> CropPlan:
    """Windows of a person that follow one another cut their frames with one box, as long as it fits all of them.

    windows: (N, F) frames, each person's in the order of time. boxes: (N, 4) xywh. tracks: (N,) who it is.
    size: crop width and height; boxes are compared after they have grown to its aspect.
    """
    frames: list[int] = []
    cut: list[NDArray[np.float32]] = []
    rows = np.zeros(windows.shape, np.int64)
    order: list[int] = []
    for track in dict.fromkeys(tracks.tolist()):
        for run in _runs(np.flatnonzero(tracks == track), boxes, size):
            box = _union(boxes[run])
            found: dict[int, int] = {}
            for window in run:
                for place, frame in enumerate(windows[window].tolist()):
                    if frame not in found:
                        found[frame] = len(frames)
                        frames.append(frame)
                        cut.append(box)
                    rows[window, place] = found[frame]
            order.extend(run)
    return CropPlan(
        np.array(frames, np.int64), np.array(cut, np.float32).reshape(-1, 4), rows, np.array(order, np.int64)
    )


def _runs(members: NDArray[np.int64], boxes: NDArray[np.float32], size: tuple[int, int]) -> list[list[int]]:
    """A person's windows in stretches, each as long as one box fits: from the first on, as far as it goes."""
    runs: list[list[int]] = []
    for window in members.tolist():
        if runs and _fits(boxes[[*runs[-1], window]], size):
            runs[-1].append(window)
        else:
            runs.append([window])
    return runs


def _fits(boxes: NDArray[np.float32], size: tuple[int, int]) -> bool:
    smallest = min(_width(box, size) for box in boxes)
    return _width(_union(boxes), size) <= LARGEST * smallest


def _width(box: NDArray[np.float32] | Sequence[float], size: tuple[int, int]) -> float:
    """Width of a box grown to the aspect of the crop."""
    return max(float(box[2]), float(box[3]) * size[0] / size[1])


def _union(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The box (4,) xywh around boxes (N, 4) xywh."""
    low = boxes[:, :2].min(axis=0)
    high = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return np.concatenate([low, high - low]).astype(np.float32)
