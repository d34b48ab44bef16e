"""What can be corrected. Every edit is a value; `apply` returns changed frames and raises UsageError.

Frames are those of the result, in order; `first` and `last` are frame numbers of the video, both included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from .._text import printable
from ..errors import UsageError
from ..skeleton.sets import detail_joints, flip_order
from ..types import FrameResult, Person

#: Confidence of a joint that somebody moved.
MOVED_SCORE: Final = 1.0
#: Behind every frame of every video.
END: Final = 2**63 - 1

_Frames = Sequence[FrameResult]


class Edit(Protocol):
    """One correction."""

    def apply(self, frames: _Frames, /) -> list[FrameResult]:
        """The corrected frames. Raises UsageError when the edit does not fit them."""


@dataclass(frozen=True, slots=True)
class Merge:
    """All tracks become the first. Where several of them are in a frame, the one named first stays."""

    tracks: tuple[int, ...]

    def apply(self, frames: _Frames, /) -> list[FrameResult]:
        """See Edit."""
        for track in self.tracks:
            _require_track(frames, track)
        rank = {track: place for place, track in enumerate(self.tracks)}

        def merged(people: tuple[Person, ...]) -> tuple[Person, ...]:
            best = min((rank[p.track_id] for p in people if p.track_id in rank), default=None)
            return tuple(
                replace(p, track_id=self.tracks[0]) if p.track_id in rank else p
                for p in people
                if rank.get(p.track_id, best) == best
            )

        return _changed(frames, merged)


@dataclass(frozen=True, slots=True)
class Split:
    """A track has another id from a frame on. new: that id; None for the smallest that is larger than all others."""

    track: int
    first: int
    new: int | None = None

    def apply(self, frames: _Frames, /) -> list[FrameResult]:
        """See Edit."""
        _require_track(frames, self.track, self.first)
        known = {person.track_id for frame in frames for person in frame.people}
        new = max(known) + 1 if self.new is None else self.new
        if new in known or new < 0:
            raise UsageError(
                f"track {new} cannot be the new one: {'it is there already' if new in known else 'negative'}"
            )
        return _changed(frames, _renamed({self.track: new}), self.first)


@dataclass(frozen=True, slots=True)
class Delete:
    """A track is taken out, everywhere or in some frames."""

    track: int
    first: int = 0
    last: int = END

    def apply(self, frames: _Frames, /) -> list[FrameResult]:
        """See Edit."""
        _require_track(frames, self.track, self.first, self.last)
        return _changed(
            frames, lambda people: tuple(p for p in people if p.track_id != self.track), self.first, self.last
        )


@dataclass(frozen=True, slots=True)
class SwapIds:
    """Two tracks exchange their ids, from a frame on or in some frames."""

    one: int
    other: int
    first: int = 0
    last: int = END

    def apply(self, frames: _Frames, /) -> list[FrameResult]:
        """See Edit."""
        for track in (self.one, self.other):
            _require_track(frames, track)
        if not _is_there(frames, self.one, self.first, self.last):
            _require_track(frames, self.other, self.first, self.last)
        return _changed(frames, _renamed({self.one: self.other, self.other: self.one}), self.first, self.last)


@dataclass(frozen=True, slots=True)
class SwapSides:
    """The left and right joints of a person change places, from a frame on or in some frames."""

    track: int
    first: int = 0
    last: int = END

    def apply(self, frames: _Frames, /) -> list[FrameResult]:
        """See Edit."""
        _require_track(frames, self.track, self.first, self.last)

        def swapped(people: tuple[Person, ...]) -> tuple[Person, ...]:
            return tuple(_mirrored(p) if p.track_id == self.track else p for p in people)

        return _changed(frames, swapped, self.first, self.last)


def _mirrored(person: Person) -> Person:
    return replace(person, keypoints=person.keypoints[list(flip_order(person.joints))])


@dataclass(frozen=True, slots=True)
class Move:
    """A joint of a person in one frame is put to a place, in pixels; its confidence becomes MOVED_SCORE."""

    track: int
    joint: str
    frame: int
    x: float
    y: float

    def apply(self, frames: _Frames, /) -> list[FrameResult]:
        """See Edit."""
        _require_track(frames, self.track, self.frame, self.frame)
        place = np.array([self.x, self.y, MOVED_SCORE], np.float32)

        def moved(people: tuple[Person, ...]) -> tuple[Person, ...]:
            return tuple(self._moved(p, place) if p.track_id == self.track else p for p in people)

        return _changed(frames, moved, self.frame, self.frame)

    def _moved(self, person: Person, place: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Person:
        if self.joint not in person.joints:
            known = [name for place, name in enumerate(person.joints) if place not in detail_joints(person.joints)]
            raise UsageError(f"unknown joint {printable(self.joint)!r:.40}", hint=f"use one of {', '.join(known)}")
        keypoints = person.keypoints.copy()
        keypoints[person.joints.index(self.joint)] = place
        return replace(person, keypoints=keypoints)


def _changed(
    frames: _Frames,
    change: Callable[[tuple[Person, ...]], tuple[Person, ...]],
    first: int = 0,
    last: int = END,
) -> list[FrameResult]:
    return [replace(f, people=change(f.people)) if first <= f.index <= last else f for f in frames]


def _renamed(names: dict[int, int]) -> Callable[[tuple[Person, ...]], tuple[Person, ...]]:
    return lambda people: tuple(replace(p, track_id=names.get(p.track_id, p.track_id)) for p in people)


def _is_there(frames: _Frames, track: int, first: int, last: int) -> bool:
    return any(p.track_id == track for f in frames if first <= f.index <= last for p in f.people)


def _require_track(frames: _Frames, track: int, first: int = 0, last: int = END) -> None:
    """Raises UsageError unless the track is in one of these frames."""
    if _is_there(frames, track, first, last):
        return
    known = sorted({person.track_id for frame in frames for person in frame.people})
    if track in known:
        where = (
            f"in frame {first}"
            if first == last
            else f"from frame {first} on"
            if last == END
            else (f"in frames {first} to {last}")
        )
        raise UsageError(f"track {track} is not there {where}")
    some = ", ".join(map(str, known[:12])) + (" ..." if len(known) > 12 else "")
    raise UsageError(f"there is no track {track}; there are {some or 'none'}")
