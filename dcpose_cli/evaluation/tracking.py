"""How well people are followed: MOTA and IDF1 per joint, through motmetrics (the extra `evaluate`).

As PoseTrack has it, every joint is tracked by itself: its objects are the annotated joints with the ids of their
people, a prediction may stand for one within half a head size, and the total is the mean over the 15 joints. Frames
without annotated people are left out and points inside ignore regions are removed on both sides, as for AP. MOTA counts
every predicted joint that is nobody's, so only joints that score at least a threshold take part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .poseval import MATCH, TABLE, Video, head_size, mean_known, outside
from .poseval_files import EVAL_JOINTS, EvalPerson

_COUNTS: Final = ("num_objects", "num_misses", "num_false_positives", "num_switches", "idtp", "idfp", "idfn")


@dataclass(frozen=True, slots=True, eq=False)
class TrackingResult:
    """counts: (15, 7) of the joints in the order of EVAL_JOINTS: annotated joints, misses, false positives, switches of
    identity, and true positives, false positives and false negatives of the best global assignment of identities."""

    counts: NDArray[np.int64]

    @property
    def mota(self) -> NDArray[np.float64]:
        """(15,) percent, NaN without annotated joints; below zero where there are more mistakes than joints."""
        objects, misses, surplus, switches = self.counts.T[:4].astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(objects > 0, 100 * (1 - (misses + surplus + switches) / objects), np.nan)

    @property
    def idf1(self) -> NDArray[np.float64]:
        """(15,) percent, NaN without annotated joints."""
        objects, right, surplus, missed = self.counts.T[[0, 4, 5, 6]].astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(objects > 0, 100 * 2 * right / (2 * right + surplus + missed), np.nan)

    @property
    def switches(self) -> int:
        """Switches of identity, all joints together."""
        return int(self.counts[:, 3].sum())

    @staticmethod
    def table(values: NDArray[np.float64]) -> dict[str, float]:
        """Means over the joint groups, and over all joints as `Total`."""
        groups = {name: mean_known(values[list(joints)]) for name, joints in TABLE.items()}
        return groups | {"Total": mean_known(values)}

    def __add__(self, other: TrackingResult) -> TrackingResult:
        return TrackingResult(self.counts + other.counts)


def has_tracks(video: Video) -> bool:
    """Whether everybody on both sides has a track id."""
    return all(person.track_id is not None for frames in video for frame in frames for person in frame.people)


def shared_id(video: Video) -> str:
    """What to say of the first track id that several people of one frame have; "" where ids are distinct."""
    for side, frames in zip(("truth", "result"), video, strict=True):
        for position, frame in enumerate(frames, start=1):
            counts = Counter(person.track_id for person in frame.people if person.track_id is not None)
            track, count = max(counts.items(), key=lambda item: item[1], default=(0, 1))
            if count > 1:
                return f"in frame {position} of its {side} {count} people have the track id {track}"
    return ""


def evaluate_tracking(video: Video, least_score: float = 0.3) -> TrackingResult:
    """MOTA and IDF1 of one video; results of several are added. Raises UsageError without motmetrics."""
    motmetrics = _motmetrics()
    joints = len(EVAL_JOINTS)
    tables = [motmetrics.MOTAccumulator(auto_id=True) for _ in range(joints)]
    for true_frame, predicted_frame in zip(*video, strict=True):
        if not true_frame.people:
            continue
        people = outside(true_frame.people, true_frame.ignore)
        guesses = outside(predicted_frame.people, true_frame.ignore)
        for joint, table in enumerate(tables):
            table.update(*_frame(people, guesses, joint, least_score))
    metrics = motmetrics.metrics.create()
    counts = [metrics.compute(table, metrics=list(_COUNTS), return_dataframe=False) for table in tables]
    return TrackingResult(np.array([[int(row[name]) for name in _COUNTS] for row in counts], np.int64))


def _frame(
    people: Sequence[EvalPerson], guesses: Sequence[EvalPerson], joint: int, least_score: float
) -> tuple[list[int], list[int], NDArray[np.float64]]:
    """Ids of the annotated and the predicted joints of one kind, and their distances in head sizes, NaN if too far."""
    there = [p for p in people if not np.isnan(p.points[joint, 0])]
    found = [g for g in guesses if not np.isnan(g.points[joint, 0]) and g.scores[joint] >= least_score]
    distances = np.full((len(there), len(found)), np.nan)
    for row, person in enumerate(there):
        for column, guess in enumerate(found):
            size = head_size(person)
            distance = float(np.hypot(*(guess.points[joint] - person.points[joint])))
            if size > 0 and distance / size <= MATCH:
                distances[row, column] = distance / size
    return [p.track_id or 0 for p in there], [g.track_id or 0 for g in found], distances


def _motmetrics() -> Any:
    try:
        import motmetrics
    except ImportError as error:
        raise UsageError("MOTA and IDF1 need motmetrics", hint="pip install 'dcpose[evaluate]'") from error
    return motmetrics
