"""Filters of finished results that need whole tracks: Butterworth and median, by scipy.

Both work on the stretches of a joint between its gaps (see smooth.py), on x and y alone.

`butterworth` is a low-pass run forwards and backwards, so that nothing lags. `order` is that of both passes together
and `cutoff` the frequency that is halved in power by both (-3 dB): the cut-off of each pass is raised for that
(Winter, Biomechanics and Motor Control of Human Movement, 4th ed., section 2.2.4.4). A stretch is brought to regular
times, by straight lines, before, and back to its own after. It must be three times as long as the filter, and its
frame rate more than twice the cut-off; others stay as they are.

`median` takes the median over `window` frames, fewer at the ends of a stretch; a stretch of fewer than three frames
stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .smooth import GAP_SECONDS, METHODS, connected, present_joints, smooth_results
from .types import FrameResult, Person

#: Least cut-off of one pass as a share of half the frame rate; the equations of a lower one are singular to rounding.
LEAST_SHARE: Final = 1e-4
#: What `dcpose smooth --method` can be: those that run along with a video, and those of whole tracks.
ALL_METHODS: Final = (*METHODS, "butterworth", "median")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """How to smooth. order, cutoff (hertz): of butterworth. window: of median, frames, odd."""

    method: str = "gaussian"
    order: int = 4
    cutoff: float = 6.0
    window: int = 5

    def header(self) -> dict[str, str | int | float]:
        """What was done, for the header of a result."""
        if self.method == "butterworth":
            return {"method": self.method, "order": self.order, "cutoff": self.cutoff}
        return {"method": self.method} | ({"window": self.window} if self.method == "median" else {})


def require_filter(wanted: Filter) -> Filter:
    """`wanted` itself. Raises UsageError when it cannot be meant."""
    if wanted.method not in ALL_METHODS:
        raise UsageError(f"unknown smoothing {wanted.method!r}", hint=f"use {', '.join(ALL_METHODS)}")
    if wanted.order not in (2, 4, 6, 8):
        raise UsageError(f"--order must be 2, 4, 6 or 8, as two passes share it, got {wanted.order}")
    if not 0 < wanted.cutoff < 1000:
        raise UsageError(f"--cutoff must lie between 0 and 1000 hertz, got {wanted.cutoff}")
    if not (3 <= wanted.window <= 1001 and wanted.window % 2):
        raise UsageError(f"--window must be an odd number of frames from 3 to 1001, got {wanted.window}")
    return wanted


def filtered(frames: Sequence[FrameResult], wanted: Filter) -> list[FrameResult]:
    """The frames with smoothed joints. Raises UsageError."""
    require_filter(wanted)
    if wanted.method in METHODS:
        return list(smooth_results(frames, wanted.method))
    moved: dict[tuple[int, int], NDArray[np.float32]] = {}
    for stretch in _stretches(frames):
        for (position, person), keypoints in zip(stretch, _smoothed(frames, stretch, wanted), strict=True):
            moved[position, person.track_id] = keypoints
    return [
        replace(frame, people=tuple(replace(p, keypoints=moved[position, p.track_id]) for p in frame.people))
        for position, frame in enumerate(frames)
    ]


def said_of(frames: Sequence[FrameResult], by: Filter) -> str:
    """What to say of joints that a filter leaves as they are; empty where that is less than one in a hundred."""
    left = total = 0
    for stretch in _stretches(frames):
        times, there = _times_and_joints(frames, stretch)
        for _, part in _runs(there):
            count = part.stop - part.start
            total += count
            left += 0 if _fits(times[part], by) else count
    if not total or left < 0.01 * total:
        return ""
    pauses = [b.time - a.time for a, b in pairwise(frames) if b.time - a.time > GAP_SECONDS]
    if len(pauses) > 0.1 * len(frames):
        why = f"frames are up to {max(pauses):.2f} s apart, and across more than {GAP_SECONDS} s nothing is smoothed"
    elif by.method == "butterworth" and by.cutoff * _usual_step(frames) >= 0.5:
        why = f"a cut-off of {by.cutoff:g} Hz needs more than {2 * by.cutoff:g} frames/s"
    elif by.method == "butterworth" and 0 < _share(_usual_step(frames), by) < LEAST_SHARE:
        why = f"a cut-off of {by.cutoff:g} Hz is too low for {1 / _usual_step(frames):g} frames/s"
    else:
        why = "they stand alone, or in stretches too short for the filter"
    if left == total:
        return f"nothing could be smoothed: {why}"
    return f"{left} of {total} joints could not be smoothed: {why}"


def _usual_step(frames: Sequence[FrameResult]) -> float:
    """Median of the seconds between frames; 0 for a single one."""
    return float(np.median(np.diff([frame.time for frame in frames]))) if len(frames) > 1 else 0.0


def _stretches(frames: Sequence[FrameResult]) -> Iterator[list[tuple[int, Person]]]:
    """Every track cut at its gaps: positions of frames, and the person in them."""
    tracks: dict[int, list[tuple[int, Person]]] = {}
    for position, frame in enumerate(frames):
        for person in frame.people:
            tracks.setdefault(person.track_id, []).append((position, person))
    for seen in tracks.values():
        stretch = seen[:1]
        for (before, one), (now, other) in pairwise(seen):
            if now != before + 1 or not connected(one, other, frames[now].time - frames[before].time):
                yield stretch
                stretch = []
            stretch.append((now, other))
        yield stretch


def _times_and_joints(
    frames: Sequence[FrameResult], stretch: Sequence[tuple[int, Person]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Seconds (K,) of a stretch, and which joints (K, J) are there."""
    times = np.array([frames[position].time for position, _ in stretch])
    return times, np.stack([present_joints(person) for _, person in stretch])


