"""Average precision: the area under the envelope of the precision-recall curve, the only implementation in the package.

Two ways to read the area are in use: COCO's mean over 101 recalls, and the exact area of PoseTrack's evaluation.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Recalls at which COCO reads precision.
COCO_RECALLS: Final = np.linspace(0, 1, 101)


def average_precision(
    right: ArrayLike, total: float, *, weights: ArrayLike | None = None, recalls: NDArray[np.float64] | None = None
) -> float:
    """Average precision of predictions sorted by score, best first.

    right: (R,) whether each prediction is right. total: number of true objects; 0 without any, or without predictions.
    weights: (R,) how often each prediction counts, once by default. recalls: where the envelope is read, as the mean
    over them; the exact area under it by default.
    """
    hits = np.asarray(right, np.float64)
    if total <= 0 or not len(hits):
        return 0.0
    times = np.ones(len(hits)) if weights is None else np.asarray(weights, np.float64)
    found = (hits * times).cumsum()
    recall, precision = found / total, found / np.maximum(times.cumsum(), 1e-12)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if recalls is None:
        return float((envelope * np.diff(recall, prepend=0.0)).sum())
    at = np.searchsorted(recall, recalls - 1e-9, side="left")
    return float(np.where(at < len(envelope), envelope[np.minimum(at, len(envelope) - 1)], 0.0).mean())
