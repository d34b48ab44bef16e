"""Average precision of 15 joints as poseval computes it; equal to its figures. Source: SPEC 7.5."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import printable
from ..results.foreign import is_json
from .average_precision import average_precision
from .coco_files import is_coco_truth, read_coco_pair, result_frames
from .ground_truth import read_ground_truth
from .polygons import strictly_inside
from .poseval_files import EVAL_JOINTS, EvalFrame, EvalPerson, load, read_frames

#: A predicted joint is right within this share of a head size.
MATCH: Final = 0.5
_HEAD_SHARE: Final = 0.6  # head size = this share of the head box's diagonal

#: Columns of PoseTrack's tables -> evaluation joints.
TABLE: Final[dict[str, tuple[int, ...]]] = {
    "Head": (12, 13, 14),
    "Shou": (8, 9),
    "Elb": (7, 10),
    "Wri": (6, 11),
    "Hip": (2, 3),
    "Knee": (1, 4),
    "Ankl": (0, 5),
}

Video = tuple[Sequence[EvalFrame], Sequence[EvalFrame]]


@dataclass(frozen=True, slots=True, eq=False)
class ApResult:
    """AP of a set of videos, in percent; arrays are (15,) in the order of poseval_files.EVAL_JOINTS.

    precision, recall: with every predicted joint kept. ground_truth: annotated joints. frames: evaluated, that is with
    annotated people.
    """

    ap: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    ground_truth: NDArray[np.int64]
    frames: int

    @property
    def found(self) -> NDArray[np.int64]:
        """(15,) annotated joints that their person's prediction has within half a head size."""
        return np.rint(np.nan_to_num(self.recall) / 100 * self.ground_truth).astype(np.int64)

    @property
    def total(self) -> float:
        """Mean AP over the joints that occur in the ground truth; NaN without any."""
        return mean_known(self.ap)

    def table(self) -> dict[str, float]:
        """The seven groups and the total (over joints, not over groups)."""
        groups = {name: mean_known(self.ap[list(joints)]) for name, joints in TABLE.items()}
        return groups | {"Total": self.total}

    def pckh_table(self) -> dict[str, float]:
        """PCKh@0.5 in percent: of all annotated joints of a group, those found; people nobody predicted count.

        The head size is 0.6 of the head box's diagonal, as in MPII's PCKh.
        """
        groups = {name: list(joints) for name, joints in TABLE.items()} | {"Total": list(range(len(EVAL_JOINTS)))}
        found, annotated = self.found, self.ground_truth
        return {
            name: 100 * float(found[joints].sum() / annotated[joints].sum())
            if annotated[joints].any()
            else float("nan")
            for name, joints in groups.items()
        }


def evaluate_ap(ground_truth: Path, predicted: Path) -> ApResult:
    """AP of prediction files against ground truth files, in PoseTrack17 or PoseTrack18 style, mixed as you like.

    Both are files, or both folders: then every .json of `ground_truth` needs a namesake in `predicted`, and the frames
    of all videos form one ranking. Frames are paired by their place in the list. Raises InputError.
    """
    pairs = file_pairs(Path(ground_truth), Path(predicted))
    return evaluate_videos(read_pair(truth, prediction) for truth, prediction in pairs)


def file_pairs(ground_truth: Path, predicted: Path) -> list[tuple[Path, Path]]:
    """Ground truth files with their predictions, by name; a single file with a file, or its namesake in a folder."""
    if not ground_truth.is_dir():
        return [(ground_truth, predicted / ground_truth.name if predicted.is_dir() else predicted)]
    names = sorted(path.name for path in ground_truth.glob("*.json") if not path.name.startswith("._"))  # of macOS
    if not names:
        raise InputError("holds no .json file", path=ground_truth, hint="give a folder of ground truth files")
    if predicted.is_file():
        raise InputError(
            f"is one file, but the ground truth is a folder of {len(names)}", path=predicted,
            hint=f"give a folder with a result for each, as {printable(names[0])}",
        )  # fmt: skip
    missing = [name for name in names if not (predicted / name).is_file()]
    if missing:
        more = f", nor for {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"no result for the clip {printable(Path(missing[0]).stem)}{more}", path=predicted,
            hint=f"a result has the name of its ground truth; looked for {printable(predicted / missing[0])}",
        )  # fmt: skip
    return [(ground_truth / name, predicted / name) for name in names]


def read_pair(truth: Path, prediction: Path) -> Video:
    """Frames of a ground truth file and of its predictions. Raises InputError when they do not belong together."""
    labels = load(truth)
    predictions = load(prediction) if is_json(prediction) else None
    if is_coco_truth(labels):
        return read_coco_pair(truth, labels, prediction, predictions)
    require_no_result(labels, truth)
    if isinstance(labels, list):
        hint = "the ground truth comes first: labels have images, annotations and categories"
        raise InputError("is a list of results, not ground truth", path=truth, hint=hint)
    frames = read_ground_truth(truth)
    posetrack = isinstance(predictions, dict) and ("annolist" in predictions or "annotations" in predictions)
    pair = frames, read_frames(prediction) if posetrack else result_frames(prediction, len(frames))
    if len(pair[0]) != len(pair[1]):
        counts = f"{len(pair[1])} frames, its ground truth {len(pair[0])}"
        raise InputError(f"has {counts}", path=prediction, hint="list every frame, people or not")
    require_head_boxes(frames, truth)
    return pair


