"""Faces made unrecognisable, from the head keypoints of a result.

What is blurred is what the result knows: everybody in it, at any confidence, from HOLD_SECONDS before somebody is
first seen until HOLD_SECONDS after they were last seen; there the mosaic reaches on in the direction of their motion.
In a gap of a track it moves on from the one sighting to the next and is wider. A person whom the detector never found
stays as filmed; `coverage_warnings` says which seconds are in doubt.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from ..skeleton import EXTRA_JOINTS
from ..skeleton.sets import FACE
from ..types import FrameResult, Person

#: Slots of the head: nose, head_bottom, head_top, ears.
_HEAD: Final = (0, 1, 2, 3, 4)
_HEAD_BOTTOM, _HEAD_TOP = 1, 2
#: Joints of the head that have no slot.
_FURTHER: Final = frozenset((*EXTRA_JOINTS, *FACE))
#: Radius as a share of the distance from head_bottom to head_top, and its bounds as shares of the person's height.
_RADIUS_SHARE: Final = 0.75
_LEAST_SHARE, _MOST_SHARE = 0.07, 0.2
#: Where no head joint was predicted: this share of the box, from its top, is taken for the head.
_TOP_SHARE: Final = 0.25
#: Cells across a blurred head.
_CELLS: Final = 5
#: Before the first and after the last sighting of somebody, their place stays blurred for so long.
HOLD_SECONDS: Final = 0.5
#: In a gap the radius grows by this share of the person's height per second from the nearest sighting, up to a share.
_WIDER_PER_SECOND: Final = 0.6
_WIDEST: Final = 0.35
#: Where somebody went to, or came from, is told by their last, or first, sightings within so many seconds.
_MOTION_SECONDS: Final = 0.3
#: Longest gap that needs no warning.
SURE_SECONDS: Final = 1.0
#: A head this near to the side of the picture, as a share of the person's size, may have passed it.
_EDGE_SHARE: Final = 0.05
#: How far a head may be from where it was last seen, in sizes of the person: at once, and for each second in between.
_REACH: Final = 0.5
_REACH_PER_SECOND: Final = 1.0
#: Spans that a warning lists.
_MOST_LISTED: Final = 8

_Circle = tuple[float, float, float]


def head_circle(person: Person) -> _Circle:
    """Centre x, y and radius, in pixels, of a circle that covers the person's head."""
    x, y, width, height = (float(v) for v in person.bbox)
    size = max(width, height)
    further = [place for place, name in enumerate(person.joints) if name in _FURTHER]
    points = person.keypoints[[*_HEAD, *further]]
    known = points[(points[:, 2] > 0) & np.isfinite(points).all(axis=1), :2].astype(np.float64)
    if not len(known):
        return x + width / 2, y + _TOP_SHARE * height / 2, _TOP_SHARE * size / 2
    centre = (known.min(axis=0) + known.max(axis=0)) / 2
    reach = float(np.hypot(*(known - centre).T).max())
    neck, top = person.keypoints[_HEAD_BOTTOM], person.keypoints[_HEAD_TOP]
    span = float(np.hypot(*(neck - top)[:2])) if min(neck[2], top[2]) > 0 else 0.0
    radius = min(max(_RADIUS_SHARE * span, 1.2 * reach, _LEAST_SHARE * size), _MOST_SHARE * size)
    # However far the joints lie apart, none of them may be left out.
    return float(centre[0]), float(centre[1]), max(radius, 1.1 * reach)


@dataclass(frozen=True, slots=True)
class _Sighting:
    """Somebody's head at a time in seconds. size: the person's height or width, the larger, in pixels."""

    time: float
    circle: _Circle
    size: float


class FaceBlur:
    """Blurs the heads of one video, frame by frame in order.

    frames: the whole result, so that gaps of its tracks are bridged; without it only what came so far is known.
    """

    def __init__(self, frames: Iterable[FrameResult] = ()) -> None:
        self._seen: dict[int, list[_Sighting]] = {}
        for frame in frames:
            self._learn(frame)

    def __call__(self, image: NDArray[np.uint8], result: FrameResult) -> NDArray[np.uint8]:
        """A copy of the frame, (H, W, 3) uint8 RGB, without faces."""
        self._learn(result)
        out = image.copy()
        for sightings in self._seen.values():
            if sightings[0].time - HOLD_SECONDS <= result.time <= sightings[-1].time + HOLD_SECONDS:
                _blur(out, _circle_at(sightings, result.time))
        return out

    def _learn(self, result: FrameResult) -> None:
        for person in result.people:
            sightings = self._seen.setdefault(person.track_id, [])
            if not sightings or sightings[-1].time < result.time:
                size = max(float(person.bbox[2]), float(person.bbox[3]))
                sightings.append(_Sighting(result.time, head_circle(person), size))


