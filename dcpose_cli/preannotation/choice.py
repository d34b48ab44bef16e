"""Which frames of a result to label: doubtful ones, spread over time, no two alike.

Every frame with people has a worth: LEAST_WORTH and what is doubtful about its most doubtful person, which is

    1 - mean confidence of the joints, 0..1
    0.5 for legs or arms whose sides are probably exchanged, 0.25 for a filled gap (results/quality.py)
    how far a second result is from this one: mean distance of the joints over FAR of the box's long side, 0..1,
        1 where it has nobody there; somebody whom only the second result has counts 1, too

Frames are taken one by one. The next one has the largest worth times 1 - exp(-(t / s)^2), where t is the time to the
nearest frame already taken and s half the time that each of the frames would have. A frame like one already taken is
passed over: the same people, whose joints lie on average within ALIKE of the box's long side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..people.boxes import pairwise_iou
from ..results.quality import Doubt, Reason, doubts
from ..results.serialization import present
from ..skeleton import NUM_JOINTS
from ..types import FrameResult, Person

LEAST_WORTH: Final = 0.1
WORTH: Final = {Reason.LEG_SWAP: 0.5, Reason.ARM_SWAP: 0.5, Reason.FILLED_GAP: 0.25}
#: Share of a box's long side at which two results disagree wholly; half of it counts as a reason.
FAR: Final = 0.1
#: Share of a box's long side within which joints of two frames are alike.
ALIKE: Final = 0.02
_SAME_PERSON_IOU: Final = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A frame to label, and why: values of `Reason`, "models disagree", or none of them for frames that are taken to
    spread the choice over time."""

    frame: FrameResult
    reasons: tuple[str, ...]


def choose_frames(
    frames: Sequence[FrameResult], count: int, other: Sequence[FrameResult] | None = None, *, everybody: bool = True
) -> list[Choice]:
    """At most `count` frames, in the order of time; fewer where there are no more that differ.

    frames: of a result, ascending. Damaged frames and frames without people are not taken. other: frames of a second
    result of the same video. everybody: nobody was left out of `frames`, so that a person of `other` alone counts.
    """
    others = None if other is None else {frame.index: frame.people for frame in other}
    found = [
        (frame, *_worth(frame, doubt, others, everybody=everybody))
        for frame, doubt in doubts(frames)
        if frame.people and not frame.damaged
    ]
    worth = np.array([value for _, value, _ in found], np.float64)
    times = np.array([frame.time for frame, _, _ in found], np.float64)
    left, taken = worth > 0, list[int]()
    spread = np.ones(len(found))
    width = max(float(np.ptp(times)) if len(times) else 0.0, 1e-9) / (2 * count)
    while len(taken) < count and left.any():
        best = int(np.argmax(np.where(left, worth * spread, -1.0)))
        left[best] = False
        if any(alike(found[best][0], found[place][0]) for place in taken):
            continue
        taken.append(best)
        spread = np.minimum(spread, 1 - np.exp(-(((times - times[best]) / width) ** 2)))
    return [Choice(found[place][0], found[place][2]) for place in sorted(taken)]


def alike(one: FrameResult, other: FrameResult) -> bool:
    """Whether two frames show the same people in nearly the same poses at nearly the same places."""
    people = {person.track_id: person for person in other.people}
    if {person.track_id for person in one.people} != people.keys():
        return False
    return all(_apart(person, people[person.track_id]) <= ALIKE for person in one.people)


def _worth(
    frame: FrameResult,
    doubt: Sequence[Doubt],
    others: dict[int, tuple[Person, ...]] | None,
    *,
    everybody: bool,
) -> tuple[float, tuple[str, ...]]:
    disagree = np.zeros(len(frame.people))
    if others is not None:
        disagree, alone = _disagreement(frame.people, others.get(frame.index, ()))
        if everybody and alone:
            disagree = np.maximum(disagree, 1.0)
    each = [
        1 - min(one.confidence, 1.0) + sum(WORTH.get(reason, 0) for reason in one.reasons) + far
        for one, far in zip(doubt, disagree.tolist(), strict=True)
    ]
    given = {reason for one in doubt for reason in one.reasons}
    reasons = [reason.value for reason in Reason if reason in given]
    return LEAST_WORTH + max(each), (*reasons, *(["models disagree"] if (disagree >= 0.5).any() else []))


def _disagreement(people: Sequence[Person], others: Sequence[Person]) -> tuple[NDArray[np.float64], int]:
    """(N,) how far each person is from the same one of another result, in 0..1; and how many are there alone."""
    far, free = np.ones(len(people)), set(range(len(others)))
    if not (people and others):
        return far, len(others)
    overlap = pairwise_iou(np.stack([p.bbox for p in people]), np.stack([p.bbox for p in others]))
    for flat in np.argsort(-overlap, axis=None, kind="stable").tolist():
        row, column = divmod(flat, len(others))
        if overlap[row, column] < _SAME_PERSON_IOU:
            break
        if far[row] == 1 and column in free:
            free.discard(column)
            # A value just below 1: the person has a partner from now on.
            far[row] = min(_apart(people[row], others[column]) / FAR, 1 - 1e-9)
    return far, len(free)


def _apart(one: Person, other: Person) -> float:
    """Mean distance of the joints that both have, in shares of the longer box side; infinite where there are none."""
    first, second = one.keypoints[:NUM_JOINTS], other.keypoints[:NUM_JOINTS]
    both = present(first) & present(second)
    side = max(float(one.bbox[2:].max()), float(other.bbox[2:].max()), 1.0)
    if not both.any():
        return float("inf")
    return float(np.linalg.norm((first - second)[both, :2], axis=1).mean()) / side
