"""Where one box becomes two: the person keeps the one that looks like them, and the other box is somebody else.

A detector often gives one box to two people who stand behind one another. When they part, that box may slide to the
other one, while the person gets a new, weak one. How much more alike the new one is is summed up over the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .appearance import Appearance, likeness
from .boxes import pairwise_iou
from .correction import LEAST_LIKENESS, MET_DRIFT, MET_LEAD, Looks

#: Overlap of the free detection with the place where the person is expected, at least, and with the detection they
#: have, below which these are not two boxes of one person (equal boxes, 0.4 of their width apart); and how the height
#: of the two may differ.
PLACE_IOU: Final = 0.4
APART_IOU: Final = 0.43
HEIGHT_CHANGE: Final = 1.35
#: Frames without a second box for which evidence is kept.
IDLE_FRAMES: Final = 5

T = TypeVar("T", bound=Looks)


class Split(NamedTuple):
    """Detection `free` is the person who had detection `left`, which is somebody else; since `frames` frames before."""

    free: int
    left: int
    frames: int


class _Evidence(NamedTuple):
    value: float
    frames: int
    idle: int


class Splits:
    """Who has a second box beside theirs, and what has spoken for it until now. For one scene."""

    def __init__(self) -> None:
        self._evidence: dict[int, _Evidence] = {}

    def find(
        self,
        boxes: NDArray[np.float32],
        appearances: Sequence[Appearance | None],
        owners: Sequence[T | None],
        places: NDArray[np.float64],
        missed: Sequence[T],
    ) -> list[Split]:
        """The boxes to exchange in this frame. To be called once per frame.

        boxes: (N, 4) detections, xywh; owners: of each, None where it is free. places: (N, 4), where its owner is
        expected; NaN where it has none, or one who is not known yet. missed: people without a detection; who looks
        like one of them is not the owner.
        """
        second = _seconds(boxes, owners, places)
        evidence: dict[int, _Evidence] = {}
        found: list[Split] = []
        taken: set[int] = set()
        for left, owner in enumerate(owners):
            if owner is None:
                continue
            before = self._evidence.get(owner.identity, _Evidence(0.0, 0, 0))
            gains = [
                (_gain(appearances[left], appearances[free], owner, missed), -free)
                for free in np.flatnonzero(second[:, left]).tolist()
                if free not in taken
            ]
            if not gains:
                if before.value and before.idle < IDLE_FRAMES:
                    evidence[owner.identity] = _Evidence(before.value, before.frames + 1, before.idle + 1)
                continue
            gain, free = max(gains)
            value = before.value + gain - MET_DRIFT
            if value > MET_LEAD:
                found.append(Split(-free, left, before.frames))
                taken.add(-free)
            elif value > 0:
                evidence[owner.identity] = _Evidence(value, before.frames + 1, 0)
        self._evidence = evidence
        return found


def _seconds(
    boxes: NDArray[np.float32], owners: Sequence[Looks | None], places: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(N, N): whether the first, free detection may be the owner of the second."""
    free = np.array([owner is None for owner in owners], np.bool_)[:, None]
    overlap = pairwise_iou(boxes, boxes)
    ratio = boxes[:, None, 3] / np.maximum(boxes[None, :, 3], 1e-6)
    similar = (ratio <= HEIGHT_CHANGE) & (ratio >= 1 / HEIGHT_CHANGE)
    here = pairwise_iou(boxes, np.nan_to_num(places)) >= PLACE_IOU
    allowed: NDArray[np.bool_] = free & similar & here & (overlap > 0) & (overlap < APART_IOU)
    return allowed & np.isfinite(places).all(axis=1)


def _gain(left: Appearance | None, free: Appearance | None, owner: Looks, missed: Sequence[Looks]) -> float:
    """How much more alike to the owner the free detection is than the one they have; 0 where that tells nothing."""
    value, now = likeness(free, owner.appearance), likeness(left, owner.appearance)
    if value is None or now is None or value < LEAST_LIKENESS:
        return 0.0
    if any((likeness(free, other.appearance) or 0.0) > value for other in missed):
        return 0.0
    return value - now
