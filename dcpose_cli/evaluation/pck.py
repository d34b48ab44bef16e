"""Keypoint accuracy on people whose boxes are known: PCKh, PCK over the torso, and OKS.

Keypoint arrays are (N, 17, 3) in slot order. In a truth array the third number is visibility (> 0: labelled); in a
prediction it is the confidence, which plays no part here: every labelled joint counts, confident or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..skeleton import JOINT_GROUPS, JOINT_NAMES, OKS_SIGMAS
from .bootstrap import mean_interval, ratio_interval

_HEAD: Final = (JOINT_NAMES.index("head_bottom"), JOINT_NAMES.index("head_top"))
_TORSO: Final = (JOINT_NAMES.index("left_shoulder"), JOINT_NAMES.index("right_hip"))

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Share:
    """hits of joints, over people that had a reference length. interval: 95 % bootstrap over people, shares."""

    hits: int
    joints: int
    people: int
    interval: tuple[float, float]

    @property
    def value(self) -> float:
        """hits / joints; NaN without joints."""
        return self.hits / self.joints if self.joints else float("nan")


@dataclass(frozen=True, slots=True)
class PckResult:
    """PCK over all joints, and per joint group of the PoseTrack tables."""

    total: Share
    groups: dict[str, Share]


@dataclass(frozen=True, slots=True)
class OksResult:
    """Mean object keypoint similarity over people, with its 95 % bootstrap interval."""

    mean: float
    people: int
    interval: tuple[float, float]


def labelled(truth: Floats) -> NDArray[np.bool_]:
    """(N, 17) bool: joints a human labelled, hidden or not."""
    mask: NDArray[np.bool_] = truth[:, :, 2] > 0
    return mask


def head_lengths(truth: Floats) -> NDArray[np.float64]:
    """(N,) distance head_top - head_bottom in pixels, NaN where one of them is not labelled."""
    return _length(truth, _HEAD)


def torso_lengths(truth: Floats) -> NDArray[np.float64]:
    """(N,) distance left shoulder - right hip in pixels, NaN where one of them is not labelled."""
    return _length(truth, _TORSO)


def _length(truth: Floats, ends: tuple[int, int]) -> NDArray[np.float64]:
    first, second = truth[:, ends[0]].astype(np.float64), truth[:, ends[1]].astype(np.float64)
    length = np.hypot(first[:, 0] - second[:, 0], first[:, 1] - second[:, 1])
    # Two labels on one spot give a length of 0, which nothing can meet: such a person counts as missed, as it did in
    # the figures published for the pack.
    return np.where((first[:, 2] > 0) & (second[:, 2] > 0), length, np.nan)


def joint_hits(
    predicted: Floats, truth: Floats, lengths: Floats, factor: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which joints lie within `factor` of the person's reference length, and which count.

    predicted, truth: (N, 17, >= 2) and (N, 17, 3). lengths: (N,) pixels, NaN leaves the person out.
    Returns (hits, counted), both (N, 17) bool; hits only where counted. A prediction that is not finite misses.
    """
    counted = labelled(truth) & np.isfinite(lengths)[:, None]
    offset = predicted[:, :, :2].astype(np.float64) - truth[:, :, :2]
    with np.errstate(invalid="ignore"):
        hits = counted & (np.hypot(offset[:, :, 0], offset[:, :, 1]) <= factor * lengths[:, None])
    return hits, counted


def pck(predicted: Floats, truth: Floats, lengths: Floats, factor: float) -> PckResult:
    """Percentage of correct keypoints, as shares; arguments as in `joint_hits`."""
    _check(predicted, truth)
    hits, counted = joint_hits(predicted, truth, lengths, factor)
    everything = tuple(range(truth.shape[1]))
    groups = {name: _share(hits, counted, slots) for name, slots in JOINT_GROUPS.items()}
    return PckResult(_share(hits, counted, everything), groups)


def pckh(predicted: Floats, truth: Floats, factor: float = 0.5) -> PckResult:
    """PCKh: within `factor` of the length head_top - head_bottom; people without both are left out."""
    return pck(predicted, truth, head_lengths(truth), factor)


def pck_torso(predicted: Floats, truth: Floats, factor: float = 0.2) -> PckResult:
    """PCK: within `factor` of the length left shoulder - right hip; people without both are left out."""
    return pck(predicted, truth, torso_lengths(truth), factor)


def oks(predicted: Floats, truth: Floats, areas: Floats) -> NDArray[np.float64]:
    """COCO's object keypoint similarity: (N,) in 0..1, NaN for people without a labelled joint.

    areas: (N,) square pixels of the person (COCO scales by the area of its segment, or of the box without one).
    """
    _check(predicted, truth)
    mask = labelled(truth)
    offset = predicted[:, :, :2].astype(np.float64) - truth[:, :, :2]
    scale = 2.0 * np.maximum(np.asarray(areas, np.float64), np.spacing(1.0))[:, None]
    variance = (2.0 * np.array(OKS_SIGMAS)) ** 2
    similarity = np.exp(-(offset**2).sum(axis=2) / (scale * variance))
    similarity = np.where(mask & np.isfinite(similarity), similarity, 0.0)
    counts = mask.sum(axis=1)
    return np.where(counts > 0, similarity.sum(axis=1) / np.maximum(counts, 1), np.nan)


def mean_oks(predicted: Floats, truth: Floats, areas: Floats) -> OksResult:
    """OKS averaged over the people that have a labelled joint."""
    values = oks(predicted, truth, areas)
    values = values[np.isfinite(values)]
    mean = float(values.mean()) if len(values) else float("nan")
    return OksResult(mean, len(values), mean_interval(values))


def _share(hits: NDArray[np.bool_], counted: NDArray[np.bool_], slots: Sequence[int]) -> Share:
    per_person_hits = hits[:, slots].sum(axis=1)
    per_person = counted[:, slots].sum(axis=1)
    return Share(
        hits=int(per_person_hits.sum()),
        joints=int(per_person.sum()),
        people=int((per_person > 0).sum()),
        interval=ratio_interval(per_person_hits, per_person),
    )


def _check(predicted: Floats, truth: Floats) -> None:
    joints = len(JOINT_NAMES)
    if truth.ndim != 3 or truth.shape[1:] != (joints, 3) or predicted.shape[:2] != truth.shape[:2]:
        raise ValueError(f"keypoints must be (N, {joints}, 3), not {predicted.shape} and {truth.shape}")
