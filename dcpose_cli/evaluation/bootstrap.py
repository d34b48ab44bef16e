"""How far a figure would move with other people: percentile bootstrap, resampling people, not joints.

The joints of one person are right or wrong together, so an interval over joints would be too narrow.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_ROUNDS: Final = 2000
_SEED: Final = 0
_CHUNK: Final = 100  # rounds drawn at once: bounds memory at 100 * N


def ratio_interval(hits: NDArray[Any], counts: NDArray[Any], level: float = 0.95) -> tuple[float, float]:
    """Interval of sum(hits) / sum(counts) over people: two (N,) arrays -> (low, high), NaN without counts."""
    keep = np.asarray(counts) > 0
    hits, counts = np.asarray(hits, np.float64)[keep], np.asarray(counts, np.float64)[keep]
    people = len(counts)
    if not people:
        return float("nan"), float("nan")
    rng = np.random.default_rng(_SEED)
    values = np.empty(_ROUNDS)
    for start in range(0, _ROUNDS, _CHUNK):
        draw = rng.integers(people, size=(_CHUNK, people))
        values[start : start + _CHUNK] = hits[draw].sum(axis=1) / counts[draw].sum(axis=1)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mean_interval(values: NDArray[Any], level: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of one number per person: (N,) -> (low, high), NaN without people."""
    return ratio_interval(values, np.ones(len(values)), level)
