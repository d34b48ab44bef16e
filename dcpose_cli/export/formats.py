"""The formats users convert results to, in one table, and the conversion. What each holds stands in its own file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from ..errors import InputError, OutputError, UsageError
from ..files import output_error, require_free_target, require_not_input, require_writable_folder, shown
from ..results.format import FRAMES_PER_SEQUENCE
from ..results.raw import frame_rate
from ..results.reader import PoseTrackResult
from ..results.reading import read_result
from ..results.writer import PoseTrackWriter
from ..types import FrameResult, Person
from ._outputs import Write, require_free_folder, write_files
from .coco import write_coco
from .mot import write_mot
from .openpose import is_openpose_file, write_openpose
from .posetrack17 import FRAMES_PER_SEQUENCE as FRAMES_17
from .posetrack17 import write_annolist
from .posetrack21 import write_posetrack21
from .tables import angles_path, write_tables
from .trc import Markers, Track, markers_of, tracks_of, write_trc

#: PoseTrack's track ids end here; a sequence of a result that goes beyond is numbered anew.
LAST_TRACK_ID: Final = 999


@dataclass(frozen=True, slots=True)
class Options:
    """How to convert. overwrite: replace what is there. track: only this person. metres_per_pixel: for TRC."""

    overwrite: bool = False
    track: int | None = None
    metres_per_pixel: float | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """suffix: of the output file, "" for a folder. write: writes a result to the output, returns all files written."""

    about: str
    suffix: str
    write: Callable[[PoseTrackResult, Path, Options], list[Path]]


def convert(
    path: Path,
    out: Path,
    to: str,
    *,
    overwrite: bool = False,
    kpt_thr: float | None = None,
    track: int | None = None,
    metres_per_pixel: float | None = None,
    fps: str | float | Fraction | None = None,
) -> list[Path]:
    """Write the result in `path` to `out` in the format `to`, a key of FORMATS; returns what was written.

    path: a result of dcpose, PoseTrack17, 18 or 21 JSON, or COCO keypoint results. kpt_thr: leave out joints below
    this confidence. track: only this person. metres_per_pixel: for "trc", to get metres with Y up. fps: of an input
    that says no times (25 when not given). Raises UsageError, InputError or OutputError; then nothing is left behind.
    """
    options = Options(overwrite, track, metres_per_pixel)
    require_target(Path(out), to, overwrite=overwrite, source=Path(path))
    result = read_result(Path(path), None if fps is None else rate_of(fps))
    return write_result(result, Path(out), to, options, kpt_thr=kpt_thr)


def write_result(
    result: PoseTrackResult, out: Path, to: str, options: Options, *, kpt_thr: float | None = None
) -> list[Path]:
    """`convert` for a result in memory. Raises UsageError, InputError or OutputError."""
    kind = format_named(to)
    if options.metres_per_pixel is not None and to != "trc":
        raise UsageError(f"metres per pixel are for the format trc, not for {to}")
    if kpt_thr is not None:
        result = _map_people(result, lambda person: _above(person, kpt_thr))
    if options.track is not None:
        result = _only(result, options.track)
    _require_distinct(result)
    return kind.write(result, out, options)


def format_named(name: str) -> Format:
    """Raises UsageError."""
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r:.40}; choose one of {', '.join(FORMATS)}")
    return FORMATS[name]


def require_target(out: Path, to: str, *, overwrite: bool, source: Path | None = None) -> None:
    """Everything that can be wrong with the output, before work begins. Raises UsageError or OutputError."""
    suffix = format_named(to).suffix
    if suffix and out.suffix.lower() != suffix and not out.is_dir():
        raise UsageError(f"{shown(out)} must end in {suffix}; that is the format it gets")
    try:
        if source is not None:
            require_not_input(out, [source])
        if suffix:
            require_free_target(out, overwrite=overwrite)
            if to in ("csv", "parquet"):
                require_free_target(angles_path(out), overwrite=overwrite)
        else:
            require_free_folder(out, is_openpose_file, overwrite=overwrite)
        require_writable_folder(out.parent)
    except OSError as error:  # a name too long, say
        raise output_error(error, out) from error


def rate_of(fps: str | float | Fraction) -> Fraction:
    """A frame rate as users write it. Raises UsageError."""
    try:
        return frame_rate(fps)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{fps!r:.40} is not a frame rate; write 25, 29.97 or 30000/1001") from error


def _map_people(result: PoseTrackResult, change: Callable[[Person], Person]) -> PoseTrackResult:
    frames = [replace(frame, people=tuple(map(change, frame.people))) for frame in result.frames]
    return PoseTrackResult(result.header, frames)


def _above(person: Person, threshold: float) -> Person:
    keep = person.keypoints[:, 2:] >= threshold
    return replace(person, keypoints=np.where(keep, person.keypoints, np.float32(0)))


def _only(result: PoseTrackResult, track: int) -> PoseTrackResult:
    if track not in tracks_of(result):
        raise UsageError(f"there is no track {track} in the result")
    frames = [replace(f, people=tuple(p for p in f.people if p.track_id == track)) for f in result.frames]
    return PoseTrackResult(result.header, frames)


def _require_distinct(result: PoseTrackResult) -> None:
    """Track ids that formats can hold: not negative, and once per frame. Raises InputError."""
    for frame in result.frames:
        ids = [person.track_id for person in frame.people]
        if len(set(ids)) != len(ids) or min(ids, default=0) < 0:
            raise InputError(f"frame {frame.index} has track ids that are negative or not distinct; check the file")


def _within_limits(result: PoseTrackResult, per_sequence: int) -> PoseTrackResult:
    """Track ids counted from 0 in each sequence that has some beyond PoseTrack's; other sequences stay as they are."""
    largest: dict[int, int] = {}
    for frame in result.frames:
        sequence = frame.index // per_sequence
        largest[sequence] = max([largest.get(sequence, 0), *(p.track_id for p in frame.people)])
    if all(largest_id <= LAST_TRACK_ID for largest_id in largest.values()):
        return result
    names: dict[tuple[int, int], int] = {}
    used: dict[int, int] = {}

    def renamed(frame: FrameResult, person: Person) -> Person:
        sequence = frame.index // per_sequence
        if largest[sequence] <= LAST_TRACK_ID:
            return person
        key = sequence, person.track_id
        if key not in names:
            names[key] = used.get(sequence, 0)
            used[sequence] = names[key] + 1
        return replace(person, track_id=names[key])

    frames = [replace(f, people=tuple(renamed(f, p) for p in f.people)) for f in result.frames]
    return PoseTrackResult(result.header, frames)


