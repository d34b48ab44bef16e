"""COCO's average precision over object keypoint similarity, per joint group, with intervals over people.

Everything is a list of records, one per prediction: its score, the similarity it reaches with the person it was matched
to, and whose record it is. An interval draws people anew, each with all their records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..skeleton import JOINT_GROUPS
from .average_precision import COCO_RECALLS, average_precision
from .pck import labelled, oks

#: Similarities from which a prediction is right; AP is the mean over them.
THRESHOLDS: Final = tuple(np.arange(0.5, 1.0, 0.05).round(2).tolist())
_ROUNDS: Final = 500
_SEED: Final = 0

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Ap:
    """AP in 0..1 over `people` person-frames. interval: 95 %, NaN without people."""

    value: float
    people: int
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Predictions of one frame and the people in it, already paired.

    predicted, truth: (N, 17, 3), row by row the same person; predicted is NaN where nobody was found.
    areas: (N,) square pixels. owners: (N,) number of each person, the same in all frames.
    surplus: (M, 17) scores of predictions that belong to nobody.
    """

    predicted: Floats
    truth: Floats
    areas: Floats
    owners: NDArray[np.int64]
    surplus: Floats


def grouped_ap(frames: Sequence[Matched]) -> dict[str, Ap]:
    """AP over all joints ("all") and per group. A prediction's score is the mean of its joints' scores."""
    groups = {"all": tuple(range(17)), **JOINT_GROUPS}
    return {name: _group_ap(frames, slots) for name, slots in groups.items()}


def _group_ap(frames: Sequence[Matched], slots: tuple[int, ...]) -> Ap:
    scores, values, owners, people = [], [], [], []
    chosen = list(slots)
    for frame in frames:
        truth = np.array(frame.truth, np.float64)
        outside = np.ones(truth.shape[1], bool)
        outside[chosen] = False
        truth[:, outside, 2] = 0
        counted = labelled(truth).any(axis=1)
        if counted.any():
            truth, predicted = truth[counted], np.asarray(frame.predicted, np.float64)[counted]
            found = np.isfinite(predicted[:, 0, 0])
            people += frame.owners[counted].tolist()
            similarity = oks(np.nan_to_num(predicted, nan=1e9), truth, frame.areas[counted])
            scores += _mean_score(predicted[found][:, chosen, 2])
            values += similarity[found].tolist()
            owners += frame.owners[counted][found].tolist()
        scores += _mean_score(np.asarray(frame.surplus, np.float64).reshape(-1, 17)[:, chosen])
        values += [0.0] * len(frame.surplus)
        owners += [-1] * len(frame.surplus)
    return _with_interval(np.array(scores), np.array(values), np.array(owners, int), np.array(people, int))


def _mean_score(scores: Floats) -> list[float]:
    return [float(value) for value in scores.mean(axis=1)] if len(scores) else []


def _with_interval(scores: Floats, values: Floats, owners: NDArray[np.int64], people: NDArray[np.int64]) -> Ap:
    if not len(people):
        return Ap(float("nan"), 0, (float("nan"), float("nan")))
    order = np.argsort(-scores, kind="stable")
    values, owners = values[order], owners[order]
    right = np.array([values >= threshold for threshold in THRESHOLDS], np.float64)
    known = np.unique(people)
    place = np.searchsorted(known, owners)  # -1, of nobody, is never drawn anew
    per_person = np.searchsorted(known, people)
    rng = np.random.default_rng(_SEED)
    drawn = []
    for _ in range(_ROUNDS):
        times = np.bincount(rng.integers(len(known), size=len(known)), minlength=len(known)).astype(np.float64)
        weights = np.where(owners < 0, 1.0, times[np.minimum(place, len(known) - 1)])
        drawn.append(_mean_ap(right, weights, float(times[per_person].sum())))
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = _mean_ap(right, np.ones(len(values)), float(len(people)))
    return Ap(value, len(people), (float(low), float(high)))


def _mean_ap(right: Floats, weights: Floats, total: float) -> float:
    """Mean of COCO's average precision over the thresholds. right: (T, R), best score first; weights: (R,)."""
    return float(np.mean([average_precision(r, total, weights=weights, recalls=COCO_RECALLS) for r in right]))
