"""People of one frame who share a track id get ids of their own, as results of dcpose 0.6 may need it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..errors import UsageError
from ..types import FrameResult, Person

#: Somebody who was last seen longer ago than this is not followed, seconds.
_MEMORY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Separate:
    """Where a track is in a frame more than once, who continues it best by the place of the box keeps the id.

    The others get new ids, larger than all others, and keep them as long as they can be followed from frame to frame.
    tracks: these alone; all where it is empty, and then ids below 0 are replaced, too. What is distinct already
    stays as it is.
    """

    tracks: tuple[int, ...] = ()

    def apply(self, frames: Sequence[FrameResult], /) -> list[FrameResult]:
        """See operations.Edit. Raises UsageError for a track that is nowhere twice in a frame."""
        twice = _shared_ids(frames)
        for track in self.tracks:
            if track not in twice:
                raise UsageError(f"track {track} is nowhere twice in a frame")
        changed = list(frames) if self.tracks else _from_zero(frames)
        new = _largest_id(changed) + 1
        for track in self.tracks or sorted(_shared_ids(changed)):
            followers = _Followers(track, new)
            changed = [replace(frame, people=followers.renamed(frame)) for frame in changed]
            new = followers.next
        return changed


def _largest_id(frames: Sequence[FrameResult]) -> int:
    return max((person.track_id for frame in frames for person in frame.people if person.track_id >= 0), default=-1)


def _from_zero(frames: Sequence[FrameResult]) -> list[FrameResult]:
    """The frames with new ids for those below 0."""
    negative = sorted({p.track_id for frame in frames for p in frame.people if p.track_id < 0}, reverse=True)
    names = {track: number for number, track in enumerate(negative, start=_largest_id(frames) + 1)}
    return [
        replace(f, people=tuple(replace(p, track_id=names.get(p.track_id, p.track_id)) for p in f.people))
        if names
        else f
        for f in frames
    ]


def _shared_ids(frames: Sequence[FrameResult]) -> set[int]:
    shared: set[int] = set()
    for frame in frames:
        ids = [person.track_id for person in frame.people]
        if len(set(ids)) < len(ids):
            shared.update(track for track in ids if ids.count(track) > 1)
    return shared


class _Followers:
    """The people who share one id, followed from frame to frame. next: the first id that is free after them."""

    def __init__(self, track: int, new: int) -> None:
        self._track, self.next = track, new
        self._last: dict[int, tuple[float, Person]] = {}

    def renamed(self, frame: FrameResult) -> tuple[Person, ...]:
        """The people of the next frame, those of the track with distinct ids."""
        places = [place for place, person in enumerate(frame.people) if person.track_id == self._track]
        if not places:
            return frame.people
        ids = self._matched(frame, places)
        people = list(frame.people)
        for place in places:
            if place not in ids:
                ids[place] = self._free_id(set(ids.values()))
            people[place] = replace(people[place], track_id=ids[place])
            self._last[ids[place]] = frame.time, people[place]
        return tuple(people)

    def _matched(self, frame: FrameResult, places: Sequence[int]) -> dict[int, int]:
        """Place -> id of those who are where somebody was before, the nearest pairs first."""
        recent = {i: p for i, (time, p) in self._last.items() if frame.time - time <= _MEMORY}
        pairs = sorted(
            (_distance(frame.people[place], last), i, place) for place in places for i, last in recent.items()
        )
        ids: dict[int, int] = {}
        for _, i, place in pairs:
            if place not in ids and i not in ids.values():
                ids[place] = i
        return ids

    def _free_id(self, taken: set[int]) -> int:
        if self._track not in taken:
            return self._track
        self.next += 1
        return self.next - 1


def _distance(one: Person, other: Person) -> float:
    """How far two boxes lie apart, centres and sides together, in pixels."""
    (x, y, w, h), (u, v, s, t) = one.bbox.tolist(), other.bbox.tolist()
    return math.hypot(x + w / 2 - u - s / 2, y + h / 2 - v - t / 2, w - s, h - t)