def _native(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    with PoseTrackWriter(out, result.header, overwrite=options.overwrite) as writer:
        for frame in _within_limits(result, FRAMES_PER_SEQUENCE).frames:
            writer.write(frame)
    return [out]


def _one_file(
    write: Callable[[PoseTrackResult, Path], None], per_sequence: int | None = None
) -> Callable[[PoseTrackResult, Path, Options], list[Path]]:
    """A format that is one file; per_sequence: frames in a sequence, where the format has sequences."""

    def run(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
        limited = result if per_sequence is None else _within_limits(result, per_sequence)
        return write_files({out: lambda path: write(limited, path)}, overwrite=options.overwrite)

    return run


def _tables(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    return write_tables(result, out, overwrite=options.overwrite)


def _openpose(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    write_openpose(result, out, overwrite=options.overwrite)
    return [out]


def _trc(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    """One person goes to `out`; of several, each to a file of its own: out_track3.trc."""
    tracks = tracks_of(result)
    if not tracks:
        raise OutputError(f"nobody is in the result: there is nothing to write to {shown(out)}")
    markers = markers_of(result, options.metres_per_pixel)
    names = [out] if len(tracks) == 1 else [out.with_name(f"{out.stem}_track{track}{out.suffix}") for track in tracks]
    files = {name: _trc_writer(markers, track, name) for track, name in zip(tracks.values(), names, strict=True)}
    return write_files(files, overwrite=options.overwrite)


def _trc_writer(markers: Markers, track: Track, target: Path) -> Write:
    return lambda path: write_trc(markers, track, path, target.name)


#: Every format by the name users give.
FORMATS: Final[dict[str, Format]] = {
    "posetrack18": Format("PoseTrack18 JSON, dcpose's own", ".json", _native),
    "posetrack21": Format("PoseTrack21 JSON", ".json", _one_file(write_posetrack21, FRAMES_PER_SEQUENCE)),
    "posetrack17": Format("PoseTrack17 annolist", ".json", _one_file(write_annolist, FRAMES_17)),
    "coco": Format("COCO keypoint results", ".json", _one_file(write_coco)),
    "openpose": Format("OpenPose: a folder with a JSON per frame", "", _openpose),
    "csv": Format("tidy tables of joints and angles", ".csv", _tables),
    "parquet": Format("the same as Parquet", ".parquet", _tables),
    "trc": Format("marker files for biomechanics, one per person", ".trc", _trc),
    "mot": Format("MOTChallenge text: boxes and ids", ".txt", _one_file(write_mot)),
}
