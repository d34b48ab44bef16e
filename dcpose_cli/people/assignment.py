"""Optimal assignment of detections to tracks (lapjv)."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray


def assign(benefit: NDArray[np.floating], allowed: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pairs of row and column, of the allowed ones, so that most are made and the sum of their benefits is largest.

    benefit, allowed: (T, N); benefits from -1 to 4.
    """
    cost = np.where(allowed, -benefit, np.inf)
    rows = np.flatnonzero(np.isfinite(cost).any(axis=1)) if cost.size else np.zeros(0, int)
    if not len(rows):
        return []
    cost = cost[rows] + 4.0  # every match is worth more than none
    _, matches, _ = lap.lapjv(np.where(np.isfinite(cost), cost, 1e3), extend_cost=True, cost_limit=100.0)
    return [
        (int(row), int(column))
        for place, (row, column) in enumerate(zip(rows, matches, strict=True))
        if column >= 0 and np.isfinite(cost[place, column])
    ]
