"""Track confirmation: tracks with fewer than HITS strong detections in their first moments are suppressed.

Frames are known a little ahead of time, so a confirmed track has people from its first frame on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, takewhile
from typing import Final, TypeVar

import numpy as np

from ..types import TrackedBoxes

#: Detections that confirm a track, and the time in which they must come, seconds.
HITS: Final = 3
SECONDS: Final = 0.3

T = TypeVar("T")


def frames_ahead(fps: float) -> int:
    """How many frames to look ahead for more detections of somebody new."""
    return round(SECONDS * fps)


def confirmed(
    items: Iterable[tuple[T, TrackedBoxes]], ahead: int, least_score: float = 0.0
) -> Iterator[tuple[T, TrackedBoxes]]:
    """The items in order, `ahead` of them later, without people of tracks that are not confirmed by then.

    items: frames, or what stands for them, with their people. Detections needed: HITS of at least `least_score`, or
    fewer where the scene has few searched frames in that time (`_needed`). Identities are numbered anew, from 0 in
    order of appearance. 0 frames ahead: every track is confirmed, and keeps its identity.
    """
    if ahead < 1:
        yield from items
        return
    names: dict[int, int] = {}
    waiting: deque[tuple[T, TrackedBoxes]] = deque()
    needed = 0
    pairs = iter(items)
    while True:
        waiting.extend(islice(pairs, ahead + 1 - len(waiting)))
        if not waiting:
            return
        if waiting[0][1].cut:
            needed = 0
        needed = max(needed, _needed(waiting))
        yield _first(waiting, names, needed, least_score)


def _needed(waiting: deque[tuple[T, TrackedBoxes]]) -> int:
    """Detections that confirm a track, for the frames of the first one's scene among these.

    Where every frame is searched, at most as many as there are frames. Where frames are left out, in more than half of
    the searched ones: they are far apart, and one that misses a person must not cost all the frames around it.
    """
    scene = [waiting[0][1], *takewhile(lambda people: not people.cut, (who for _, who in islice(waiting, 1, None)))]
    searched = sum(not people.between for people in scene)
    return min(HITS, searched if searched == len(scene) else searched // 2 + 1)


def _first(
    waiting: deque[tuple[T, TrackedBoxes]], names: dict[int, int], needed: int, least_score: float
) -> tuple[T, TrackedBoxes]:
    """Takes the first item out. names: identities of confirmed tracks -> numbers they are given."""
    item, people = waiting[0]
    for track in people.track_ids.tolist():
        if track not in names and sum(_is_detected(track, later, least_score) for _, later in waiting) >= needed:
            names[track] = len(names)
    waiting.popleft()
    return item, _only(people, names)


def _is_detected(track: int, people: TrackedBoxes, least_score: float) -> bool:
    detected = len(people) - people.predicted
    strong = people.track_ids[:detected][people.scores[:detected] >= least_score]
    return not people.between and track in strong


def _only(people: TrackedBoxes, names: dict[int, int]) -> TrackedBoxes:
    ids = people.track_ids.tolist()
    kept = np.array([track in names for track in ids], np.bool_)
    return replace(
        people,
        boxes=people.boxes[kept],
        scores=people.scores[kept],
        track_ids=np.array([names[track] for track in ids if track in names], np.int64),
        predicted=int(kept[len(people) - people.predicted :].sum()),
        filled=int(kept[len(people) - people.filled :].sum()),
    )