def _runs(there: NDArray[np.bool_]) -> Iterator[tuple[int, slice]]:
    """Joints and the parts of a stretch in which they are there without a break."""
    for joint in range(there.shape[1]):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], there[:, joint], [False]]).astype(int)))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            yield joint, slice(first, last)


def _fits(times: NDArray[np.float64], by: Filter) -> bool:
    """Whether a run at these times is long and dense enough for a filter."""
    if by.method != "butterworth":
        return len(times) >= (3 if by.method == "median" else 2)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    count = round((times[-1] - times[0]) / step) + 1 if step > 0 else 0
    return 3 * (2 * _sections(by) + 1) < count <= 10 * len(times) and LEAST_SHARE <= _share(step, by) < 1


def _sections(by: Filter) -> int:
    """Second-order sections of one pass."""
    return -(-by.order // 4)


def _share(step: float, by: Filter) -> float:
    """Cut-off of one pass as a share of half the frame rate; 1 or more where there is none."""
    if by.cutoff * step >= 0.5:
        return 1.0
    # Two passes each lose power at the cut-off; the correction belongs to the analogue filter behind the digital one.
    nominal = math.tan(math.pi * by.cutoff * step) / (math.sqrt(2) - 1) ** (1 / by.order)
    return 2 * math.atan(nominal) / math.pi


def _smoothed(
    frames: Sequence[FrameResult], stretch: Sequence[tuple[int, Person]], wanted: Filter
) -> NDArray[np.float32]:
    """(K, J, 3) keypoints of a stretch; joints are filtered between the frames in which they are absent."""
    times, there = _times_and_joints(frames, stretch)
    points = np.stack([person.keypoints for _, person in stretch])
    apply = _butterworth if wanted.method == "butterworth" else _median
    for joint, part in _runs(there):
        if _fits(times[part], wanted):
            points[part, joint, :2] = apply(times[part], points[part, joint, :2].astype(np.float64), wanted)
    return points


def _butterworth(times: NDArray[np.float64], xy: NDArray[np.float64], wanted: Filter) -> NDArray[np.float64]:
    """xy: (K, 2) at `times`, without gaps."""
    from scipy.signal import butter, sosfiltfilt

    step = float(np.median(np.diff(times)))
    even = np.linspace(times[0], times[-1], round((times[-1] - times[0]) / step) + 1)
    regular = np.stack([np.interp(even, times, xy[:, axis]) for axis in (0, 1)], axis=1)
    low = sosfiltfilt(butter(wanted.order // 2, _share(step, wanted), output="sos"), regular, axis=0)
    return np.stack([np.interp(times, even, low[:, axis]) for axis in (0, 1)], axis=1)


def _median(times: NDArray[np.float64], xy: NDArray[np.float64], wanted: Filter) -> NDArray[np.float64]:
    """xy: (K, 2), without gaps; windows are cut short at the ends."""
    from scipy.ndimage import median_filter

    del times
    half = min(wanted.window // 2, (len(xy) - 1) // 2)
    out = np.asarray(median_filter(xy, size=(2 * half + 1, 1), mode="nearest"), np.float64)
    for k in range(half):
        out[k], out[-1 - k] = np.median(xy[: 2 * k + 1], axis=0), np.median(xy[-2 * k - 1 :], axis=0)
    return out
