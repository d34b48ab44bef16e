"""Evaluation against labels in COCO's form, and of predictions in COCO's form.

COCO labels have no head boxes: instead of PCKh there is PCK, within PCK_SHARE of the longer side of a person's box.
Pictures of the labels and frames of the predictions belong together by their ids, where both are COCO; else by the
numbers that end the names of the pictures: `clip/000012.jpg` is frame 12. Names that count from 1 are recognised by the
last one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from .._text import reason_of
from ..datasets.coco import people_by_picture
from ..datasets.labels import LabelledPerson, picture_id
from ..errors import InputError
from ..results.foreign import read_result
from ..results.other_tools import frame_numbers
from ..skeleton import EAR_SLOTS, EVAL_SLOTS, JOINT_NAMES, standard_name
from ..types import FrameResult, Person
from .poseval_files import EVAL_JOINTS, EvalFrame, EvalPerson

#: A joint is found within this share of the longer side of its person's box.
PCK_SHARE: Final = 0.1
#: What poseval takes of the diagonal of a head box: its share for a head size, and for a match.
_OF_DIAGONAL: Final = 0.6 * 0.5
_NUMBER: Final = re.compile(r"(\d{1,15})\D*$")
_SLOTS: Final = list(EVAL_SLOTS)
#: What images have in PoseTrack's files alone.
_OF_POSETRACK: Final = frozenset({"frame_id", "vid_id", "is_labeled", "has_labeled_person"})


def is_coco_truth(data: Any) -> bool:
    """Whether parsed JSON is COCO labels: of its form, and either without PoseTrack's joint of the neck or without its
    frames and head boxes. Labels of `dataset from-result` have the neck, and so have those of labelling tools made
    from them.
    """
    if not isinstance(data, dict) or not {"images", "annotations", "categories"} <= data.keys() or "dcpose" in data:
        return False
    names = [n for c in data["categories"] if isinstance(c, dict) for n in c.get("keypoints") or ()]
    if not any(standard_name(str(name)) == "head_bottom" for name in names):
        return True
    frames = any(isinstance(image, dict) and _OF_POSETRACK & image.keys() for image in data["images"])
    return not frames and not any(isinstance(one, dict) and "bbox_head" in one for one in data["annotations"])


def read_coco_pair(path: Path, data: Mapping[str, Any], predicted: Path, prediction: Any) -> tuple[
    list[EvalFrame], list[EvalFrame]
]:  # fmt: skip
    """Frames of COCO labels (`data`, parsed) in list order, and of their predictions. Raises InputError."""
    try:
        people = people_by_picture(data)
        ids = [picture_id(image["id"]) for image in data["images"]]
        truth = [EvalFrame([_labelled(p) for p in people.get(name, ())], []) for name in ids]
        names = [str(image.get("file_name", "")) for image in data["images"]]
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        reason = reason_of(error)
        raise InputError(f"not COCO labels: {reason}", path=path, hint="check the file") from error
    frames = read_result(predicted).frames
    by_id = _by_id(frames, prediction, ids)
    found = by_id if by_id is not None else _by_number(frames, names, path)
    return truth, [EvalFrame([_predicted(p) for p in frame.people] if frame else [], []) for frame in found]


def result_frames(predicted: Path, count: int) -> list[EvalFrame]:
    """Predictions in COCO's form, for a truth of so many frames. Raises InputError."""
    frames = {frame.index: frame for frame in read_result(predicted).frames}
    if frames and max(frames) >= count:
        raise InputError(f"has frame {max(frames)}, its ground truth {count} frames", path=predicted)
    return [EvalFrame([_predicted(p) for p in frames[i].people] if i in frames else [], []) for i in range(count)]


def _by_id(frames: Sequence[FrameResult], prediction: Any, ids: Sequence[str]) -> list[FrameResult | None] | None:
    """Frames by the ids of a COCO result; None where they are not those of the truth."""
    if not isinstance(prediction, list):
        return None
    given = {entry.get("image_id") for entry in prediction if isinstance(entry.get("image_id"), int | str)}
    # As the readers order them: numbers by their value, names by the numbers in them.
    plain = all(isinstance(one, int) for one in given)
    names = [str(one) for one in sorted(given)] if plain else list(frame_numbers([str(one) for one in given]))
    if len(names) != len(frames) or not set(names) <= set(ids):
        return None
    known = dict(zip(names, frames, strict=True))
    return [known.get(name) for name in ids]


def _by_number(frames: Sequence[FrameResult], names: Sequence[str], path: Path) -> list[FrameResult | None]:
    matches = [_NUMBER.search(PurePosixPath(name).stem) for name in names]
    numbers = [int(match[1]) for match in matches if match]
    known: dict[int, FrameResult | None] = {frame.index: frame for frame in frames}
    if len(set(numbers)) != len(names) or not known:
        raise InputError(
            "its pictures have no frame numbers in their names", path=path, hint="name them like clip/000012.jpg"
        )
    last = max(known)
    first = 1 if min(numbers) > 0 and max(numbers) == last + 1 else 0
    if max(numbers) - first > last:
        raise InputError(f"has a picture of frame {max(numbers)}, the predictions end with frame {last}", path=path)
    return [known.get(number - first) for number in numbers]


def _labelled(person: LabelledPerson) -> EvalPerson:
    joints = person.joints[_SLOTS].astype(np.float64)
    points = np.where(joints[:, 2:] > 0, joints[:, :2], np.nan)
    x, y, width, height = (float(value) for value in person.box)
    # The box whose share of a head is PCK_SHARE of the longer side.
    side = PCK_SHARE * max(width, height) / (_OF_DIAGONAL * float(np.sqrt(2)))
    head = (0.0, 0.0, side, side)
    ears = {JOINT_NAMES[slot]: person.joints[slot] for slot in EAR_SLOTS if person.joints[slot, 2] > 0}
    further = {name: (float(place[0]), float(place[1])) for name, place in ears.items()} | dict(person.further)
    return EvalPerson(points, np.ones(len(_SLOTS)), head, (x, y, width, height), person.track_id, further=further)


def _predicted(person: Person) -> EvalPerson:
    joints = person.keypoints[_SLOTS].astype(np.float64)
    absent = (joints == 0).all(axis=1)
    x, y, width, height = (float(value) for value in person.bbox)
    return EvalPerson(
        np.where(absent[:, None], np.nan, joints[:, :2]),
        joints[:, 2],
        None,
        (x, y, width, height),
        person.track_id,
        float(person.score),
        person.interpolated,
        {
            name: (float(x), float(y))
            for name, (x, y, score) in zip(person.joints, person.keypoints, strict=True)
            if name not in EVAL_JOINTS and (x or y or score)
        },
    )
