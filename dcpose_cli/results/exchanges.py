"""Exchanges: two arms of a person, or two people, that take each other's places.

One rule for both. Of two things it is known where each is expected: where it was, or where its motion leads. They are
exchanged when both lie near the place where the other one was expected and far from their own (`is_exchanged`).

arms     the two joints of a pair (shoulders, elbows, wrists), from one frame to the next. An arm that swings past the
         other goes where its motion leads, and is not exchanged.
people   two tracks whose boxes overlap, from one frame to the next, and from the last frame before the overlap to the
         first one in which they are well apart again. Boxes are compared by place and height. After more than
         MEETING_SECONDS nothing is said. People of one height who meet and turn back look like people who crossed and
         exchanged their ids.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..people.boxes import areas, pairwise_intersection
from ..skeleton import JOINT_GROUPS
from ..types import FrameResult, Person

#: (P, 2) slots of the left and the right joint of each pair of the arms.
ARMS: Final = np.array([JOINT_GROUPS[name] for name in ("shoulder", "elbow", "wrist")])
#: Exchanged joints, and exchanged boxes, lie so many times nearer to the place of the other than to their own.
ARMS_NEARER: Final = 2.0
PEOPLE_NEARER: Final = 1.5
#: Joints of a pair nearer than this are not told apart; share of the box's long side.
ARMS_APART: Final = 0.08
#: Least confidence of a joint that is looked at.
SURE: Final = 0.3
#: The same for people: distance of their boxes' centres and sizes, in shares of the longer box's long side.
PEOPLE_APART: Final = 0.2
#: What a difference of size weighs against one of place.
HEIGHT_WEIGHT: Final = 1.0
#: A track that pauses for longer begins anew, seconds.
GAP_SECONDS: Final = 0.25
#: After an overlap people are compared when their boxes' centres are so far apart, in the same shares.
PARTED: Final = 0.5
#: Boxes overlap when they share this much of the smaller one.
OVERLAP: Final = 0.1
#: Time over which the speed of a box is measured, seconds.
SPEED_SECONDS: Final = 0.4
#: Longest overlap over which the motion of people is continued, seconds.
MEETING_SECONDS: Final = 2.0

Array = NDArray[np.float64]


def is_exchanged(expected: Array, found: Array, *, nearer: float, least: float) -> NDArray[np.bool_]:
    """Which of N pairs of things are exchanged, (N,) bool.

    expected: (C, N, 2, D) the C places where each thing may be; the nearest counts. found: (N, 2, D) where it is.
    nearer: how many times nearer to the place of the other. least: distance below which things are not told apart.
    """
    own = np.linalg.norm(expected - found, axis=-1).min(axis=0)
    other = np.linalg.norm(expected[:, :, ::-1] - found, axis=-1).min(axis=0)
    apart = np.linalg.norm(found[:, 0] - found[:, 1], axis=-1)
    return np.asarray(
        (apart >= least)
        & (own.sum(axis=1) >= nearer * other.sum(axis=1))
        & (own > other).all(axis=1)
        & (own >= least).all(axis=1),
        np.bool_,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """The last frames of a track.

    arms: (P, 2, 3) joints in the last frame. speeds: (P, 2, 2) of them, pixels per second. box: (4,) xywh. side: its
    longer one. place: (3,) centre and weighed height. places: time and place in the frames of the last SPEED_SECONDS.
    """

    time: float
    arms: Array
    speeds: Array
    box: Array
    side: float
    place: Array
    places: tuple[tuple[float, Array], ...]

    @property
    def known(self) -> bool:
        """Whether the track is long enough for the motion of its box to be known."""
        return self.time - self.places[0][0] >= SPEED_SECONDS / 2

    def moved(self, time: float) -> Array:
        """(3,) where the motion of the box leads at a later time, by a straight line through the last places."""
        times = np.array([at for at, _ in self.places])
        places = np.array([place for _, place in self.places])
        slope, middle = np.zeros(2), places.mean(axis=0)
        if self.known:
            off = times - times.mean()
            slope = off @ places[:, :2] / (off @ off)
        return np.array([*(middle[:2] + slope * (time - times.mean())), np.median(places[:, 2])])


@dataclass(frozen=True, slots=True, eq=False)
class _Meeting:
    """Two tracks that have overlapped since after `time`, as they were then."""

    time: float
    tracks: tuple[_Track, _Track]


class Exchanges:
    """Who has exchanged arms, or places with somebody, in frames that come one by one in ascending order."""

    def __init__(self) -> None:
        self._tracks: dict[int, _Track] = {}
        self._meetings: dict[tuple[int, int], _Meeting] = {}

    def add(self, frame: FrameResult) -> tuple[set[int], set[int]]:
        """Tracks whose arms are exchanged as against the frame before, and tracks that took each other's places."""
        self._tracks = {n: t for n, t in self._tracks.items() if frame.time - t.time <= GAP_SECONDS}
        people = {person.track_id: person for person in frame.people}
        now = {number: _next(self._tracks.get(number), person, frame.time) for number, person in people.items()}
        arms = {n for n, track in now.items() if n in self._tracks and _arms_exchanged(self._tracks[n], track)}
        overlapping = _overlapping(now)
        places = self._jumps(now, overlapping) | self._partings(now, overlapping, frame.time)
        self._tracks |= now
        return arms, places

    def _jumps(self, now: Mapping[int, _Track], overlapping: set[tuple[int, int]]) -> set[int]:
        """Who took the place of somebody whom they overlapped; notes who overlaps."""
        found: set[int] = set()
        for pair in overlapping | self._meetings.keys():
            if not (now.keys() >= set(pair) <= self._tracks.keys()):
                continue
            before, after = [self._tracks[number] for number in pair], [now[number] for number in pair]
            if all(_far(one.place - other.place, after) for one, other in zip(before, after, strict=True)):
                expected = [[one.place, one.moved(other.time)] for one, other in zip(before, after, strict=True)]
                found |= set(pair) if _took_places(expected, after) else set()
            if pair not in self._meetings and before[0].known and before[1].known:
                self._meetings[pair] = _Meeting(min(track.time for track in before), (before[0], before[1]))
        return found

    def _partings(self, now: Mapping[int, _Track], overlapping: set[tuple[int, int]], time: float) -> set[int]:
        """Who is where the other one was expected after an overlap."""
        found: set[int] = set()
        for pair, meeting in list(self._meetings.items()):
            late = time - meeting.time > MEETING_SECONDS
            if pair in overlapping or not (late or now.keys() >= set(pair)):
                continue
            if late:
                del self._meetings[pair]
                continue
            after = [now[number] for number in pair]
            if _far((after[0].place - after[1].place)[:2], after, PARTED):
                expected = [[track.moved(time)] for track in meeting.tracks]
                found |= set(pair) if _took_places(expected, after) else set()
                del self._meetings[pair]
        return found


