"""People in frames that no detector looked at: between those of the frames before and after, checked by their joints.

Frames are known a little ahead of time, so a box lies between two detections instead of being carried on from the
last one: it does not drift, and frames stay independent of one another and fit into one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..types import Detections, TrackedBoxes
from .boxes import iou

#: The joints of a person scored this share of what they score elsewhere, or less: look again.
DOUBTFUL_SCORE: Final = 0.6
#: Confident joints reach out of the box by this share of its longer side: look again.
DOUBTFUL_REACH: Final = 0.15
CONFIDENT: Final = 0.3
#: A detection belongs to the person whose box it overlaps this much at least.
SAME_PERSON_IOU: Final = 0.3

T = TypeVar("T")


def detection_places(cuts: Sequence[bool], every: int) -> frozenset[int]:
    """Places of the frames of a chunk in which people are detected: the first, about every `every`-th, and cuts.

    cuts: of every frame of the chunk, whether a scene begins with it. The places are evenly spaced, and a matter of
    the chunk alone, so that parts of a video agree on them.
    """
    count = len(cuts)
    detected = max(1, round(count / every))
    regular = {place * count // detected for place in range(detected)}
    return frozenset(regular | {place for place, cut in enumerate(cuts) if cut})


def interpolate_frames(
    items: Iterable[tuple[T, bool]], follow: Callable[[T], TrackedBoxes]
) -> Iterator[tuple[T, TrackedBoxes]]:
    """Every item with its people, in order, each as soon as they are known.

    items: frames, or what stands for them, and whether people were detected in them. follow: the people of one with
    detections, with identities. Before the first and after the last such frame of a scene people are taken to stand
    still; before a cut they are merely expected after the last, and count as predicted.
    """
    last: TrackedBoxes | None = None
    waiting: list[T] = []
    for item, looked in items:
        if not looked:
            waiting.append(item)
            continue
        people = follow(item)
        before = people if last is None else last  # which may hold nobody
        yield from _between(waiting, before, _expected(before) if people.cut else people)
        yield item, people
        last, waiting = people, []
    if last is not None:
        yield from _between(waiting, last, last)
    else:
        yield from ((item, TrackedBoxes.empty()) for item in waiting)


def _expected(people: TrackedBoxes) -> TrackedBoxes:
    """The same people, none of them detected."""
    return replace(people, predicted=len(people))


def _between(items: Sequence[T], before: TrackedBoxes, after: TrackedBoxes) -> Iterator[tuple[T, TrackedBoxes]]:
    for place, item in enumerate(items, start=1):
        yield item, interpolate(before, after, place / (len(items) + 1))


def interpolate(before: TrackedBoxes, after: TrackedBoxes, share: float) -> TrackedBoxes:
    """The people at `share` (0..1) of the way from one frame to another.

    Who was detected in both stands between the two boxes. Who was in one only is expected to stand still for half of
    the way, and counts as predicted, as does who was predicted in either.
    """
    first = {int(i): k for k, i in enumerate(before.track_ids)}
    second = {int(i): k for k, i in enumerate(after.track_ids)}
    sure: list[tuple[int, NDArray[np.float32], float]] = []
    expected: list[tuple[int, NDArray[np.float32], float]] = []
    for identity in dict.fromkeys([*first, *second]):
        a, b = first.get(identity), second.get(identity)
        if a is not None and b is not None:
            box = (1 - share) * before.boxes[a] + share * after.boxes[b]
            score = float((1 - share) * before.scores[a] + share * after.scores[b])
            detected = a < len(before) - before.predicted and b < len(after) - after.predicted
            (sure if detected else expected).append((identity, box, score))
        elif a is not None and share <= 0.5:
            expected.append((identity, before.boxes[a], float(before.scores[a])))
        elif b is not None and share > 0.5:
            expected.append((identity, after.boxes[b], float(after.scores[b])))
    rows = [*sure, *expected]
    return TrackedBoxes(
        np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, _, score in rows], np.float32),
        np.array([identity for identity, _, _ in rows], np.int64),
        predicted=len(expected),
        between=True,
    )


def doubtful(tracked: Sequence[TrackedBoxes], keypoints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which people of some frames, (N,), stand in a box that was not detected and does not seem to fit.

    tracked: the people of each frame. keypoints: (N, 17, 3) of all of them, frame after frame.
    """
    between = np.repeat([people.between for people in tracked], [len(people) for people in tracked])
    boxes = np.concatenate([people.boxes for people in tracked])
    identities = np.concatenate([people.track_ids for people in tracked])
    scores = keypoints[..., 2].mean(axis=1)
    usual = np.array([np.median(scores[identities == identity]) for identity in identities])
    low = boxes[:, None, :2]
    outside = np.maximum(low - keypoints[..., :2], keypoints[..., :2] - low - boxes[:, None, 2:]).max(axis=2)
    outside = np.where(keypoints[..., 2] >= CONFIDENT, outside, 0)
    reach = outside.max(axis=1, initial=0) > DOUBTFUL_REACH * boxes[:, 2:].max(axis=1)
    found: NDArray[np.bool_] = between & ((scores < DOUBTFUL_SCORE * usual) | reach)
    return found


def corrected(people: TrackedBoxes, wanted: NDArray[np.bool_], found: Detections) -> TrackedBoxes:
    """The people of a frame; those `wanted` (N,) get the detected boxes that overlap theirs most, if there are any."""
    boxes, scores = people.boxes.copy(), people.scores.copy()
    free = np.ones(len(found), bool)
    for number in np.flatnonzero(wanted):
        overlap = np.where(free, iou(boxes[number], found.boxes), 0)
        if len(overlap) and overlap.max() >= SAME_PERSON_IOU:
            best = int(overlap.argmax())
            boxes[number], scores[number], free[best] = found.boxes[best], found.scores[best], False
    return replace(people, boxes=boxes, scores=scores)
