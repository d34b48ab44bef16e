"""A result at a fixed frame rate, and whether its own times are regular."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..smooth import GAP_SECONDS
from ..types import FrameResult, Person
from .identities import require_distinct_ids
from .reader import PoseTrackResult
from .serialization import present
from .validation import frame_rate

#: A frame may come so much too early or too late, seconds and share of a step, before the times count as irregular.
_TOLERANCE_SECONDS: Final = 0.002
_TOLERANCE_SHARE: Final = 0.05
#: Most frames of a resampled result.
_MOST_FRAMES: Final = 10_000_000


def irregular_times(result: PoseTrackResult) -> str:
    """What to say of times that a file with one frame rate cannot hold; empty where they are regular."""
    frames = result.frames
    steps = [(b.time - a.time) / (b.index - a.index) for a, b in pairwise(frames) if b.index > a.index]
    if len(steps) < 2:
        return ""
    usual = median(steps)
    if all(abs(step - usual) <= max(_TOLERANCE_SECONDS, _TOLERANCE_SHARE * usual) for step in steps):
        return ""
    return (
        f"frames come {1000 * min(steps):.1f} to {1000 * max(steps):.1f} ms apart, and this format has one frame rate"
    )


def resample(result: PoseTrackResult, fps: str | float | Fraction) -> PoseTrackResult:
    """The result at `fps` frames per second of its own times, from its first to its last frame.

    Joints and boxes lie on straight lines between the two frames around a moment; confidences are the lower of the two.
    Whoever is in one of them only, or whose frames lie more than GAP_SECONDS apart, is left out. Frames are numbered
    from 0 and no frame is marked damaged. Raises UsageError, and InputError where a track id is twice in a frame.
    """
    try:
        rate = frame_rate(fps)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{fps!r:.40} is not a frame rate", hint="write 100, 29.97 or 30000/1001") from error
    require_distinct_ids(result)
    old = result.frames
    if not old:
        return result
    first, last = old[0].time, old[-1].time
    count = int(np.floor((last - first) * float(rate) + 1e-6)) + 1
    if not 0 < count <= _MOST_FRAMES:
        raise UsageError(f"{count} frames at {fps} frames per second are too many")
    frames, after = [], 0
    for index in range(count):
        time = first + float(index / rate)
        while after < len(old) - 1 and old[after].time < time - 1e-6:
            after += 1
        before = after if abs(old[after].time - time) <= 1e-6 else max(after - 1, 0)
        people = _between(old[before], old[after], time)
        frames.append(FrameResult(index, index, float(index / rate), people))
    header = {key: value for key, value in result.header.items() if key not in ("shot_fps", "start_pts")}
    header |= {
        "fps": f"{rate.numerator}/{rate.denominator}",
        "time_base": f"{rate.denominator}/{rate.numerator}",
        "pts": list(range(count)),
        "damaged_frames": [],
        "resampled_from": str(result.header.get("fps")),
        "video": None,
    }
    return replace(result, header=header, frames=frames)


def _between(before: FrameResult, after: FrameResult, time: float) -> tuple[Person, ...]:
    if before is after:
        return before.people
    if after.time - before.time > GAP_SECONDS:
        return ()
    share = (time - before.time) / (after.time - before.time)
    later = {person.track_id: person for person in after.people}
    return tuple(_mixed(p, later[p.track_id], share) for p in before.people if p.track_id in later)


def _mixed(one: Person, other: Person, share: float) -> Person:
    both = present(one.keypoints) & present(other.keypoints)
    keypoints: NDArray[np.float32] = ((1 - share) * one.keypoints + share * other.keypoints).astype(np.float32)
    keypoints[:, 2] = np.minimum(one.keypoints[:, 2], other.keypoints[:, 2])
    keypoints[~both] = 0
    bbox = ((1 - share) * one.bbox + share * other.bbox).astype(np.float32)
    interpolated = one.interpolated or other.interpolated
    score = min(one.score, other.score)
    return replace(one, bbox=bbox, score=score, keypoints=keypoints, interpolated=interpolated)
