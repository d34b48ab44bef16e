"""The registry of output formats, and the conversion. Each format is documented in its own file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from ..config import EVERYBODY, Measures, Selection
from ..errors import UsageError
from ..files import output_error, printable, require_not_input, require_writable_folder
from ..results.foreign import files_of, read_result
from ..results.format import FRAMES_PER_SEQUENCE
from ..results.identities import require_distinct_ids
from ..results.measures import shot_with
from ..results.reader import PoseTrackResult
from ..results.resample import irregular_times, resample
from ..results.selected import selected
from ..results.validation import frame_rate
from ..results.writer import PoseTrackWriter
from ..selection import require_threshold
from ..types import Person
from . import (
    blender,
    bvh,
    c3d,
    coco,
    deeplabcut,
    jsonl,
    mot,
    nwb,
    openpose,
    posetrack17,
    posetrack21,
    rerun,
    sleap,
    tables,
    trc,
    xlsx,
)
from .format import Format, Options, within_limits
from .space import require_scale

__all__ = [
    "FORMATS",
    "Format",
    "Options",
    "convert",
    "format_named",
    "format_of",
    "rate_of",
    "rate_warnings",
    "require_measures",
    "require_target",
    "write_result",
]


def convert(
    path: Path,
    out: Path,
    to: str | None = None,
    *,
    overwrite: bool = False,
    kpt_thr: float | None = None,
    track: int | None = None,
    metres_per_pixel: float | None = None,
    fps: str | float | Fraction | None = None,
    shot_fps: str | float | Fraction | None = None,
    selection: Selection = EVERYBODY,
    person_height: float | None = None,
    floor_angle: str | None = None,
    resample_fps: str | float | Fraction | None = None,
) -> list[Path]:
    """Write the result in `path` to `out` in the format `to`, a key of FORMATS; returns what was written.

    to: None for the format that the ending of `out` names (`format_of`).

    path: a result of dcpose, PoseTrack17, 18 or 21 JSON, or COCO keypoint results. kpt_thr: leave out joints below
    this confidence. track: only this person. selection: only these people. metres_per_pixel: for "trc", to get metres
    with Y up. fps: of an input that says no times (25 when not given). shot_fps: frames per second the camera recorded
    with, for slow motion. person_height: in metres, instead of metres_per_pixel; floor_angle: degrees, or "auto" (see
    export/space.py). resample_fps: frames per second to which the result is resampled (results/resample.py).
    Raises UsageError, InputError or OutputError; then nothing is left behind.
    """
    options = Options(overwrite, track, metres_per_pixel, selection, person_height, floor_angle)
    to = to or format_of(Path(out))
    require_target(Path(out), to, overwrite=overwrite, source=Path(path))
    result = read_result(Path(path), None if fps is None else rate_of(fps))
    if shot_fps is not None:
        result = shot_with(result, shot_fps)
    if resample_fps is not None:
        result = resample(result, resample_fps)
    return write_result(result, Path(out), to, options, kpt_thr=kpt_thr)


def write_result(
    result: PoseTrackResult, out: Path, to: str, options: Options, *, kpt_thr: float | None = None
) -> list[Path]:
    """`convert` for a result in memory. Raises UsageError, InputError or OutputError."""
    require_threshold(kpt_thr)
    kind = format_named(to)
    require_measures(
        to,
        Measures(
            metres_per_pixel=options.metres_per_pixel,
            person_height=options.person_height,
            floor_angle=options.floor_angle,
        ),
    )
    kind.require_installed()
    if kpt_thr is not None:
        result = _map_people(result, lambda person: _above(person, kpt_thr))
    if options.track is not None:
        result = selected(result, Selection(tracks=(options.track,)))
    result = selected(result, options.selection)
    require_distinct_ids(result)
    return kind.write(result.in_slots() if kind.slots else result, out, options)


def require_measures(to: str, measures: Measures) -> None:
    """Raises UsageError for measures that the format `to` cannot hold, or that cannot be meant."""
    if measures.metric and not format_named(to).measures:
        raise UsageError(
            f"metres per pixel, person height and floor angle are not for the format {to}",
            hint=f"they are for {', '.join(name for name, one in FORMATS.items() if one.measures)}",
        )
    require_scale(measures)
    if measures.resample_fps is not None:
        rate_of(measures.resample_fps)


def format_named(name: str) -> Format:
    """Raises UsageError."""
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r:.40}", hint=f"choose one of {', '.join(FORMATS)}")
    return FORMATS[name]


def format_of(out: Path) -> str:
    """The name of the format whose files end as `out` does. Raises UsageError where that is none, or several."""
    ending = out.suffix.lower()
    names = [name for name, kind in FORMATS.items() if kind.suffix == ending]
    if ending and len(names) == 1:
        return names[0]
    if ending and names:
        raise UsageError(f"{ending} can be {' or '.join(names)}", path=out, hint="say which with --format")
    raise UsageError("its ending names no format", path=out, hint=f"say which with --format: {', '.join(FORMATS)}")


def require_target(out: Path, to: str, *, overwrite: bool, source: Path | None = None) -> None:
    """Everything that can be wrong with the output, before work begins. Raises UsageError or OutputError."""
    kind = format_named(to)
    if kind.suffix and out.suffix.lower() != kind.suffix and not out.is_dir():
        raise UsageError(f"must end in {kind.suffix}", path=out, hint="that is the format it gets")
    kind.require_installed()
    try:
        if source is not None:
            require_not_input(out, files_of(source))
        kind.require_free(out, overwrite=overwrite)
        require_writable_folder(out.parent)
    except OSError as error:  # a name too long, say
        raise output_error(error, out) from error


def rate_warnings(result: PoseTrackResult, to: str, source: Path) -> list[str]:
    """What to say of irregular times in a format that has one frame rate; source: the file that the message names."""
    said = irregular_times(result) if format_named(to).fixed_rate else ""
    return [f"{printable(source)}: {said}; --resample-fps makes the times regular"] if said else []


def rate_of(fps: str | float | Fraction) -> Fraction:
    """A frame rate as users write it. Raises UsageError."""
    try:
        return frame_rate(fps)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{fps!r:.40} is not a frame rate", hint="write 25, 29.97 or 30000/1001") from error


def _map_people(result: PoseTrackResult, change: Callable[[Person], Person]) -> PoseTrackResult:
    frames = [replace(frame, people=tuple(map(change, frame.people))) for frame in result.frames]
    return replace(result, frames=frames)


def _above(person: Person, threshold: float) -> Person:
    keep = person.keypoints[:, 2:] >= threshold
    return replace(person, keypoints=np.where(keep, person.keypoints, np.float32(0)))


def _native(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    with PoseTrackWriter(out, result.header, options.overwrite, joints=result.joints) as writer:
        for frame in within_limits(result, FRAMES_PER_SEQUENCE).frames:
            writer.write(frame)
    return [out]


#: Every format by the name users give. A new one is a file of this package and a line here.
FORMATS: Final[dict[str, Format]] = {
    "posetrack18": Format("PoseTrack18 JSON, dcpose's own", ".json", _native),
    "posetrack21": posetrack21.FORMAT,
    "posetrack17": posetrack17.FORMAT,
    "coco": coco.FORMAT,
    "openpose": openpose.FORMAT,
    "csv": tables.CSV,
    "parquet": tables.PARQUET,
    "trc": trc.FORMAT,
    "mot": mot.FORMAT,
    "xlsx": xlsx.FORMAT,
    "jsonl": jsonl.FORMAT,
    "c3d": c3d.FORMAT,
    "deeplabcut": deeplabcut.HDF5,
    "deeplabcut-csv": deeplabcut.CSV,
    "sleap": sleap.FORMAT,
    "nwb": nwb.FORMAT,
    "rerun": rerun.FORMAT,
    "bvh": bvh.FORMAT,
    "blender": blender.FORMAT,
}
