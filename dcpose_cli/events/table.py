"""Events of a result as a table (CSV), one row per event, by track, then by signal, then by time.

event     repetition or heel_strike
track_id  of the person
signal    the angle or joint it was found in: left_knee, left_wrist.height, left_ankle
number    from 1, per track and signal
start, time, end  seconds, as in the other tables; time is that of the turn or of the strike
frame     number of the frame nearest to `time`
value     of the signal at `time`: degrees; pixels above the lower edge; of heel strikes pixels ahead of the hips
extent    how far the signal went: degrees or pixels
score     mean confidence of the joints
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..config import EVERYBODY, Selection
from ..errors import UsageError
from ..files import require_free_target, require_not_input, require_writable_folder, write_atomic
from ..results.foreign import read_result
from ..results.identities import require_distinct_ids
from ..results.measures import shot_with
from ..results.selected import selected
from .gait import heel_strikes
from .repetitions import Event, repetitions
from .signals import TrackPoints, known_signal, tracks_of

COLUMNS: Final = (
    *("event", "track_id", "signal", "number", "start", "time", "end", "frame", "value", "extent", "score"),
)


@dataclass(frozen=True, slots=True)
class EventSummary:
    """What was found: number of events by (event, signal)."""

    table: Path
    counts: Mapping[tuple[str, str], int]


def write_events(
    path: Path,
    out: Path,
    *,
    signals: Sequence[str] = (),
    strikes: bool = False,
    selection: Selection = EVERYBODY,
    shot_fps: str | None = None,
    overwrite: bool = False,
) -> EventSummary:
    """Write the events of a result to `out` (.csv).

    signals: angles and joints whose repetitions are looked for. strikes: look for heel strikes. selection: only these
    people. shot_fps: frames per second the camera recorded with. Raises UsageError, InputError or OutputError.
    """
    path, out = Path(path), Path(out)
    if not signals and not strikes:
        raise UsageError("there is nothing to look for", hint="give --repetitions left_knee, say, or --heel-strikes")
    if out.suffix.lower() != ".csv":
        raise UsageError("must end in .csv", path=out, hint="that is the format it gets")
    require_not_input(out, [path])
    require_free_target(out, overwrite=overwrite)
    require_writable_folder(out.parent)
    result = read_result(path)
    require_distinct_ids(result)
    if shot_fps is not None:
        result = shot_with(result, shot_fps)
    names = [known_signal(name, result.joints) for name in signals]
    counts: Counter[tuple[str, str]] = Counter()
    rows: list[list[Any]] = []
    for track in tracks_of(selected(result, selection)):
        for events in [list(repetitions(track, name)) for name in names] + [list(heel_strikes(track))] * strikes:
            numbers: Counter[str] = Counter()
            for event in events:
                numbers[event.signal] += 1
                counts[event.kind, event.signal] += 1
                rows.append(_row(event, numbers[event.signal], track))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(COLUMNS), *rows])
    write_atomic(out, text.getvalue(), overwrite=overwrite)
    return EventSummary(out, dict(counts))


def _row(event: Event, number: int, track: TrackPoints) -> list[Any]:
    frame = int(track.index[np.abs(track.time - event.time).argmin()])
    return [
        *(event.kind, event.track_id, event.signal, number),
        *(f"{seconds:.3f}" for seconds in (event.start, event.time, event.end)),
        *(frame, f"{event.value:.2f}", f"{event.extent:.2f}", f"{event.score:.4f}"),
    ]