def _arms_exchanged(before: _Track, now: _Track) -> bool:
    last, found = before.arms[..., :2], now.arms[..., :2]
    least = ARMS_APART * now.side
    far = (np.abs(found - last).sum(axis=2) >= least).all(axis=1)  # a bound that is quick to find
    if not far.any():
        return False
    sure = (np.minimum(now.arms[..., 2], before.arms[..., 2]) >= SURE).all(axis=1)
    expected = np.stack([last, last + before.speeds * (now.time - before.time)])
    return bool((is_exchanged(expected, found, nearer=ARMS_NEARER, least=least) & sure).any())


def _took_places(expected: Sequence[Sequence[Array]], now: Sequence[_Track]) -> bool:
    """Whether two people are exchanged. expected: of each, the places where they may be."""
    size = max(track.side for track in now)
    places = np.array(expected).transpose(1, 0, 2)[:, None] / size
    found = np.array([track.place for track in now])[None] / size
    return bool(is_exchanged(places, found, nearer=PEOPLE_NEARER, least=PEOPLE_APART)[0])


def _far(way: Array, now: Sequence[_Track], share: float = PEOPLE_APART) -> bool:
    """Whether a way is at least this share of the longer side of the boxes."""
    return math.hypot(*way.tolist()) >= share * max(track.side for track in now)


def _overlapping(now: Mapping[int, _Track]) -> set[tuple[int, int]]:
    """Pairs of tracks, the lower number first, whose boxes overlap."""
    if len(now) < 2:
        return set()
    ids, boxes = list(now), np.stack([track.box for track in now.values()])
    sizes = areas(boxes)
    shared = pairwise_intersection(boxes, boxes) > OVERLAP * np.minimum(sizes[:, None], sizes[None])
    pairs = ((ids[i], ids[j]) for i, j in np.argwhere(np.triu(shared, 1)).tolist())
    return {(min(pair), max(pair)) for pair in pairs}


def _next(before: _Track | None, person: Person, time: float) -> _Track:
    """The track of a person in the next frame."""
    arms, box = person.keypoints[ARMS].astype(np.float64), person.bbox.astype(np.float64)
    x, y, w, h = box.tolist()
    place = np.array([x + w / 2, y + h / 2, HEIGHT_WEIGHT * h])
    places = [item for item in (before.places if before else ()) if time - item[0] <= SPEED_SECONDS]
    speeds = np.zeros((len(ARMS), 2, 2))
    if before is not None and time > before.time:
        speeds = (arms - before.arms)[..., :2] / (time - before.time)
    return _Track(time, arms, speeds, box, max(w, h, 1.0), place, (*places, (time, place)))
