"""End-to-end accuracy on the sample clips, whose joints are known exactly.

The measure: of the joints marked visible, the share that a run found within half a head size. It counts everything that
can go wrong: people not detected, boxes of the wrong person, joints in the wrong place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import printable
from ..people.boxes import iou
from ..results import read_posetrack
from ..skeleton import JOINT_GROUPS
from ..types import FrameResult, Person
from .poseval import ApResult, evaluate_videos
from .poseval_files import EvalFrame, frames_of, read_frames
from .sample_truth import TruePerson, posetrack_ground_truth, read_truth

_WITHIN: Final = 0.5  # of a head size
_VISIBLE: Final = 2


@dataclass(frozen=True, slots=True)
class ClipScore:
    """Visible joints found. groups: (hits, joints) per joint group.

    people: true person-frames that count (those with a head box); matched: of them, with a prediction assigned.
    surplus: predictions left over, duplicates and false people.
    """

    hits: int
    joints: int
    people: int
    matched: int
    surplus: int
    groups: dict[str, tuple[int, int]]

    @property
    def value(self) -> float:
        """hits / joints; NaN without joints."""
        return self.hits / self.joints if self.joints else float("nan")


def score_clip(result: Path, truth: Path) -> ClipScore:
    """Visible joints within half a head size: a result of dcpose against a sample's truth. Raises InputError."""
    frames = read_posetrack(result).in_slots().frames
    true_frames = read_truth(truth)
    if frames and frames[-1].index >= len(true_frames):
        raise InputError(f"has frame {frames[-1].index}, {printable(truth)} ends before it: wrong pair", path=result)
    return score_frames(frames, true_frames)


def score_frames(frames: Sequence[FrameResult], truth: Sequence[Sequence[TruePerson]]) -> ClipScore:
    """The same in memory; truth[i] belongs to the frame of index i, a frame without a result has found nobody."""
    found = {frame.index: frame.people for frame in frames}
    groups = {name: np.zeros(2, np.int64) for name in JOINT_GROUPS}
    people = matched = surplus = 0
    for index, true_people in enumerate(truth):
        predicted = found.get(index, ())
        pairs = match_people(predicted, true_people)
        surplus += len(predicted) - len(pairs)
        by_person = {column: row for row, column in pairs}
        for column, person in enumerate(true_people):
            if person.head_box is None:
                continue
            people += 1
            guess = predicted[by_person[column]] if column in by_person else None
            matched += guess is not None
            hits = _hits(guess, person)
            for name, slots in JOINT_GROUPS.items():
                visible = (person.keypoints[list(slots), 2] == _VISIBLE).sum()
                groups[name] += (hits[list(slots)].sum(), visible)
    total = sum(groups.values(), start=np.zeros(2, np.int64))
    counts = {name: (int(pair[0]), int(pair[1])) for name, pair in groups.items()}
    return ClipScore(int(total[0]), int(total[1]), people, matched, surplus, counts)


def match_people(predicted: Sequence[Person], truth: Sequence[TruePerson]) -> list[tuple[int, int]]:
    """Assign predictions to true people one to one: (prediction, person) pairs of one frame.

    Greedy: the pair with most visible joints within half a head size first, then by overlap of the boxes. Pairs without
    either are not made.
    """
    pairs = []
    for row, guess in enumerate(predicted):
        for column, person in enumerate(truth):
            hits, overlap = int(_hits(guess, person).sum()), float(iou(guess.bbox, person.bbox[None])[0])
            if hits or overlap >= 0.5:
                pairs.append((-hits, -overlap, row, column))
    rows: set[int] = set()
    columns: set[int] = set()
    chosen = []
    for _, _, row, column in sorted(pairs):
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            chosen.append((row, column))
    return chosen


def _hits(guess: Person | None, person: TruePerson) -> NDArray[np.bool_]:
    """(17,) visible joints of `person` that `guess` has within half a head size."""
    visible: NDArray[np.bool_] = person.keypoints[:, 2] == _VISIBLE
    if guess is None or person.head_box is None:
        return np.zeros_like(visible)
    offset = guess.keypoints[:, :2] - person.keypoints[:, :2]
    near: NDArray[np.bool_] = np.hypot(offset[:, 0], offset[:, 1]) <= _WITHIN * person.head_size
    return visible & near


def clips_ap(pairs: Sequence[tuple[Path, Path]]) -> ApResult:
    """PoseTrack AP over (result, truth) pairs of sample clips, hidden joints included. Raises InputError."""
    videos = []
    for result, truth in pairs:
        expected: list[EvalFrame] = frames_of(posetrack_ground_truth(read_truth(truth)))
        predicted = read_frames(result)
        if len(predicted) != len(expected):
            counts = f"{len(predicted)} frames, {printable(truth)} {len(expected)}"
            raise InputError(f"has {counts}: AP needs a result of the whole clip", path=result)
        videos.append((expected, predicted))
    return evaluate_videos(videos)
