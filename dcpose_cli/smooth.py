"""Joints over time with less jitter: per track and joint, by the clock, weighed by confidence, never across gaps.

`gaussian` fits a straight line to the joint's places around each moment (robust local linear regression, its weights a
Gaussian of the distance in time) and takes its value there: no lag, not even at the ends of a track, and joints that
jump to another place for some frames do not pull the others along. It looks MAX_FRAMES frames ahead. `one-euro`
(Casiez et al., CHI 2012) is for those who cannot wait that long: a low-pass filter whose cut-off rises with the joint's
speed, here around the place where that speed leads, so that steady motion is not delayed. Before it the same line is
fitted, to FEW_FRAMES frames on each side: a filter that only looks back cannot tell a spike from a start.

Both work on seconds, not on frames, so frame rates may vary. A track or a joint that is absent in a frame, a pause
longer than GAP_SECONDS, and a box that does not touch the one before it (a cut) are gaps; what lies before a gap has no
influence on what lies behind it. Only x and y change; confidences and boxes stay.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .types import FrameResult, Person

T = TypeVar("T")

#: What `--smooth` can be.
METHODS: Final = ("none", "gaussian", "one-euro")

# The numbers below were chosen with benchmarks/smoothing.py on the sample clips.

#: Between two samples of a joint that lie further apart than this there is a gap.
GAP_SECONDS: Final = 0.25
#: How strongly confidence counts: the less sure a place, the more often it is far wrong.
CONFIDENCE_POWER: Final = 3

#: Standard deviation of the Gaussian, and how far it is followed to each side.
SIGMA_SECONDS: Final = 0.045
REACH_SECONDS: Final = 3 * SIGMA_SECONDS
#: Most frames looked at on each side, so that memory does not depend on the frame rate.
MAX_FRAMES: Final = 12
#: Distance from the line, as a share of the person's height, at which a place counts half.
JUMP_SHARE: Final = 0.02
ROBUST_ROUNDS: Final = 8

#: One-euro: cut-off of a joint at rest, its rise per person height per second, and the cut-off of the speed; hertz.
MIN_CUTOFF_HZ: Final = 20.0
CUTOFF_PER_SPEED: Final = 10.0
SPEED_CUTOFF_HZ: Final = 2.0
#: Frames on each side of the line fitted before it.
FEW_FRAMES: Final = 3


def require_method(method: str) -> str:
    """`method` itself. Raises UsageError when it is none of METHODS."""
    if method not in METHODS:
        raise UsageError(f"unknown smoothing {method!r}", hint=f"use {', '.join(METHODS)}")
    return method


def smooth(items: Iterable[tuple[T, FrameResult]], method: str) -> Iterator[tuple[T, FrameResult]]:
    """Frames in ascending order, each with anything that belongs to it -> the same with smoothed joints.

    Holds back at most MAX_FRAMES items (gaussian), FEW_FRAMES (one-euro), or none. Raises UsageError.
    """
    require_method(method)
    if method == "gaussian":
        return _with_neighbours(items, _local_fit, MAX_FRAMES, REACH_SECONDS)
    if method == "one-euro":
        return _one_euro(_with_neighbours(items, _local_fit, FEW_FRAMES, REACH_SECONDS))
    return iter(items)


def smooth_results(results: Iterable[FrameResult], method: str) -> Iterator[FrameResult]:
    """The same for results alone."""
    return (result for _, result in smooth(((None, result) for result in results), method))


@dataclass(frozen=True, slots=True, eq=False)
class _Samples:
    """A track around one of its moments, up to the gaps; the moment itself comes first.

    times: (k,) seconds away; points: (k, 17, 3); joined: (k, 17) joints without a gap
    between here and there. size: the person's height or width in pixels, the larger.
    """

    times: NDArray[np.float64]
    points: NDArray[np.float64]
    joined: NDArray[np.bool_]
    size: float


@dataclass(frozen=True, slots=True, eq=False)
class _Estimate:
    """What a neighbourhood says about its moment. xy: (17, 2) places; where: (17,) the joints they are for."""

    xy: NDArray[np.float64]
    where: NDArray[np.bool_]


_Estimator = Callable[[_Samples], _Estimate]


def _with_neighbours(
    items: Iterable[tuple[T, FrameResult]], estimate: _Estimator, frames: int, seconds: float
) -> Iterator[tuple[T, FrameResult]]:
    """Every person moved to where `estimate` sees it, from at most `frames` and `seconds` to each side."""
    waiting: deque[tuple[T, FrameResult]] = deque()
    held: deque[FrameResult] = deque()  # those of `waiting`, and up to `frames` before them

    def release() -> tuple[T, FrameResult]:
        item, result = waiting.popleft()
        at = len(held) - len(waiting) - 1
        around = list(held)
        people = []
        for person in result.people:
            found = estimate(_neighbours(person, around, at, frames, seconds))
            people.append(_moved(person, found.xy, found.where))
        while len(held) - len(waiting) > frames:
            held.popleft()
        return item, replace(result, people=tuple(people))

    for item, result in items:
        waiting.append((item, result))
        held.append(result)
        while len(waiting) > frames or result.time - waiting[0][1].time > seconds:
            yield release()
    while waiting:
        yield release()


def _neighbours(person: Person, frames: Sequence[FrameResult], at: int, reach: int, seconds: float) -> _Samples:
    samples = [(0.0, person.keypoints, present_joints(person))]
    for step in (-1, 1):
        joined, last, before = present_joints(person), person, frames[at].time
        for number in range(at + step, at + step * (reach + 1), step):
            if not 0 <= number < len(frames) or abs(frames[number].time - frames[at].time) > seconds:
                break
            frame = frames[number]
            sample = next((p for p in frame.people if p.track_id == person.track_id), None)
            if sample is None or not connected(last, sample, abs(frame.time - before)):
                break
            joined = joined & present_joints(sample)
            samples.append((frame.time - frames[at].time, sample.keypoints, joined))
            last, before = sample, frame.time
    times, points, masks = zip(*samples, strict=True)
    size = max(float(person.bbox[2]), float(person.bbox[3]), 1.0)
    return _Samples(np.array(times), np.stack(points).astype(np.float64), np.stack(masks), size)


def connected(before: Person, after: Person, seconds: float) -> bool:
    """Whether nothing but motion lies between two samples of one track in successive frames."""
    if seconds > GAP_SECONDS:
        return False
    low = np.maximum(before.bbox[:2], after.bbox[:2])
    high = np.minimum(before.bbox[:2] + before.bbox[2:], after.bbox[:2] + after.bbox[2:])
    return bool((high >= low).all())


def present_joints(person: Person) -> NDArray[np.bool_]:
    """(17,) joints that were predicted."""
    present: NDArray[np.bool_] = (person.keypoints[:, 2] > 0) & np.isfinite(person.keypoints).all(axis=1)
    return present


def _moved(person: Person, xy: NDArray[np.float64], where: NDArray[np.bool_]) -> Person:
    """The person with the joints of `where` (17,) at `xy` (17, 2)."""
    keypoints = person.keypoints.copy()
    keypoints[where, :2] = xy[where]
    return replace(person, keypoints=keypoints)


def _local_fit(samples: _Samples) -> _Estimate:
    """Each joint on the line through its neighbours in time."""
    kernel = np.exp(-0.5 * (samples.times / SIGMA_SECONDS) ** 2)[:, None]
    weights = kernel * np.where(samples.joined, samples.points[..., 2], 0) ** CONFIDENCE_POWER
    xy = np.where(samples.joined[..., None], samples.points[..., :2], 0)
    line, some = _line(samples.times, weights, xy)
    for _ in range(ROBUST_ROUNDS):
        # Cauchy's weights: a place far off the line, left taken for right say, counts little.
        off = np.hypot(*np.moveaxis(xy - line[0] - samples.times[:, None, None] * line[1], -1, 0))
        line, some = _line(samples.times, weights / (1 + (off / (JUMP_SHARE * samples.size)) ** 2), xy)
    return _Estimate(line[0], samples.joined[0] & some)


def _line(
    times: NDArray[np.float64], weights: NDArray[np.float64], xy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Weighted least-squares lines of 17 joints. times: (k,) seconds; weights: (k, 17); xy: (k, 17, 2).

    Returns (2, 17, 2), place and speed at time 0, and (17,) which joints have one.
    """
    total, first, second = (np.einsum("k,kj->j", times**power, weights) for power in (0, 1, 2))
    value = np.einsum("kj,kjc->jc", weights, xy)
    slope = np.einsum("k,kj,kjc->jc", times, weights, xy)
    spread = total * second - first**2
    some = spread > 1e-9 * (total * SIGMA_SECONDS) ** 2
    safe = np.where(some, spread, 1.0)[:, None]
    place = (second[:, None] * value - first[:, None] * slope) / safe
    speed = (total[:, None] * slope - first[:, None] * value) / safe
    return np.stack([place, speed]), some