def _circle_at(sightings: Sequence[_Sighting], time: float) -> _Circle:
    """What covers a head at a time: where it was seen, or on the way between two sightings, wider there."""
    place = bisect_right(sightings, time, key=lambda sighting: sighting.time)
    if place in (0, len(sightings)):
        return _circle_beyond(sightings if place else sightings[::-1], time)
    before = sightings[place - 1]
    if before.time == time:
        return before.circle
    after = sightings[place]
    share = (time - before.time) / (after.time - before.time)
    x, y, radius = ((1 - share) * a + share * b for a, b in zip(before.circle, after.circle, strict=True))
    # The head need not go straight: the farther the next sighting, the more of the surroundings may be the face.
    wider = min(min(time - before.time, after.time - time) * _WIDER_PER_SECOND, _WIDEST)
    return x, y, radius + wider * max(before.size, after.size)


def _circle_beyond(sightings: Sequence[_Sighting], time: float) -> _Circle:
    """What covers a head before the first or after the last sighting: from there to where its motion leads.

    sightings: that one comes last.
    """
    end = sightings[-1]
    start = next(one for one in sightings if abs(end.time - one.time) <= _MOTION_SECONDS)
    x, y, radius = end.circle
    if start is end:
        return end.circle
    share = (time - end.time) / (end.time - start.time)
    dx, dy = share * (x - start.circle[0]), share * (y - start.circle[1])
    way = float(np.hypot(dx, dy))
    part = min(1.0, 2 * _WIDEST * end.size / way) / 2 if way else 0.0
    # The head may have stopped, too: the circle holds both places.
    return x + part * dx, y + part * dy, radius + part * way


def coverage_warnings(frames: Sequence[FrameResult], size: tuple[int, int] | None) -> list[str]:
    """The seconds for which the mosaic is a guess, or that it does not cover. size: of the picture, pixels."""
    if not frames:
        return []
    tracks: dict[int, list[tuple[float, Person]]] = {}
    for frame in frames:
        for person in frame.people:
            tracks.setdefault(person.track_id, []).append((frame.time, person))
    first, last = frames[0].time, frames[-1].time
    bridged, bare = [], []
    for track, seen in sorted(tracks.items()):
        for (before, _), (after, _) in pairwise(seen):
            if after - before > SURE_SECONDS:
                bridged.append(f"track {track} from {before:.2f} to {after:.2f} s")
        (began, newcomer), (ended, leaver) = seen[0], seen[-1]
        if began - HOLD_SECONDS > first and _inside(newcomer, size):
            earlier = [s[-1][0] + HOLD_SECONDS for s in tracks.values() if _may_continue(s[-1], seen[0])]
            bare.append((max(earlier, default=first), began - HOLD_SECONDS, f"before track {track}"))
        if ended + HOLD_SECONDS < last and _inside(leaver, size):
            later = [s[0][0] - HOLD_SECONDS for s in tracks.values() if _may_continue(seen[-1], s[0])]
            bare.append((ended + HOLD_SECONDS, min(later, default=last), f"after track {track}"))
    lines = []
    if bridged:
        lines.append(
            f"faces are hidden where they may be, between two sightings: {_listed(bridged)}; check these seconds"
        )
    spans = [f"{start:.2f} to {end:.2f} s ({why})" for start, end, why in sorted(bare) if end > start]
    if spans:
        lines.append(f"somebody came or went inside of the picture: faces may be bare from {_listed(spans)}")
    return lines


def _listed(parts: Sequence[str]) -> str:
    more = len(parts) - _MOST_LISTED
    return ", ".join(parts[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def _may_continue(last: tuple[float, Person], first: tuple[float, Person]) -> bool:
    """Whether the second of two sightings may be the person of the first under another id: later, and within reach."""
    (ended, leaver), (began, newcomer) = last, first
    if began <= ended:
        return False
    (x, y, _), (u, v, _) = head_circle(leaver), head_circle(newcomer)
    size = max(float(value) for person in (leaver, newcomer) for value in person.bbox[2:])
    return bool(np.hypot(x - u, y - v) <= size * (_REACH + _REACH_PER_SECOND * (began - ended)))


def _inside(person: Person, size: tuple[int, int] | None) -> bool:
    """Whether a head keeps away from the sides of the picture, so that it cannot just have passed them.

    The box does not tell: in a portrait it ends at the lower side as long as somebody sits there.
    """
    if size is None:
        return True
    x, y, radius = head_circle(person)
    margin = radius + _EDGE_SHARE * max(float(value) for value in person.bbox[2:])
    return margin < x < size[0] - margin and margin < y < size[1] - margin


def _blur(image: NDArray[np.uint8], circle: _Circle) -> None:
    """Mosaic of a few smooth cells, which no sharpening brings back; written into `image`."""
    height, width = image.shape[:2]
    if not np.isfinite(circle).all() or max(abs(v) for v in circle) > 1e6:
        return
    x, y, radius = circle
    left, top = max(0, int(x - radius)), max(0, int(y - radius))
    right, bottom = min(width, int(x + radius) + 2), min(height, int(y + radius) + 2)
    if right - left < 1 or bottom - top < 1:
        return
    patch = image[top:bottom, left:right]
    cells = (min(_CELLS, patch.shape[1]), min(_CELLS, patch.shape[0]))
    coarse = cv2.resize(cv2.resize(patch, cells, interpolation=cv2.INTER_AREA), patch.shape[1::-1])
    rows, columns = np.ogrid[top:bottom, left:right]
    inside = (columns - x) ** 2 + (rows - y) ** 2 <= (radius + 0.5) ** 2
    patch[inside] = coarse[inside]
