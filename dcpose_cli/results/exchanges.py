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

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True, eq=False)
class _Track:
    """The last frames of a track.

    arms: (P, 2, 3) joints in the last frame. speeds: (P, 2, 2) of them, pixels per second. boxes: time and (4,) xywh of
    the frames of the last SPEED_SECONDS.
    """

    time: float
    arms: Array
    speeds: Array
    boxes: deque[tuple[float, Array]] = field(default_factory=deque)

    @property
    def known(self) -> bool:
        """Whether the track is long enough for the motion of its box to be known."""
        return self.boxes[-1][0] - self.boxes[0][0] >= SPEED_SECONDS / 2

    def moved(self, seconds: float) -> Array:
        """(3,) where the motion of the box leads in so many seconds, by a straight line through the last places."""
        times = np.array([time - self.time for time, _ in self.boxes])
        places = np.array([_place(box) for _, box in self.boxes])
        slope, middle = np.zeros(2), places.mean(axis=0)
        if self.known:
            off = times - times.mean()
            slope = off @ places[:, :2] / (off @ off)
        height = np.median(places[:, 2])
        return np.array([*(middle[:2] + slope * (seconds - times.mean())), height])


def _place(box: Array) -> Array:
    """(3,) centre and weighed height of a box xywh."""
    return np.array([box[0] + box[2] / 2, box[1] + box[3] / 2, HEIGHT_WEIGHT * box[3]])


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
        arms = {number for number, person in people.items() if self._arms(number, person, frame.time)}
        places = self._people(people, frame.time)
        for number, person in people.items():
            self._tracks[number] = _next(self._tracks.get(number), person, frame.time)
        return arms, places

    def _arms(self, number: int, person: Person, time: float) -> bool:
        before = self._tracks.get(number)
        if before is None:
            return False
        now, last = person.keypoints[ARMS].astype(np.float64), before.arms
        sure = (np.minimum(now[..., 2], last[..., 2]) >= SURE).all(axis=1)
        moved = last[..., :2] + before.speeds * (time - before.time)
        expected = np.stack([last[..., :2], moved])
        least = ARMS_APART * max(float(person.bbox[2:].max()), 1.0)
        return bool((is_exchanged(expected, now[..., :2], nearer=ARMS_NEARER, least=least) & sure).any())

    def _people(self, people: Mapping[int, Person], time: float) -> set[int]:
        found: set[int] = set()
        overlapping = _overlapping(list(people.values()))
        for pair in overlapping | self._meetings.keys():
            if not people.keys() >= set(pair):
                continue
            tracks = [self._tracks.get(number) for number in pair]
            now = [people[number].bbox.astype(np.float64) for number in pair]
            meeting = self._meetings.get(pair)
            if tracks[0] and tracks[1]:
                steps = [[_place(t.boxes[-1][1]), t.moved(time - t.time)] for t in tracks if t]
                found |= set(pair) if _took_places(steps, now) else set()
                if meeting is None and tracks[0].known and tracks[1].known:
                    self._meetings[pair] = _Meeting(min(tracks[0].time, tracks[1].time), (tracks[0], tracks[1]))
            if meeting and pair not in overlapping and _apart(now) >= PARTED:
                steps = [[track.moved(time - track.time)] for track in meeting.tracks]
                found |= set(pair) if _took_places(steps, now) else set()
                del self._meetings[pair]
        self._meetings = {pair: m for pair, m in self._meetings.items() if time - m.time <= MEETING_SECONDS}
        return found


def _took_places(expected: Sequence[Sequence[Array]], now: Sequence[Array]) -> bool:
    """Whether two boxes are exchanged. expected: of each, the places where it may be. now: where they are, xywh."""
    size = max(1.0, *(float(box[2:].max()) for box in now))
    places = np.array(expected).transpose(1, 0, 2)[:, None] / size
    found = np.array([_place(box) for box in now])[None] / size
    return bool(is_exchanged(places, found, nearer=PEOPLE_NEARER, least=PEOPLE_APART)[0])


def _apart(now: Sequence[Array]) -> float:
    """Distance of the centres of two boxes xywh, in shares of the longer side."""
    off = _place(now[0])[:2] - _place(now[1])[:2]
    return float(np.hypot(*off)) / max(1.0, *(float(box[2:].max()) for box in now))


def _overlapping(people: Sequence[Person]) -> set[tuple[int, int]]:
    """Pairs of tracks, the lower number first, whose boxes overlap."""
    if len(people) < 2:
        return set()
    boxes = np.stack([person.bbox for person in people]).astype(np.float64)
    sizes = areas(boxes)
    shared = pairwise_intersection(boxes, boxes) > OVERLAP * np.minimum(sizes[:, None], sizes[None])
    ids = [person.track_id for person in people]
    return {(min(a, b), max(a, b)) for a, b in ((ids[i], ids[j]) for i, j in np.argwhere(np.triu(shared, 1)))}


def _next(before: _Track | None, person: Person, time: float) -> _Track:
    arms = person.keypoints[ARMS].astype(np.float64)
    boxes = deque(item for item in (before.boxes if before else ()) if time - item[0] <= SPEED_SECONDS)
    boxes.append((time, person.bbox.astype(np.float64)))
    speeds = np.zeros(arms[..., :2].shape)
    if before is not None and time > before.time:
        speeds = (arms - before.arms)[..., :2] / (time - before.time)
    return _Track(time, arms, speeds, boxes)