@dataclass(frozen=True, slots=True, eq=False)
class _Filter:
    """One-euro state of a track. xy, speed: (17, 2), pixels and pixels per second; weight: (17,); present: (17,)."""

    person: Person
    time: float
    xy: NDArray[np.float64]
    speed: NDArray[np.float64]
    weight: NDArray[np.float64]
    present: NDArray[np.bool_]


def _one_euro(items: Iterable[tuple[T, FrameResult]]) -> Iterator[tuple[T, FrameResult]]:
    filters: dict[int, _Filter] = {}
    for item, result in items:
        # Whoever is absent from this frame is forgotten: that is a gap.
        filters = {p.track_id: _step(filters.get(p.track_id), p, result.time) for p in result.people}
        people = tuple(_moved(p, filters[p.track_id].xy, filters[p.track_id].present) for p in result.people)
        yield item, replace(result, people=people)


def _step(state: _Filter | None, person: Person, time: float) -> _Filter:
    present = present_joints(person)
    xy = person.keypoints[:, :2].astype(np.float64)
    weight = np.where(present, person.keypoints[:, 2], 0).astype(np.float64) ** CONFIDENCE_POWER
    if state is None or time <= state.time or not connected(state.person, person, time - state.time):
        return _Filter(person, time, xy, np.zeros_like(xy), weight, present)
    seconds = time - state.time
    both = present & state.present
    size = max(float(person.bbox[2]), float(person.bbox[3]), 1.0)
    share = _share(SPEED_CUTOFF_HZ, seconds)
    speed = np.where(both[:, None], share * (xy - state.xy) / seconds + (1 - share) * state.speed, 0)
    share = _share(MIN_CUTOFF_HZ + CUTOFF_PER_SPEED * np.hypot(*speed.T) / size, seconds)
    # Old and new places count by their confidence too: an unsure place moves the joint less.
    new, old = share * weight, (1 - share) * state.weight
    part = np.where(both, new / np.maximum(new + old, 1e-12), 1.0)[:, None]
    moved = part * xy + (1 - part) * (state.xy + state.speed * seconds)
    return _Filter(person, time, moved, speed, np.where(both, new + old, weight), present)


def _share(cutoff: NDArray[np.float64] | float, seconds: float) -> NDArray[np.float64]:
    """How much of a new sample a first-order low-pass takes. cutoff: hertz."""
    step = 2 * math.pi * np.asarray(cutoff, np.float64) * seconds
    return np.asarray(step / (step + 1), np.float64)
