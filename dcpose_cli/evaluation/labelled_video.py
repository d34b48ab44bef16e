"""Joints of whole videos against human labels: PCK, people found, and left taken for right.

Labels: JSON with `joints` (names), `fps` and `frames`: `frame` (number), `persons` with `track_id`, `bbox` [x, y, w, h]
and `keypoints` [x, y, v] in pixels; v > 0 means labelled. People without labels do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..skeleton import JOINT_GROUPS, JOINT_NAMES, NUM_JOINTS
from ..types import FrameResult
from .label_files import keypoints_in_slots, read_label_file

#: A joint is found within this share of the torso.
WITHIN: Final = 0.2
#: The torso (left shoulder to right hip) counts at least this share of the box's long side.
LEAST_TORSO: Final = 0.25
#: A prediction belongs to a labelled person when the median distance of the labelled joints is at most this share of
#: the box's long side.
SAME_PERSON: Final = 0.5
#: Left and right joints further apart than this share of the torso can be told from each other.
APART: Final = 0.3
#: Pairs whose sides are compared.
SWAP_GROUPS: Final = ("elbow", "wrist", "knee", "ankle")

_SHOULDER, _HIP = JOINT_NAMES.index("left_shoulder"), JOINT_NAMES.index("right_hip")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPose:
    """keypoints: (17, 3) float64: x, y in pixels, > 0 where labelled. bbox: (4,) float64 xywh in pixels."""

    track_id: int
    keypoints: NDArray[np.float64]
    bbox: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VideoScore:
    """Counts that add up over clips. groups: (found, labelled) joints per joint group.

    people: labelled people of all frames; found: of them, with a prediction assigned. pairs: left/right pairs of those
    that can be told apart; swapped: of them, those that fit better the other way round.
    """

    people: int = 0
    found: int = 0
    swapped: int = 0
    pairs: int = 0
    groups: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def hits(self) -> int:
        """Joints found."""
        return sum(found for found, _ in self.groups.values())

    @property
    def joints(self) -> int:
        """Joints labelled."""
        return sum(labelled for _, labelled in self.groups.values())

    @property
    def pck(self) -> float:
        """Share of the labelled joints that were found, those of people not found included; NaN without joints."""
        return self.hits / self.joints if self.joints else float("nan")

    def __add__(self, other: VideoScore) -> VideoScore:
        groups = dict(self.groups)
        for name, (found, labelled) in other.groups.items():
            before = groups.get(name, (0, 0))
            groups[name] = before[0] + found, before[1] + labelled
        return VideoScore(
            self.people + other.people,
            self.found + other.found,
            self.swapped + other.swapped,
            self.pairs + other.pairs,
            groups,
        )


def read_labels(path: Path) -> dict[int, list[LabelledPose]]:
    """The labelled people by frame number. Raises InputError."""
    return read_label_file(Path(path), _labels, "holds no video labels")


def _labels(data: Any, slots: Sequence[int]) -> dict[int, list[LabelledPose]]:
    return {int(frame["frame"]): [_pose(entry, slots) for entry in frame["persons"]] for frame in data["frames"]}


def _pose(entry: dict[str, Any], slots: Sequence[int]) -> LabelledPose:
    box = np.asarray(entry["bbox"], np.float64).reshape(4)
    return LabelledPose(int(entry.get("track_id", 0)), keypoints_in_slots(entry, slots), box)


def score_video(results: Iterable[FrameResult], labels: dict[int, list[LabelledPose]]) -> VideoScore:
    """A result against its labels; a frame without a result has found nobody."""
    found = {
        frame.index: [person.keypoints[:NUM_JOINTS].astype(np.float64) for person in frame.people] for frame in results
    }
    total = VideoScore()
    for number, people in labels.items():
        free = list(found.get(number, ()))
        for person in people:
            total += _score_person(person, free)
    return total


def _score_person(person: LabelledPose, free: list[NDArray[np.float64]]) -> VideoScore:
    """One labelled person against the predictions of the frame; the one assigned is taken out of `free`."""
    labelled = person.keypoints[:, 2] > 0
    side = float(person.bbox[2:].max())
    torso = max(_distance(person.keypoints[_SHOULDER], person.keypoints[_HIP]), LEAST_TORSO * side)
    apart = [np.linalg.norm(guess[:, :2] - person.keypoints[:, :2], axis=1) for guess in free]
    hits, found, swapped, pairs = np.zeros(NUM_JOINTS, np.bool_), 0, 0, 0
    if apart and labelled.any():
        best = int(np.argmin([np.median(distances[labelled]) for distances in apart]))
        if np.median(apart[best][labelled]) <= SAME_PERSON * side:
            found, hits = 1, (apart[best] <= WITHIN * torso) & labelled
            swapped, pairs = _swaps(free.pop(best), person.keypoints, APART * torso)
    groups = {
        name: (int(hits[list(slots)].sum()), int(labelled[list(slots)].sum())) for name, slots in JOINT_GROUPS.items()
    }
    return VideoScore(1, found, swapped, pairs, groups)


def _swaps(guess: NDArray[np.float64], truth: NDArray[np.float64], least: float) -> tuple[int, int]:
    """Pairs that fit better the other way round, and pairs whose labels lie more than `least` pixels apart."""
    swapped = pairs = 0
    for left, right in (JOINT_GROUPS[name] for name in SWAP_GROUPS):
        if min(truth[left, 2], truth[right, 2]) <= 0 or _distance(truth[left], truth[right]) <= least:
            continue
        straight = _distance(guess[left], truth[left]) + _distance(guess[right], truth[right])
        crossed = _distance(guess[right], truth[left]) + _distance(guess[left], truth[right])
        pairs, swapped = pairs + 1, swapped + (crossed < straight)
    return swapped, pairs


def _distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.hypot(first[0] - second[0], first[1] - second[1]))
