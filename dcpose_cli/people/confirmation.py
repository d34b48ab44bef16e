"""Who is seen for a moment only is mostly nobody: people count once they were detected a few times.

Frames are known a little ahead of time, so whoever counts does so from the first frame on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np

from ..types import TrackedBoxes

#: Detections that make a person, and the time in which they must come, seconds.
HITS: Final = 3
SECONDS: Final = 0.3

T = TypeVar("T")


def frames_ahead(fps: float) -> int:
    """How many frames to look ahead for more detections of somebody new."""
    return round(SECONDS * fps)


def confirmed(items: Iterable[tuple[T, TrackedBoxes]], ahead: int) -> Iterator[tuple[T, TrackedBoxes]]:
    """The items in order, `ahead` of them later, without people who are not detected again by then.

    items: frames, or what stands for them, with their people. Detections needed: HITS, or as many frames as were
    looked at in that time, where that is fewer. Ids are given anew, from 0 in order of appearance. 0 frames ahead:
    everybody counts, and keeps the id.
    """
    if ahead < 1:
        yield from items
        return
    names: dict[int, int] = {}
    waiting: deque[tuple[T, TrackedBoxes]] = deque()
    most = 0
    for pair in items:
        waiting.append(pair)
        most = max(most, sum(not people.between for _, people in waiting))
        if len(waiting) > ahead:
            yield _first(waiting, names, min(HITS, most))
    while waiting:
        yield _first(waiting, names, min(HITS, most))


def _first(waiting: deque[tuple[T, TrackedBoxes]], names: dict[int, int], needed: int) -> tuple[T, TrackedBoxes]:
    """Takes the first item out. names: ids of those who count -> ids they are given."""
    item, people = waiting[0]
    for track in people.track_ids.tolist():
        if track not in names and sum(_is_detected(track, later) for _, later in waiting) >= needed:
            names[track] = len(names)
    waiting.popleft()
    return item, _only(people, names)


def _is_detected(track: int, people: TrackedBoxes) -> bool:
    return not people.between and track in people.track_ids[: len(people) - people.predicted]


def _only(people: TrackedBoxes, names: dict[int, int]) -> TrackedBoxes:
    ids = people.track_ids.tolist()
    kept = np.array([track in names for track in ids], np.bool_)
    return replace(
        people,
        boxes=people.boxes[kept],
        scores=people.scores[kept],
        track_ids=np.array([names[track] for track in ids if track in names], np.int64),
        predicted=int(kept[len(people) - people.predicted :].sum()),
    )
