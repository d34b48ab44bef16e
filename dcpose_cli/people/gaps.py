"""Gaps inside a track, filled: between the last detection before and the first one after stands an interpolated box.

Frames are known a little ahead of time, so a box lies between two detections and does not drift.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..types import TrackedBoxes

#: Longest gap that is filled, seconds.
SECONDS: Final = 1.0
#: Pixels of the frames that are held until gaps are closed: 384 MB, a second up to 1920 x 1080 at 60 frames per second.
HELD_PIXELS: Final = 128_000_000

T = TypeVar("T")


def gap_frames(fps: float, width: int, height: int) -> int:
    """Frames of the longest gap that is filled, fewer where frames are so large that a second of them is too much."""
    return min(round(SECONDS * fps), max(1, HELD_PIXELS // (width * height)))


def filled(
    items: Iterable[tuple[T, TrackedBoxes]], longest: int, *, fill: bool = True
) -> Iterator[tuple[T, TrackedBoxes]]:
    """The items in order, at most `longest` of them later, with boxes in the gaps of up to so many frames.

    items: frames, or what stands for them, with their people. Filled people come last in a frame and count as
    `predicted`; they replace those whom the tracker expected there. Without `fill` gaps stay gaps: nobody is in a frame
    who was not detected in it, but in frames between detections (`between`). 0 frames: items pass unchanged.
    """
    if longest < 1:
        yield from items
        return
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
            seen[identity] = number, box, score
        seen = {identity: last for identity, last in seen.items() if number - last[0] <= longest}
        held.append(_Held(item, people, {}))
        if len(held) > longest:
            yield _result(held.popleft(), fill)
    while held:
        yield _result(held.popleft(), fill)


@dataclass(slots=True)
class _Held(Generic[T]):
    """An item that waits. rows: filled people, by identity: box and score."""

    item: T
    people: TrackedBoxes
    rows: dict[int, tuple[NDArray[np.float32], float]]


def _close(
    held: deque[_Held[T]],
    number: int,
    before: tuple[int, NDArray[np.float32], float],
    after: tuple[int, NDArray[np.float32], float],
) -> None:
    """Puts somebody into the held items since the last detection. before: its frame number, box and score.

    number: of the frame of the next detection; after: identity, box and score there.
    """
    first, old_box, old_score = before
    identity, new_box, new_score = after
    for place in range(first + 1, number):
        share = (place - first) / (number - first)
        box = (1 - share) * old_box + share * new_box
        held[place - number].rows[identity] = box, (1 - share) * old_score + share * new_score


def _result(held: _Held[T], fill: bool) -> tuple[T, TrackedBoxes]:
    """The item with its people: detected, then expected, then filled."""
    people = held.people
    detected = len(people) - people.predicted
    kept = [
        row
        for row in range(len(people))
        if row < detected or ((fill or people.between) and int(people.track_ids[row]) not in held.rows)
    ]
    boxes = [*people.boxes[kept], *(box for box, _ in held.rows.values())]
    scores = [*people.scores[kept], *(score for _, score in held.rows.values())]
    identities = [*people.track_ids[kept].tolist(), *held.rows]
    return held.item, replace(
        people,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        track_ids=np.array(identities, np.int64),
        predicted=len(identities) - detected,
        filled=len(held.rows),
    )
