"""Gaps inside a track, filled: between the last detection before and the first one after stands an interpolated box.

Frames are known a little ahead of time, so a box lies between two detections and does not drift. A track that starts or
returns is also continued backwards, by the weak detections just before: as a tracker continues it forwards.
Frames that wait for this also take the identities that a later frame tells (revision.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..types import Detections, Reassignment, TrackedBoxes
from .appearance import Appearance, likeness, likenesses
from .boxes import iou, pairwise_iou
from .revision import revised, without
from .spikes import spike_start

#: Longest gap that is filled, seconds.
SECONDS: Final = 1.0
#: Pixels of the frames that are held until gaps are closed: 384 MB, a second up to 1920 x 1080 at 60 frames per second.
HELD_PIXELS: Final = 128_000_000
#: Overlap of an earlier detection with the box it continues backwards, and with somebody else whom it shows already.
EARLIER_IOU: Final = 0.4
SAME_IOU: Final = 0.6
#: Likeness of an earlier detection and the first one of the track: the detections of two people who stand close to one
#: another overlap too.
EARLIER_LIKENESS: Final = 0.65
#: Overlap with somebody else that makes it theirs if it looks more like them.
BESIDE_IOU: Final = 0.1

T = TypeVar("T")
#: A detection of somebody: number of the frame, box and score.
_Seen = tuple[int, NDArray[np.float32], float]


def gap_frames(fps: float, width: int, height: int) -> int:
    """Frames of the longest gap that is filled, fewer where frames are so large that a second of them is too much."""
    return min(round(SECONDS * fps), max(1, HELD_PIXELS // (width * height)))


def filled(
    items: Iterable[tuple[T, TrackedBoxes]],
    longest: int,
    *,
    fill: bool = True,
    back: int = 0,
    spikes: int = 0,
    detections: Callable[[T], Detections] | None = None,
    appearances: Callable[[T], Sequence[Appearance | None]] | None = None,
) -> Iterator[tuple[T, TrackedBoxes]]:
    """The items in order, at most `longest` of them later, with boxes in the gaps of up to so many frames.

    items: frames, or what stands for them, with their people. Filled people come last in a frame and count as
    `predicted`; they replace those whom the tracker expected there. Without `fill` gaps stay gaps: nobody is in a frame
    who was not detected in it, but in frames between detections (`between`). 0 frames: items pass unchanged.
    back: so many frames before a track starts or returns it may begin with weak detections, which nobody else has.
    spikes: where somebody's box is far too high or low for at most so many frames, it is replaced as in a gap.
    detections: all of an item, weak ones among them. appearances: of those; who looks different is somebody else.
    """
    if longest < 1:
        yield from items
        return

    def candidates(earlier: T, later: T, box: NDArray[np.float32], taken: NDArray[np.float32]) -> Detections:
        found = detections(earlier) if detections else Detections.empty()
        if detections is None or appearances is None:
            return found
        seen = appearances(earlier)
        others = [_look(other, found, seen) for other in taken]
        return _alike(found, seen, _look(box, detections(later), appearances(later)), taken, others)

    back = back if detections is not None else 0
    held: _Window[T] = _Window(longest, back, candidates, spikes=spikes if fill else 0, fill=fill)
    for item, people in items:
        held.add(item, people)
        if len(held) > longest:
            yield held.first()
    while len(held):
        yield held.first()


@dataclass(slots=True)
class _Held(Generic[T]):
    """An item that waits. rows: filled people, by identity: box and score. earlier: the same of those who were detected
    before their track started or returned."""

    item: T
    people: TrackedBoxes
    rows: dict[int, tuple[NDArray[np.float32], float]]
    earlier: dict[int, tuple[NDArray[np.float32], float]]

    def taken(self) -> NDArray[np.float32]:
        """(N, 4) boxes of the people who were detected."""
        boxes = [*self.people.boxes[: len(self.people) - self.people.predicted], *(b for b, _ in self.earlier.values())]
        return np.array(boxes, np.float32).reshape(-1, 4)


class _Window(Generic[T]):
    """Successive frames that wait until their gaps are closed.

    longest, back, spikes, fill: as of `filled`. candidates: the detections of an earlier item that may be the person in
    a box of a later one, rather than somebody in the (M, 4) boxes of the earlier one.
    """

    def __init__(
        self,
        longest: int,
        back: int,
        candidates: Callable[[T, T, NDArray[np.float32], NDArray[np.float32]], Detections],
        *,
        spikes: int,
        fill: bool,
    ) -> None:
        self._longest, self._back, self._candidates, self._fill = longest, back, candidates, fill
        self._spikes = spikes
        self._held: deque[_Held[T]] = deque()
        self._start = 0  # number of the first frame that is held
        #: The last detection of everybody, and that before the first frame that is held.
        self._seen: dict[int, _Seen] = {}
        self._past: dict[int, _Seen] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, item: T, people: TrackedBoxes) -> None:
        """Takes the next frame. What it tells of the frames before it changes those that are held."""
        if people.reassigned:
            self._revise(people.reassigned)
        self._held.append(_Held(item, people, {}, {}))
        self._connect(len(self._held) - 1)

    def first(self) -> tuple[T, TrackedBoxes]:
        """Gives the first frame away."""
        entry = self._held.popleft()
        self._past = self._after(self._past, self._start, entry.people)
        self._start += 1
        return _result(entry, self._fill)

    def _revise(self, reassigned: Sequence[Reassignment]) -> None:
        for entry, people in zip(self._held, revised([e.people for e in self._held], reassigned), strict=True):
            entry.people = people
            entry.rows, entry.earlier = {}, {}
        self._seen = dict(self._past)
        for place in range(len(self._held)):
            self._connect(place)

    def _after(self, seen: dict[int, _Seen], number: int, people: TrackedBoxes) -> dict[int, _Seen]:
        """The last detections, of the frames before this one, after it."""
        now = {} if people.cut else seen
        rows = range(len(people) - people.predicted)
        now = now | {int(people.track_ids[k]): (number, people.boxes[k], float(people.scores[k])) for k in rows}
        return {identity: last for identity, last in now.items() if number - last[0] <= self._longest}

    def _connect(self, place: int) -> None:
        """Fills the gaps that end in the frame at this place."""
        entry, number = self._held[place], self._start + place
        people = entry.people
        for row in range(len(people) - people.predicted):
            identity, box, score = int(people.track_ids[row]), people.boxes[row], float(people.scores[row])
            before = None if people.cut else self._seen.get(identity)
            if self._fill and before is not None and 1 < number - before[0] <= self._longest + 1:
                self._close(identity, before, (number, box, score))
            elif before is None and self._back and not people.cut:
                self._continue_back(identity, place, box, score)
            if self._spikes and before is not None:
                self._smooth(identity, place)
        self._seen = self._after(self._seen, number, people)

    def _smooth(self, identity: int, place: int) -> None:
        """Replaces the boxes of somebody before the one in the frame at this place if they are a spike."""
        known = []
        for earlier in range(max(place - self._spikes - 1, 0), place + 1):
            people = self._held[earlier].people
            rows = np.flatnonzero(people.track_ids[: len(people) - people.predicted] == identity)
            known += [(earlier, people.boxes[row], float(people.scores[row])) for row in rows]
        start = spike_start([(number, float(box[3])) for number, box, _ in known], self._spikes)
        if start is None:
            return
        for number, _, _ in known[start + 1 : -1]:
            self._held[number].people = without(self._held[number].people, identity)
        first, last = ((self._start + number, box, score) for number, box, score in (known[start], known[-1]))
        self._close(identity, first, last)

    def _continue_back(self, identity: int, place: int, box: NDArray[np.float32], score: float) -> None:
        """Gives somebody who is in the frame at this place the detections just before."""
        item, first, last = self._held[place].item, box, place
        for earlier in range(place - 1, max(place - self._back, 0) - 1, -1):
            entry = self._held[earlier]
            taken = entry.taken()
            found = _earlier(box, self._candidates(entry.item, item, first, taken), taken)
            if found is not None:
                if self._fill and earlier < last - 1:
                    self._close(identity, (self._start + earlier, *found), (self._start + last, box, score))
                entry.earlier[identity] = box, score = found
                last = earlier
            if entry.people.cut:
                return

    def _close(self, identity: int, before: _Seen, after: _Seen) -> None:
        """Puts somebody into the held frames between two detections."""
        (first, old_box, old_score), (number, new_box, new_score) = before, after
        for middle in range(max(first + 1, self._start), number):
            share = (middle - first) / (number - first)
            box = (1 - share) * old_box + share * new_box
            self._held[middle - self._start].rows[identity] = box, (1 - share) * old_score + share * new_score


def _look(box: NDArray[np.float32], seen: Detections, appearances: Sequence[Appearance | None]) -> Appearance | None:
    """Appearance of the detection with this box; None where there is none."""
    rows = np.flatnonzero((seen.boxes == box).all(axis=1))
    return appearances[int(rows[0])] if len(rows) else None


def _alike(
    seen: Detections,
    appearances: Sequence[Appearance | None],
    look: Appearance | None,
    taken: NDArray[np.float32],
    others: Sequence[Appearance | None],
) -> Detections:
    """The detections that look like this, or whose looks are unknown; not those of somebody else whom they overlap.

    A detection is somebody else's where it looks more like them than like this.

    taken: (M, 4) boxes of the other people; others: how these look.
    """
    values = [likeness(appearance, look) for appearance in appearances]
    own = np.array([1.0 if value is None else value for value in values])
    rivals = np.nan_to_num(likenesses(appearances, others)) * (pairwise_iou(seen.boxes, taken) > BESIDE_IOU)
    kept = (own >= EARLIER_LIKENESS) & (own >= rivals.max(axis=1, initial=0))
    return Detections(seen.boxes[kept], seen.scores[kept])


def _earlier(
    box: NDArray[np.float32], seen: Detections, taken: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float] | None:
    """Box and score of the free detection that overlaps this box most, if enough."""
    if not len(seen):
        return None
    overlap = iou(box, seen.boxes)
    if len(taken):
        overlap = np.where(pairwise_iou(seen.boxes, taken).max(axis=1) < SAME_IOU, overlap, 0)
    best = int(overlap.argmax())
    return (seen.boxes[best], float(seen.scores[best])) if overlap[best] >= EARLIER_IOU else None


def _result(held: _Held[T], fill: bool) -> tuple[T, TrackedBoxes]:
    """The item with its people: detected, then expected, then filled."""
    people = held.people
    detected = len(people) - people.predicted
    added = held.rows.keys() | held.earlier.keys()
    expected = [
        row
        for row in range(detected, len(people))
        if (fill or people.between) and int(people.track_ids[row]) not in added
    ]
    first = list(range(detected))
    boxes = [*people.boxes[first], *_boxes(held.earlier), *people.boxes[expected], *_boxes(held.rows)]
    scores = [*people.scores[first], *_scores(held.earlier), *people.scores[expected], *_scores(held.rows)]
    identities = [*people.track_ids[first], *held.earlier, *people.track_ids[expected], *held.rows]
    return held.item, replace(
        people,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        track_ids=np.array(identities, np.int64),
        predicted=len(identities) - detected - len(held.earlier),
        filled=len(held.rows),
        reassigned=(),
    )


def _boxes(rows: dict[int, tuple[NDArray[np.float32], float]]) -> list[NDArray[np.float32]]:
    return [box for box, _ in rows.values()]


def _scores(rows: dict[int, tuple[NDArray[np.float32], float]]) -> list[float]:
    return [score for _, score in rows.values()]