def require_no_result(labels: Any, truth: Path) -> None:
    """Raise InputError for the content of a file that is a result of dcpose, where ground truth is meant."""
    if isinstance(labels, dict) and isinstance(labels.get("dcpose"), dict) and "input" in labels["dcpose"]:
        hint = "the ground truth is labels of PoseTrack or COCO, or the truth of a sample clip"
        raise InputError("is a result of dcpose, not ground truth", path=truth, hint=hint)


def require_head_boxes(frames: Sequence[EvalFrame], truth: Path) -> None:
    """Raise InputError where AP cannot be computed: somebody of the ground truth has no head box."""
    if any(person.head_box is None for frame in frames for person in frame.people):
        raise InputError("has people without a head box: AP needs one for each", path=truth)


def evaluate_videos(videos: Iterable[Video]) -> ApResult:
    """The same for frames in memory: pairs of (ground truth, predicted) frames, equally long."""
    joints = len(EVAL_JOINTS)
    scores: list[list[float]] = [[] for _ in range(joints)]
    labels: list[list[bool]] = [[] for _ in range(joints)]
    annotated = np.zeros(joints, np.int64)
    frames = 0
    for truth, predicted in videos:
        for truth_frame, predicted_frame in zip(truth, predicted, strict=True):
            if not truth_frame.people:
                continue
            frames += 1
            people = outside(truth_frame.people, truth_frame.ignore)
            guesses = outside(predicted_frame.people, truth_frame.ignore)
            annotated += sum((present(person) for person in people), start=np.zeros(joints, np.int64))
            correct = _assign(people, guesses)
            for guess, hits in zip(guesses, correct, strict=True):
                for joint in np.flatnonzero(present(guess)):
                    scores[joint].append(float(guess.scores[joint]))
                    labels[joint].append(bool(hits[joint]))
    curves = [_joint_ap(scores[joint], labels[joint], int(annotated[joint])) for joint in range(joints)]
    ap, precision, recall = (np.array(column) for column in zip(*curves, strict=True))
    return ApResult(100 * ap, 100 * precision, 100 * recall, annotated, frames)


def present(person: EvalPerson) -> NDArray[np.bool_]:
    """(15,) joints that are there."""
    return ~np.isnan(person.points[:, 0])


def outside(people: Sequence[EvalPerson], ignore: Sequence[NDArray[np.float64]]) -> list[EvalPerson]:
    """People with the points inside ignore regions removed; without any point left they are gone."""
    kept = []
    for person in people:
        points = person.points.copy()
        for joint in np.flatnonzero(present(person)):
            if any(strictly_inside(points[joint], polygon) for polygon in ignore):
                points[joint] = np.nan
        if not np.isnan(points).all():
            kept.append(replace(person, points=points))
    return kept


def head_size(person: EvalPerson) -> float:
    """Pixels. Raises ValueError without a head box."""
    if person.head_box is None:
        raise ValueError("a person of the ground truth has no head box")
    x1, y1, x2, y2 = person.head_box
    return float(_HEAD_SHARE * np.hypot(x2 - x1, y2 - y1))


def _assign(people: Sequence[EvalPerson], guesses: Sequence[EvalPerson]) -> NDArray[np.bool_]:
    """Which joints of which guess are right: (len(guesses), 15). One guess per person, by share of matching joints."""
    matches = _matches(people, guesses)
    correct = np.zeros((len(guesses), len(EVAL_JOINTS)), bool)
    for row, column in _paired(people, matches):
        correct[row] = matches[row, column]
    return correct


def pairs(people: Sequence[EvalPerson], guesses: Sequence[EvalPerson]) -> list[tuple[int, int]]:
    """Guesses and the people they are taken for, one guess per person: numbers (of the guess, of the person)."""
    return _paired(people, _matches(people, guesses))


def _matches(people: Sequence[EvalPerson], guesses: Sequence[EvalPerson]) -> NDArray[np.bool_]:
    """Which joints of which guess match those of which person: (guesses, people, 15)."""
    matches = np.zeros((len(guesses), len(people), len(EVAL_JOINTS)), bool)
    for column, person in enumerate(people):
        for row, guess in enumerate(guesses):
            distance = np.hypot(*(guess.points - person.points).T)
            with np.errstate(invalid="ignore", divide="ignore"):
                matches[row, column] = distance / head_size(person) <= MATCH
    return matches


def _paired(people: Sequence[EvalPerson], matches: NDArray[np.bool_]) -> list[tuple[int, int]]:
    if 0 in matches.shape:
        return []
    counts = np.array([present(person).sum() for person in people])
    share = matches.sum(axis=2) / counts
    best = share.argmax(axis=1)  # each guess keeps its best person, the first on ties
    only_best = np.where(np.arange(len(people)) == best[:, None], share, 0.0)
    rows = only_best.argmax(axis=0).tolist()
    return [(row, column) for column, row in enumerate(rows) if only_best[row, column] > 0]


def _joint_ap(scores: Sequence[float], labels: Sequence[bool], annotated: int) -> tuple[float, float, float]:
    """Area under the monotone precision envelope, and precision and recall of the whole list; shares."""
    if not annotated:
        return float("nan"), float("nan"), float("nan")
    if not scores:
        return 0.0, 0.0, 0.0
    label = np.asarray(labels, np.float64)
    order = np.lexsort((label, -np.asarray(scores)))  # wrong joints first among equal scores
    found = float(label.sum())
    return average_precision(label[order], annotated), found / len(label), found / annotated


def mean_known(values: NDArray[np.float64]) -> float:
    """Mean of what is not NaN; NaN when nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
