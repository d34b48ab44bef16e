"""What a header says of the measures of its result: the time between frames, and the shape of a pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Any

from ..errors import InputError, UsageError
from ..types import FrameResult
from .reader import PoseTrackResult, time_base, time_scale
from .validation import frame_rate


def pixel_aspect(header: Mapping[str, Any]) -> float:
    """Width of a pixel over its height; 1 for results that do not say it."""
    try:
        aspect = float(Fraction(str(header.get("pixel_aspect", 1))))
    except (ValueError, ZeroDivisionError, OverflowError):
        return 1.0
    return aspect if 0.01 <= aspect <= 100 else 1.0


def real_rate(header: Mapping[str, Any]) -> float | None:
    """Frames per second of real time: those the camera recorded with; None where the header does not say."""
    try:
        return float(Fraction(str(header.get("fps"))) / time_scale(header))
    except (InputError, ValueError, ZeroDivisionError, OverflowError):
        return None


def frame_rate_of(header: Mapping[str, Any]) -> Fraction | None:
    """Frames per second at which the video plays; None where the header does not say."""
    try:
        return frame_rate(str(header.get("fps")))
    except (ValueError, ZeroDivisionError):
        return None


def playback_frames(result: PoseTrackResult) -> list[FrameResult]:
    """The frames with the times at which the video shows them, for results of slow motion."""
    if time_scale(result.header) == 1:
        return result.frames
    seconds = time_base(result.header)
    return [replace(frame, time=float(frame.pts * seconds)) for frame in result.frames]


def shot_with(result: PoseTrackResult, shot_fps: str | float | Fraction) -> PoseTrackResult:
    """The result in real time. shot_fps: frames per second the camera recorded with. Raises UsageError."""
    header = shot_header(_with_rate(result), shot_fps)
    seconds = time_base(header) * time_scale(header)
    frames = [replace(frame, time=float(frame.pts * seconds)) for frame in result.frames]
    return replace(result, header=header, frames=frames)


def shot_header(header: Mapping[str, Any], shot_fps: str | float | Fraction) -> dict[str, Any]:
    """A header that says the rate the camera recorded with. Raises UsageError."""
    rate = shot_rate(shot_fps)
    if header.get("fps") is None:
        raise UsageError("--shot-fps needs a video that says its frame rate", hint="leave it out")
    return {**header, "shot_fps": f"{rate.numerator}/{rate.denominator}"}


def shot_rate(shot_fps: str | float | Fraction) -> Fraction:
    """A frame rate as users write it. Raises UsageError."""
    try:
        return frame_rate(shot_fps)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{shot_fps!r:.40} is not a frame rate", hint="write 240, 239.76 or 30000/1001") from error


def _with_rate(result: PoseTrackResult) -> dict[str, Any]:
    """The header, with the rate of its frames where it has none."""
    header = dict(result.header)
    if header.get("fps") is None:
        header["fps"] = _rate_of(result.frames, time_base(header))
    return header


def _rate_of(frames: Sequence[FrameResult], seconds: Fraction) -> str | None:
    steps = [(later.pts - earlier.pts) / (later.index - earlier.index) for earlier, later in pairwise(frames)]
    usual = median(steps) if steps else 0
    if usual <= 0:
        return None
    rate = (1 / (Fraction(usual) * seconds)).limit_denominator(1001)
    return f"{rate.numerator}/{rate.denominator}"
