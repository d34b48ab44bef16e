"""Bodies of `dcpose convert` and `dcpose events`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config import EVERYBODY, PIXELS, Measures, Selection
from ..export.formats import Options, format_of, rate_of, rate_warnings, require_measures, require_target, write_result
from ..files import printable
from ..results.foreign import assumed_times, read_result
from ..results.measures import shot_with
from ..results.resample import resample
from ..results.selected import selected
from .commands import named
from .terminal import message


def convert_result(
    path: Path,
    out: Path,
    to: str | None,
    *,
    overwrite: bool,
    kpt_thr: float | None = None,
    selection: Selection = EVERYBODY,
    measures: Measures = PIXELS,
    fps: str | None = None,
    shot_fps: str | None = None,
    quiet: bool,
) -> None:
    """Convert and say what was written. to: None for the format that the ending of `out` names."""
    to = to or format_of(out)
    require_measures(to, measures)
    require_target(out, to, overwrite=overwrite, source=path)
    result = read_result(path, None if fps is None else rate_of(fps))
    if result.assumed_fps and fps is None and shot_fps is None:
        message(f"dcpose: warning: {assumed_times(path)}")
    if not result.assumed_fps and fps is not None:
        message(
            f"dcpose: warning: --fps is not used: {printable(path)} has times of its own; "
            "for slow motion give --shot-fps, the rate the camera recorded with"
        )
    if shot_fps is not None:
        result = shot_with(result, shot_fps)
    result = selected(result, selection)
    if measures.resample_fps is not None:
        result = resample(result, measures.resample_fps)
    for warning in rate_warnings(result, to, path):
        message(f"dcpose: warning: {warning}")
    written = write_result(result, out, to, Options.of(measures, overwrite=overwrite), kpt_thr=kpt_thr)
    if not quiet:
        frames, people = len(result.frames), sum(len(frame.people) for frame in result.frames)
        message(f"{named(written)}: {frames} frames, {people} poses")


def write_table_of_events(
    path: Path,
    out: Path,
    repetitions: Sequence[str],
    *,
    strikes: bool,
    selection: Selection,
    shot_fps: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Look for events and say how many there are."""
    from ..events import write_events

    found = write_events(
        path, out, signals=repetitions, strikes=strikes, selection=selection, shot_fps=shot_fps, overwrite=overwrite
    )
    if not quiet:
        parts = [
            f"{count} {kind.replace('_', ' ')}{'s' if count != 1 else ''} of {signal}"
            for (kind, signal), count in found.counts.items()
        ]
        message(f"{printable(out)}: {', '.join(parts) or 'no events were found'}")
