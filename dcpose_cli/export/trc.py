"""TRC (track row column), the marker files of OpenSim and other biomechanics tools: one file per person.

Five header lines and an empty one, then a row per frame: number from 1, time in seconds, X Y Z of every joint,
separated by tabs. Z is 0: these are positions in the picture. `nan` stands where the person or the joint was not found.
Rows run from the first to the last frame in which the person was seen. Joints that the whole result never predicts have
no columns.

Without a scale the units are pixels and Y points down, as everywhere in dcpose. With metres per pixel they are metres
and Y points up from the bottom of the picture, as biomechanics tools expect it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..results.numbers import present, written
from ..results.reader import PoseTrackResult
from ..skeleton import JOINT_NAMES, NUM_JOINTS
from ..types import FrameResult, Person

_DEFAULT_RATE: Final = 30.0  # stands in the header where the video does not say; the times in the rows are true
_HEADER: Final = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame"),
    "OrigNumFrames",
)


@dataclass(frozen=True, slots=True)
class Scale:
    """Pixels to metres. height: of the picture, pixels."""

    metres: float
    height: float


@dataclass(frozen=True, slots=True)
class Markers:
    """What all files of a result share. slots: joints that get columns. rate: frames per second."""

    frames: Sequence[FrameResult]
    slots: Sequence[int]
    rate: float
    scale: Scale | None


#: A track: position of the frame in the result -> the person in it.
Track = dict[int, Person]


def tracks_of(result: PoseTrackResult) -> dict[int, Track]:
    """Every track by its id, in ascending order."""
    tracks: dict[int, Track] = {}
    for position, frame in enumerate(result.frames):
        for person in frame.people:
            tracks.setdefault(person.track_id, {})[position] = person
    return dict(sorted(tracks.items()))


def markers_of(result: PoseTrackResult, metres_per_pixel: float | None = None) -> Markers:
    """Raises UsageError for a scale that cannot be, or when the result does not say how high its picture is."""
    return Markers(result.frames, _predicted_slots(result), _rate(result), _scale(result, metres_per_pixel))


def write_trc(markers: Markers, track: Track, path: Path, name: str) -> None:
    """Write one track to `path`; name: what the first line calls the file."""
    first, last = min(track), max(track)
    frames, slots, rate = markers.frames[first : last + 1], markers.slots, markers.rate
    units = "m" if markers.scale else "px"
    values = (rate, rate, len(frames), len(slots), units, rate, frames[0].index + 1, len(frames))
    first_line = " ".join(name.split()) or "result.trc"
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as out:
        out.write(f"PathFileType\t4\t(X/Y/Z)\t{first_line}\n")
        out.write("\t".join(_HEADER) + "\n")
        out.write("\t".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values) + "\n")
        out.write("Frame#\tTime\t" + "\t\t\t".join(JOINT_NAMES[slot] for slot in slots) + "\t\t\n")
        out.write("\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, len(slots) + 1)) + "\n")
        out.write("\n")
        for position, frame in enumerate(frames, start=first):
            joints = written(track[position]).joints if position in track else [None] * NUM_JOINTS
            cells = [_cells(joints[slot], markers.scale) for slot in slots]
            out.write("\t".join([str(frame.index + 1), f"{frame.time:.6f}", *cells]) + "\n")


def _scale(result: PoseTrackResult, metres_per_pixel: float | None) -> Scale | None:
    if metres_per_pixel is None:
        return None
    height = result.header.get("height")
    if not isinstance(height, int | float) or isinstance(height, bool) or not 0 < height < 1e6:
        raise UsageError("the result does not say how high its picture is; leave the scale out")
    if not 0 < metres_per_pixel < 1e6:
        raise UsageError(f"metres per pixel must be positive, got {metres_per_pixel}")
    return Scale(metres_per_pixel, float(height))


def _predicted_slots(result: PoseTrackResult) -> list[int]:
    there: NDArray[np.bool_] = np.zeros(NUM_JOINTS, bool)
    for frame in result.frames:
        for person in frame.people:
            there |= present(person.keypoints)
    return np.flatnonzero(there).tolist() or list(range(NUM_JOINTS))


def _rate(result: PoseTrackResult) -> float:
    try:
        return float(Fraction(str(result.header.get("fps"))))
    except (ValueError, ZeroDivisionError, OverflowError):
        return _DEFAULT_RATE


def _cells(joint: tuple[float, float, float] | None, scale: Scale | None) -> str:
    if joint is None:
        return "nan\tnan\tnan"
    x, y, _ = joint
    if scale is None:
        return f"{x:.2f}\t{y:.2f}\t0"
    # The bottom edge of the last row of pixels lies half a pixel below its centre.
    return f"{x * scale.metres:.6f}\t{(scale.height - 0.5 - y) * scale.metres:.6f}\t0"
