"""Gaps inside a track, filled: between the last detection before and the first one after stands an interpolated box.

Frames are known a little ahead of time, so a box lies between two detections and does not drift. A track that starts or
returns is also continued backwards, by the weak detections just before: as a tracker continues it forwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..types import Detections, TrackedBoxes
from .appearance import Appearance, likeness
from .boxes import iou, pairwise_iou

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

T = TypeVar("T")


def gap_frames(fps: float, width: int, height: int) -> int:
    """Frames of the longest gap that is filled, fewer where frames are so large that a second of them is too much."""
    return min(round(SECONDS * fps), max(1, HELD_PIXELS // (width * height)))


def filled(
    items: Iterable[tuple[T, TrackedBoxes]],
    longest: int,
    *,
    fill: bool = True,
    back: int = 0,
    detections: Callable[[T], Detections] | None = None,
    appearances: Callable[[T], Sequence[Appearance | None]] | None = None,
) -> Iterator[tuple[T, TrackedBoxes]]:
    """The items in order, at most `longest` of them later, with boxes in the gaps of up to so many frames.

    items: frames, or what stands for them, with their people. Filled people come last in a frame and count as
    `predicted`; they replace those whom the tracker expected there. Without `fill` gaps stay gaps: nobody is in a frame
    who was not detected in it, but in frames between detections (`between`). 0 frames: items pass unchanged.
    back: so many frames before a track starts or returns it may begin with weak detections, which nobody else has.
    detections: all of an item, weak ones among them. appearances: of those; who looks different is somebody else.
    """
    if longest < 1:
        yield from items
        return

    def candidates(earlier: T, later: T, box: NDArray[np.float32]) -> Detections:
        found = detections(earlier) if detections else Detections.empty()
        if detections is None or appearances is None:
            return found
        return _alike(found, appearances(earlier), _look(box, detections(later), appearances(later)))

    held: deque[_Held[T]] = deque()
    seen: dict[int, tuple[int, NDArray[np.float32], float]] = {}
    for number, (item, people) in enumerate(items):
        if people.cut:
            seen.clear()
        for row in range(len(people) - people.predicted):
            identity, box, score = int(people.track_ids[row]), people.boxes[row], float(people.scores[row])
            before = seen.get(identity)
            if fill and before is not None and 1 < number - before[0] <= longest + 1:
                _close(held, number, before, (identity, box, score))
            elif before is None and detections is not None and not people.cut:
                matching = partial(candidates, later=item, box=box)
                _continue_back(held, number, (identity, box, score), back, matching, fill=fill)
            seen[identity] = number, box, score
        seen = {identity: last for identity, last in seen.items() if number - last[0] <= longest}
        held.append(_Held(item, people, {}, {}))
        if len(held) > longest:
            yield _result(held.popleft(), fill)
    while held:
        yield _result(held.popleft(), fill)


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


def _continue_back(
    held: deque[_Held[T]],
    number: int,
    after: tuple[int, NDArray[np.float32], float],
    back: int,
    detections: Callable[[T], Detections],
    *,
    fill: bool,
) -> None:
    """Gives somebody the detections just before; number: of the frame `after` (identity, box, score) is in."""
    identity, box, score = after
    last = 0
    for steps in range(1, min(back, len(held)) + 1):
        entry = held[-steps]
        found = _earlier(box, detections(entry.item), entry.taken())
        if found is not None:
            if fill and steps > last + 1:
                _close(held, number - last, (number - steps, *found), (identity, box, score), last)
            entry.earlier[identity] = box, score = found
            last = steps
        if entry.people.cut:
            return


def _look(box: NDArray[np.float32], seen: Detections, appearances: Sequence[Appearance | None]) -> Appearance | None:
    """Appearance of the detection with this box; None where there is none."""
    rows = np.flatnonzero((seen.boxes == box).all(axis=1))
    return appearances[int(rows[0])] if len(rows) else None


def _alike(seen: Detections, appearances: Sequence[Appearance | None], look: Appearance | None) -> Detections:
    """The detections that look like this, or whose looks are unknown."""
    values = [likeness(appearance, look) for appearance in appearances]
    kept = np.array([value is None or value >= EARLIER_LIKENESS for value in values], np.bool_)
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


def _close(
    held: deque[_Held[T]],
    number: int,
    before: tuple[int, NDArray[np.float32], float],
    after: tuple[int, NDArray[np.float32], float],
    last: int = 0,
) -> None:
    """Puts somebody into the held items since the last detection. before: its frame number, box and score.

    number: of the frame of the next detection, which is `last` frames before the newest; after: identity, box and
    score there.
    """
    first, old_box, old_score = before
    identity, new_box, new_score = after
    for place in range(first + 1, number):
        share = (place - first) / (number - first)
        box = (1 - share) * old_box + share * new_box
        held[place - number - last].rows[identity] = box, (1 - share) * old_score + share * new_score


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
    )


def _boxes(rows: dict[int, tuple[NDArray[np.float32], float]]) -> list[NDArray[np.float32]]:
    return [box for box, _ in rows.values()]


def _scores(rows: dict[int, tuple[NDArray[np.float32], float]]) -> list[float]:
    return [score for _, score in rows.values()]
