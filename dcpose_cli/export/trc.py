"""TRC (track row column), the marker files of OpenSim and other biomechanics tools: one file per person.

Five header lines and an empty one, then a row per frame: number from 1, time in seconds, X Y Z of every joint,
separated by tabs. Z is 0: these are positions in the picture. `nan` stands where the person or the joint was not
found. Rows run from the first to the last frame in which the person was seen. Joints that the whole result never
predicts have no columns.

Without a scale the units are pixels and Y points down, as everywhere in dcpose. With one they are metres and Y points
up, as biomechanics tools expect it; space.py says how the scale and the floor are found. Where pixels are not square,
X counts in pixel heights, so that lengths and angles are right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..files import require_free_target
from ..results.reader import PoseTrackResult
from ..results.serialization import present, written
from ..types import FrameResult
from ._outputs import Write, write_files
from .format import Format, Options, Track, require_places, tracks_of, written_rate
from .space import Space, space_of

_DEFAULT_RATE: Final = 30.0  # stands in the header where the video does not say; the times in the rows are true
_HEADER: Final = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame"),
    "OrigNumFrames",
)


@dataclass(frozen=True, slots=True)
class Markers:
    """What all files of a result share.

    joints: names of everybody's joints. slots: places, among them, of those that get columns. rate: frames per second
    of real time. space: of the places.
    """

    frames: Sequence[FrameResult]
    joints: tuple[str, ...]
    slots: Sequence[int]
    rate: float
    space: Space


def markers_of(result: PoseTrackResult, options: Options) -> Markers:
    """Raises UsageError for a scale that cannot be, or cannot be found from the result."""
    space = space_of(result, options)
    return Markers(result.frames, result.joints, _predicted_slots(result), written_rate(result, _DEFAULT_RATE), space)


def write_trc(markers: Markers, track: Track, path: Path, name: str) -> None:
    """Write one track to `path`; name: what the first line calls the file."""
    first, last = min(track), max(track)
    frames, slots, rate = markers.frames[first : last + 1], markers.slots, markers.rate
    values = (rate, rate, len(frames), len(slots), markers.space.unit, rate, frames[0].index + 1, len(frames))
    first_line = " ".join(name.split()) or "result.trc"
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as out:
        out.write(f"PathFileType\t4\t(X/Y/Z)\t{first_line}\n")
        out.write("\t".join(_HEADER) + "\n")
        out.write("\t".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values) + "\n")
        out.write("Frame#\tTime\t" + "\t\t\t".join(markers.joints[slot] for slot in slots) + "\t\t\n")
        out.write("\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, len(slots) + 1)) + "\n")
        out.write("\n")
        for position, frame in enumerate(frames, start=first):
            joints = written(track[position]).joints if position in track else [None] * len(markers.joints)
            cells = [_cells(joints[slot], markers.space) for slot in slots]
            out.write("\t".join([str(frame.index + 1), f"{frame.time:.6f}", *cells]) + "\n")


def _predicted_slots(result: PoseTrackResult) -> list[int]:
    there: NDArray[np.bool_] = np.zeros(len(result.joints), bool)
    for frame in result.frames:
        for person in frame.people:
            there |= present(person.keypoints)
    return np.flatnonzero(there).tolist() or list(range(len(result.joints)))


def _cells(joint: tuple[float, float, float] | None, space: Space) -> str:
    if joint is None:
        return "nan\tnan\tnan"
    x, y = space.place(np.array(joint[:2], np.float64)).tolist()
    return f"{x:.2f}\t{y:.2f}\t0" if space.metres is None else f"{x:.6f}\t{y:.6f}\t0"


def track_path(out: Path, track: int) -> Path:
    """Where a track goes when there are several: result.trc -> result_track3.trc."""
    return out.with_name(f"{out.stem}_track{track}{out.suffix}")


def write_each(
    result: PoseTrackResult, out: Path, options: Options, writer: Callable[[Markers, Track, Path], Write]
) -> list[Path]:
    """One person goes to `out`; of several, each to a file of its own. writer: what writes a track to a target."""
    tracks = tracks_of(result)
    if not tracks:
        raise OutputError("nobody is in the result: there is nothing to write", path=out)
    require_places(result, len(tracks))
    markers = markers_of(result, options)
    names = [out] if len(tracks) == 1 else [track_path(out, track) for track in tracks]
    files = {name: writer(markers, track, name) for track, name in zip(tracks.values(), names, strict=True)}
    some = options.track is not None or "selection" in result.header
    older = [] if some or not options.overwrite else [out, *_track_files(out)]
    gone = [path for path in older if path not in files]
    return write_files(files, overwrite=options.overwrite, of=out, gone=gone)


def require_each_free(out: Path, *, overwrite: bool) -> None:
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


def _write(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    return write_each(
        result, out, options, lambda markers, track, name: lambda path: write_trc(markers, track, path, name.name)
    )


FORMAT = Format(
    "marker files for biomechanics, one per person", ".trc", _write, require_each_free, measures=True, fixed_rate=True,
)  # fmt: skip
