"""TRC (track row column), the marker files of OpenSim and other biomechanics tools: one file per person.

Five header lines and an empty one, then a row per frame: number from 1, time in seconds, X Y Z of every joint,
separated by tabs. Z is 0: these are positions in the picture. `nan` stands where the person or the joint was not found.
Rows run from the first to the last frame in which the person was seen. Joints that the whole result never predicts have
no columns.

Without a scale the units are pixels and Y points down, as everywhere in dcpose. With metres per pixel they are metres
and Y points up from the bottom of the picture, as biomechanics tools expect it. Where pixels are not square, X counts
in pixel heights, so that lengths and angles are right. The scale is that of a pixel's height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError, UsageError
from ..files import require_free_target
from ..results.measures import pixel_aspect, real_rate
from ..results.reader import PoseTrackResult
from ..results.serialization import present, written
from ..skeleton import JOINT_NAMES, NUM_JOINTS
from ..types import FrameResult
from ._outputs import Write, write_files
from .format import Format, Options, Track, tracks_of

_DEFAULT_RATE: Final = 30.0  # stands in the header where the video does not say; the times in the rows are true
_HEADER: Final = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame"),
    "OrigNumFrames",
)


@dataclass(frozen=True, slots=True)
class Scale:
    """Pixels to metres. metres: of the height of a pixel. height: of the picture, pixels."""

    metres: float
    height: float


@dataclass(frozen=True, slots=True)
class Markers:
    """What all files of a result share.

    slots: joints that get columns. rate: frames per second of real time. aspect: width of a pixel over its height.
    """

    frames: Sequence[FrameResult]
    slots: Sequence[int]
    rate: float
    scale: Scale | None
    aspect: float = 1.0


def markers_of(result: PoseTrackResult, metres_per_pixel: float | None = None) -> Markers:
    """Raises UsageError for a scale that cannot be, or when the result does not say how high its picture is."""
    rate, scale = real_rate(result.header) or _DEFAULT_RATE, _scale(result, metres_per_pixel)
    return Markers(result.frames, _predicted_slots(result), rate, scale, pixel_aspect(result.header))


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
            cells = [_cells(joints[slot], markers.scale, markers.aspect) for slot in slots]
            out.write("\t".join([str(frame.index + 1), f"{frame.time:.6f}", *cells]) + "\n")


def _scale(result: PoseTrackResult, metres_per_pixel: float | None) -> Scale | None:
    if metres_per_pixel is None:
        return None
    height = result.header.get("height")
    if not isinstance(height, int | float) or isinstance(height, bool) or not 0 < height < 1e6:
        raise UsageError("the result does not say how high its picture is", hint="leave the scale out")
    if not 0 < metres_per_pixel < 1e6:
        raise UsageError(f"metres per pixel must be positive, got {metres_per_pixel}")
    return Scale(metres_per_pixel, float(height))


def _predicted_slots(result: PoseTrackResult) -> list[int]:
    there: NDArray[np.bool_] = np.zeros(NUM_JOINTS, bool)
    for frame in result.frames:
        for person in frame.people:
            there |= present(person.keypoints)
    return np.flatnonzero(there).tolist() or list(range(NUM_JOINTS))


def _cells(joint: tuple[float, float, float] | None, scale: Scale | None, aspect: float) -> str:
    if joint is None:
        return "nan\tnan\tnan"
    x, y = joint[0] * aspect, joint[1]
    if scale is None:
        return f"{x:.2f}\t{y:.2f}\t0"
    # The bottom edge of the last row of pixels lies half a pixel below its centre.
    return f"{x * scale.metres:.6f}\t{(scale.height - 0.5 - y) * scale.metres:.6f}\t0"


def track_path(out: Path, track: int) -> Path:
    """Where a track goes when there are several: result.trc -> result_track3.trc."""
    return out.with_name(f"{out.stem}_track{track}{out.suffix}")


def _write(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    """One person goes to `out`; of several, each to a file of its own."""
    tracks = tracks_of(result)
    if not tracks:
        raise OutputError("nobody is in the result: there is nothing to write", path=out)
    markers = markers_of(result, options.metres_per_pixel)
    names = [out] if len(tracks) == 1 else [track_path(out, track) for track in tracks]
    files = {name: _writer(markers, track, name) for track, name in zip(tracks.values(), names, strict=True)}
    older = [] if options.track is not None or not options.overwrite else [out, *_track_files(out)]
    gone = [path for path in older if path not in files]
    return write_files(files, overwrite=options.overwrite, of=out, gone=gone)


def _writer(markers: Markers, track: Track, target: Path) -> Write:
    return lambda path: write_trc(markers, track, path, target.name)


def _require_free(out: Path, *, overwrite: bool) -> None:
    """How many people there will be is not known, so no file of any track may be there."""
    require_free_target(out, overwrite=overwrite)
    for path in () if overwrite else _track_files(out):
        require_free_target(path, overwrite=False)


def _track_files(out: Path) -> list[Path]:
    """The files of tracks that are there under the names that belong to `out`, sorted."""
    if not out.parent.is_dir():
        return []
    before, after = track_path(out, 0).name.rsplit("0", 1)
    numbers = ((path, path.name.removeprefix(before).removesuffix(after)) for path in sorted(out.parent.iterdir()))
    return [p for p, n in numbers if p.name == f"{before}{n}{after}" and n.isascii() and n.isdigit()]


FORMAT = Format("marker files for biomechanics, one per person", ".trc", _write, _require_free)
