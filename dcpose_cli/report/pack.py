"""A result as few bytes that a browser turns back into typed arrays within a second, for an hour of video too.

All numbers are little-endian, column after column, one gzip stream:

    float64  times[F]       seconds of every frame
    int32    index[F]       its number in the video, differences
    int32    frame[M]       per track: positions of its frames in `times`, differences
    int16    box[4][M_t]    per track: x, y, width, height, in 1 / scale pixels, differences
    int16    xy[2 J][M_t]   per track: x and y of joint 0, x and y of joint 1 ...; the same unit, differences
    uint8    score[J][M_t]  per track: confidence in 1 / 100, 255 for more than 2.5; 0 for a joint not predicted

Every int16 column comes as its low bytes followed by its high bytes, which are nearly all alike and pack well. `frame`
of all tracks comes first, then `box` of all, and so on. J is the number of joints, 17 at least; M_t is the
number of frames of track t, M their sum.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..types import FrameResult, Person

SCORE_UNIT: Final = 100
_LARGEST_INT16: Final = 32_000
_FINEST: Final = 8
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """data: the gzip stream. scale: steps per pixel. tracks: (track id, number of frames), in the stream's order."""

    data: bytes
    scale: float
    tracks: list[tuple[int, int]]


def pack(frames: Sequence[FrameResult]) -> Packed:
    """Frames in ascending order -> what the page holds."""
    tracks: dict[int, list[tuple[int, Person]]] = {}
    for position, frame in enumerate(frames):
        for person in frame.people:
            rows = tracks.setdefault(person.track_id, [])
            if not rows or rows[-1][0] != position:  # an id twice in one frame: the first counts
                rows.append((position, person))
    ordered = sorted(tracks.items())
    columns = [_columns([person for _, person in rows]) for _, rows in ordered]
    largest = max((float(np.abs(places).max()) for places, _ in columns), default=0.0)
    scale = min(_FINEST, _LARGEST_INT16 / max(largest, 1.0))
    parts = [
        np.array([frame.time for frame in frames], "<f8").tobytes(),
        _differences(np.array([frame.index for frame in frames], np.int64), "<i4"),
        *(_differences(np.array([position for position, _ in rows]), "<i4") for _, rows in ordered),
        *(_planes(np.rint(places[:4] * scale)) for places, _ in columns),
        *(_planes(np.rint(places[4:] * scale)) for places, _ in columns),
        *(scores.tobytes() for _, scores in columns),
    ]
    data = gzip.compress(b"".join(parts), _LEVEL, mtime=0)
    return Packed(data, scale, [(track, len(rows)) for track, rows in ordered])


def _columns(people: Sequence[Person]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """(4 + 2 J, M) places in pixels, and (J, M) scores in 1 / SCORE_UNIT."""
    points = np.stack([person.keypoints for person in people]).astype(np.float64)
    boxes = np.stack([person.bbox for person in people]).astype(np.float64)
    sane = np.isfinite(points).all(axis=2) & (points[..., 2] > 0)
    xy = np.where(sane[..., None], points[..., :2], 0).reshape(len(people), -1)
    # A predicted joint never becomes an absent one by rounding.
    scores = np.where(sane, np.clip(np.rint(points[..., 2] * SCORE_UNIT), 1, 255), 0)
    places = np.concatenate([np.nan_to_num(boxes), xy], axis=1).T
    return np.clip(places, -1e6, 1e6), np.ascontiguousarray(scores.T.astype(np.uint8))


def _planes(values: NDArray[np.float64]) -> bytes:
    """Differences of (C, M) whole numbers as int16; of every column the low bytes, then the high bytes."""
    steps = np.frombuffer(_differences(values, "<i2"), np.uint8).reshape(*values.shape, 2)
    return np.ascontiguousarray(np.swapaxes(steps, 1, 2)).tobytes()


def _differences(values: NDArray[np.floating] | NDArray[np.integer], kind: str) -> bytes:
    """First value, then steps, along the last axis; steps wrap around as the browser's sums do."""
    whole = values.astype(np.int64)
    steps = np.diff(whole, axis=-1, prepend=0)
    return np.ascontiguousarray(steps).astype(kind).tobytes()
