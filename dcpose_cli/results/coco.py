"""Reading COCO keypoint results: a list with one entry per person and image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..skeleton import JOINT_NAMES
from ..types import Person
from .format import frame_index
from .validation import raw_person, scalar, whole

#: COCO's keypoints; all but the eyes are at the place of the slot of the same name.
COCO_JOINTS: Final[tuple[str, ...]] = ("nose", "left_eye", "right_eye", *JOINT_NAMES[3:])
#: PoseTrack slots that COCO lacks, by the name of our own key for them.
HEAD_SLOTS: Final = {"head_bottom": JOINT_NAMES.index("head_bottom"), "head_top": JOINT_NAMES.index("head_top")}


def frames_of_coco(data: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[list[Person]]]:
    """The numbers of the frames that show people, and these; raises KeyError, TypeError, ValueError for other lists.

    Image ids that are not ours are numbered in ascending order.
    """
    people: dict[int, list[Person]] = {}
    for entry in data:
        persons = people.setdefault(whole(entry["image_id"]), [])
        persons.append(_person(entry, len(persons)))
    ids = sorted(people)
    own = bool(ids) and frame_index(ids[0]) >= 0
    return [frame_index(i) for i in ids] if own else list(range(len(ids))), [people[i] for i in ids]


def _person(entry: Mapping[str, Any], number: int) -> Person:
    values = [scalar(value) for value in entry["keypoints"]]
    if len(values) != 3 * len(COCO_JOINTS):
        raise ValueError(f"{len(values)} numbers in keypoints, COCO has {3 * len(COCO_JOINTS)}")
    joints = {slot: (values[3 * slot], values[3 * slot + 1], values[3 * slot + 2]) for slot in range(len(COCO_JOINTS))}
    for name, slot in HEAD_SLOTS.items():
        x, y, score = (scalar(value) for value in entry.get(name, (0, 0, 0)))
        joints[slot] = x, y, score
    there = {slot: joint for slot, joint in joints.items() if any(joint)}
    if not there and entry.get("bbox") is None:
        raise ValueError("a person has neither keypoints nor a box")
    return raw_person(there, entry.get("track_id", number), scalar(entry.get("score", 1.0)), entry.get("bbox"))
