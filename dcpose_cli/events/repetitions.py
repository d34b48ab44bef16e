"""Repetitions of a movement: how often an angle or the height of a joint goes there and back.

A repetition begins at one turn, goes over the opposite turn, and ends at the next turn of the first kind: for squats by
the angle `left_knee`, standing, the lowest point, standing again. Both turns must differ by at least LEAST_SHARE of the
range of the whole signal (5th to 95th percentile), and by LEAST_DEGREES or LEAST_HEIGHT of the box's height. Which kind
of turn a repetition begins with: that at which the signal rests, i.e. spends most of its time, or begins. The first and
the last repetition count where the signal comes within the same share of the turn at the beginning or the end.

Limits: one joint or angle in the plane of the picture. Movements towards the camera change it little. What counts as
one movement is relative to the largest: a clip of large and of small movements counts the large ones alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..export.angles import angle_names
from .signals import Piece, TrackPoints, peaks, pieces, signal_of

LEAST_SHARE: Final = 0.5
LEAST_DEGREES: Final = 15.0
LEAST_HEIGHT: Final = 0.05
#: A signal rests nowhere when its shares of time above and below its middle differ by at most twice this.
_UNDECIDED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Event:
    """start, time, end: seconds; time is that of the turn, or of the heel strike, where start and end are the same.

    value: of the signal at `time`; extent: how far it went. degrees or pixels. score: mean confidence.
    """

    kind: str
    track_id: int
    signal: str
    start: float
    time: float
    end: float
    value: float
    extent: float
    score: float


def repetitions(track: TrackPoints, name: str) -> Iterator[Event]:
    """The repetitions of a track in a signal (signals.known_signal), by time."""
    values, scores = signal_of(track, name)
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return
    low, high = np.percentile(known, [5, 95])
    is_angle = name in angle_names(track.joints)
    least = LEAST_DEGREES if is_angle else LEAST_HEIGHT * track.size
    needed = max(LEAST_SHARE * (high - low), least)
    if high - low < least:
        return
    signal = name if is_angle else f"{name}.height"
    for piece in pieces(track.time, values, scores):
        for start, turn, end, value, extent in _cycles(piece, needed, rests_high=_rests_high(known, low, high)):
            yield Event("repetition", track.track_id, signal, start, turn, end, value, extent, piece.score)


def _rests_high(values: NDArray[np.float64], low: float, high: float) -> bool:
    """Whether a signal rests nearer to `high`; one that rests nowhere begins where it rests."""
    middle = (low + high) / 2
    share = float((values >= middle).mean())
    return share >= 0.5 if abs(share - 0.5) > _UNDECIDED else bool(values[0] >= middle)


def _cycles(piece: Piece, needed: float, *, rests_high: bool) -> Iterator[tuple[float, float, float, float, float]]:
    """Start, turn and end of every cycle, the value at the turn, and its distance from the lower of both ends."""
    sign = 1.0 if rests_high else -1.0
    up = Piece(piece.time, sign * piece.values, piece.score)
    down = Piece(piece.time, -up.values, piece.score)
    turns = peaks(down, needed)
    for number, (turn, depth) in enumerate(turns):
        before = turns[number - 1][0] if number else float(piece.time[0]) - 1
        after = turns[number + 1][0] if number + 1 < len(turns) else float(piece.time[-1]) + 1
        start, first = _highest(up, before, turn)
        end, last = _highest(up, turn, after)
        extent = min(first, last) + depth
        if extent >= needed:
            yield start, turn, end, -sign * depth, extent


def _highest(piece: Piece, after: float, before: float) -> tuple[float, float]:
    """Time and value of the largest value between two times."""
    inside = np.flatnonzero((piece.time >= after) & (piece.time <= before))
    at = int(inside[np.argmax(piece.values[inside])])
    return float(piece.time[at]), float(piece.values[at])
