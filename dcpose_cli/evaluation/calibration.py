"""What a score means: how many of the joints with about that score are in the right place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .bootstrap import ratio_interval

#: Scores that are looked at, and how far from them a joint may be.
SCORES: Final = (0.3, 0.5, 0.8)
WIDTH: Final = 0.1


@dataclass(frozen=True, slots=True)
class HitRate:
    """Of `joints` joints with a score within WIDTH of `score`, the share that hits. interval: 95 %, over people."""

    score: float
    value: float
    joints: int
    interval: tuple[float, float]


def hit_rates(
    scores: NDArray[np.floating], hits: NDArray[np.bool_], counted: NDArray[np.bool_], owners: NDArray[np.int64]
) -> list[HitRate]:
    """Hit rates at SCORES. scores, hits, counted: (N, 17); owners: (N,) whose row it is; only `counted` joints."""
    out = []
    people = np.unique(owners, return_inverse=True)[1]
    for score in SCORES:
        near = counted & (np.abs(scores - score) <= WIDTH)
        joints = np.bincount(people, near.sum(axis=1))
        found = np.bincount(people, (near & hits).sum(axis=1))
        value = float(found.sum() / joints.sum()) if joints.sum() else float("nan")
        out.append(HitRate(score, value, int(joints.sum()), ratio_interval(found, joints)))
    return out
