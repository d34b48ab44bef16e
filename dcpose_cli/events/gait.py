"""Heel strikes of somebody who walks or runs in the plane of the picture.

The foot is farthest ahead of the pelvis when the heel touches the ground (Zeni, Richards and Higginson, Gait & Posture
2008). Where the result has heels, they are taken; else the ankles stand for them. Of each side, a strike is a maximum
of

    (heel or ankle - middle of the hips) in the walking direction

that lies ahead of the hips and rises at least LEAST_REACH of the body's height (median of the box) above the minima
beside it, at least LEAST_STRIDE_SECONDS from the one before. The walking direction is that in which the hips move,
where they move by LEAST_WAY body heights or more; else, on a treadmill, that in which the person faces.

Limits: the camera stands still, at a right angle to the walking direction. Times are a few hundredths of
a second from those of force plates. Legs whose sides are exchanged give strikes of the wrong side: use
`dcpose smooth --fix-swaps` before. Somebody who turns round, or walks towards the camera, has none or wrong ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .repetitions import Event
from .signals import TrackPoints, peaks, pieces

LEAST_REACH: Final = 0.08
LEAST_STRIDE_SECONDS: Final = 0.4
LEAST_WAY: Final = 0.5


def heel_strikes(track: TrackPoints) -> Iterator[Event]:
    """The heel strikes of a track, by time. value: pixel heights from the hips to the heel or ankle, forwards."""
    hips = _hips(track)
    direction = walking_direction(track)
    found = []
    for side in ("left", "right"):
        name = f"{side}_heel" if f"{side}_heel" in track.joints else f"{side}_ankle"
        foot = track.joint(name)
        ahead = direction * (foot[:, 0] - hips[:, 0])
        for piece in pieces(track.time, ahead, np.fmin(foot[:, 2], hips[:, 2])):
            for time, value in peaks(piece, LEAST_REACH * track.size, LEAST_STRIDE_SECONDS):
                if value <= 0:  # behind the hips: legs exchanged, or a wrong joint
                    continue
                reach = value - float(piece.values.min())
                found.append(Event("heel_strike", track.track_id, name, time, time, time, value, reach, piece.score))
    yield from sorted(found, key=lambda event: event.time)


def walking_direction(track: TrackPoints) -> float:
    """1 to the right, -1 to the left."""
    x = _hips(track)[:, 0]
    known = np.flatnonzero(np.isfinite(x))
    if len(known) >= 2:
        tenth = max(1, len(known) // 10)
        way = float(np.median(x[known[-tenth:]]) - np.median(x[known[:tenth]]))
        if abs(way) >= LEAST_WAY * track.size:
            return 1.0 if way > 0 else -1.0
    return track.facing


def _hips(track: TrackPoints) -> NDArray[np.float64]:
    """(F, 3) middle of the hips, mean confidence."""
    return (track.joint("left_hip") + track.joint("right_hip")) / 2
