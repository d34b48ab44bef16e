"""Signals of a track over time: angles, heights of joints, distances; in pieces without gaps, smoothed.

A piece ends where the person or a joint is missing, or less sure than LEAST_CONFIDENCE, for more than GAP_SECONDS;
shorter gaps are bridged by straight lines. Pieces are brought to equal steps and smoothed by a Gaussian of
SIGMA_SECONDS, which shifts nothing in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..export.angles import all_angles, angle_names, facing_of
from ..results.measures import pixel_aspect
from ..results.reader import PoseTrackResult
from ..results.selected import picture_size
from ..results.serialization import present
from ..skeleton import JOINT_NAMES, standard_name
from ..smooth import GAP_SECONDS
from ..types import Person

LEAST_CONFIDENCE: Final = 0.3
SIGMA_SECONDS: Final = 0.05
#: Shorter pieces hold no event, frames and seconds.
_LEAST_FRAMES: Final = 5
_LEAST_SECONDS: Final = 0.3
_MOST_STEPS: Final = 10_000_000


@dataclass(frozen=True, slots=True, eq=False)
class TrackPoints:
    """One track.

    index: (F,) numbers of its frames. time: (F,) seconds. points: (F, J, 3) x in pixel heights, y up, and confidence of
    `joints`, NaN where one is missing or unsure. size: median height of the box, pixels. facing: 1 right, -1 left.
    """

    track_id: int
    index: NDArray[np.int64]
    time: NDArray[np.float64]
    points: NDArray[np.float64]
    size: float
    facing: float
    joints: tuple[str, ...] = JOINT_NAMES

    def joint(self, name: str) -> NDArray[np.float64]:
        """(F, 3) of a joint."""
        return self.points[:, self.joints.index(name)]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A signal without gaps. time, values: (N,) in equal steps. score: lowest confidence of the joints, mean."""

    time: NDArray[np.float64]
    values: NDArray[np.float64]
    score: float


def tracks_of(result: PoseTrackResult) -> Iterator[TrackPoints]:
    """Every track of a result, by id."""
    aspect, size, facing = pixel_aspect(result.header), picture_size(result.header), facing_of(result)
    bottom = size[1] - 1 if size is not None else 0
    rows: dict[int, list[tuple[int, float, Person]]] = {}
    for frame in result.frames:
        for person in frame.people:
            rows.setdefault(person.track_id, []).append((frame.index, frame.time, person))
    for track, found in sorted(rows.items()):
        points = np.stack([person.keypoints for _, _, person in found]).astype(np.float64)
        unsure = ~present(points) | (points[..., 2] < LEAST_CONFIDENCE)
        points[..., 0], points[..., 1] = points[..., 0] * aspect, bottom - points[..., 1]
        points[unsure] = np.nan
        yield TrackPoints(
            track,
            np.array([index for index, _, _ in found], np.int64),
            np.array([time for _, time, _ in found], np.float64),
            points,
            float(np.median([person.bbox[3] for _, _, person in found])),
            facing.get(track, 1.0),
            result.joints,
        )


def signal_of(track: TrackPoints, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values (F,) of a named signal, and confidences. name: as `known_signal` gives it."""
    names = angle_names(track.joints)
    if name in names:
        # Angles are taken of points with y down and missing joints of zeros, as tables have them.
        points = np.nan_to_num(track.points * [1, -1, 1])
        points[np.isnan(track.points[..., 2])] = 0
        degrees, scores = all_angles(points, np.full(len(points), track.facing), joints=track.joints)
        place = names.index(name)
        return degrees[:, place], scores[:, place]
    joint = track.joint(name)
    return joint[:, 1], joint[:, 2]


def known_signal(name: str, joints: Sequence[str] = JOINT_NAMES) -> str:
    """The name of an angle or of a joint of people who have `joints`. Raises UsageError."""
    angles = angle_names(joints)
    if name in angles:  # `left_knee` is the angle; a height is asked for as `left_knee.height`
        return name
    joint = standard_name(name.removesuffix(".height"))
    if joint is not None and joint in joints and (name.endswith(".height") or joint not in angles):
        return joint
    raise UsageError(
        f"no angle and no joint is called {name!r:.40}",
        hint="name an angle of `dcpose convert --format csv` (left_knee, trunk_segment) or a joint (left_wrist, "
        "left_hip.height)",
    )


def pieces(time: NDArray[np.float64], values: NDArray[np.float64], scores: NDArray[np.float64]) -> Iterator[Piece]:
    """The pieces of a signal. time: ascending seconds; values: NaN where unknown; all (F,)."""
    from scipy.ndimage import gaussian_filter1d  # late: it takes longer to load than most commands run

    known = np.isfinite(values)
    time, values, scores = time[known], values[known], scores[known]
    for part in np.split(np.arange(len(time)), np.flatnonzero(np.diff(time) > GAP_SECONDS) + 1):
        if len(part) < _LEAST_FRAMES or time[part[-1]] - time[part[0]] < _LEAST_SECONDS:
            continue
        step = float(np.median(np.diff(time[part])))
        count = round(float(time[part[-1]] - time[part[0]]) / step) + 1 if step > 0 else _MOST_STEPS
        if count >= _MOST_STEPS:
            continue  # times that no video has
        even = time[part[0]] + step * np.arange(count)
        smooth = gaussian_filter1d(np.interp(even, time[part], values[part]), SIGMA_SECONDS / step, mode="nearest")
        yield Piece(even, np.asarray(smooth, np.float64), float(scores[part].mean()))


def peaks(piece: Piece, prominence: float, apart: float = 0.0) -> list[tuple[float, float]]:
    """(time, value) of the maxima that rise at least `prominence` above what is between them, `apart` seconds or more
    from each other; between frames by a parabola. The ends of a piece are none."""
    from scipy.signal import find_peaks

    step = float(piece.time[1] - piece.time[0])
    found, _ = find_peaks(piece.values, prominence=prominence, distance=max(1, round(apart / step)))
    out = []
    for at in found.tolist():
        before, here, after = (float(piece.values[k]) for k in (at - 1, at, at + 1))
        bend = before - 2 * here + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
        out.append((float(piece.time[at]) + min(0.5, max(-0.5, shift)) * step, here - 0.25 * (before - after) * shift))
    return out
