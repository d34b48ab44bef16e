"""Reading COCO keypoint results: a list with one entry per person and image, also those of COCO-WholeBody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..skeleton.sets import WHOLEBODY_LISTS
from ..types import Person
from .format import frame_index
from .skeletons import joints_of_count
from .validation import raw_person, scalar, whole

#: PoseTrack slots that COCO lacks; our own keys for them have these names, too.
HEAD_JOINTS: Final = ("head_bottom", "head_top")


def is_coco(data: Any) -> bool:
    """Whether parsed JSON is a list of COCO's entries; the empty list is one."""
    return isinstance(data, list) and all(
        isinstance(entry, dict) and {"image_id", "keypoints"} <= entry.keys() for entry in data
    )


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
    skeleton = joints_of_count(len(values) // 3)
    joints = triples(values, skeleton)
    for key, known in wholebody_lists(entry):
        joints |= triples([scalar(value) for value in entry[key]], known)
        skeleton += known
    for name in HEAD_JOINTS:
        if name in entry:
            joints |= triples([scalar(value) for value in entry[name]], (name,))
    if not joints and entry.get("bbox") is None:
        raise ValueError("a person has neither keypoints nor a box")
    track, score = entry.get("track_id", number), scalar(entry.get("score", 1.0))
    return raw_person(joints, track, score, entry.get("bbox"), skeleton)


def wholebody_lists(entry: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """COCO-WholeBody's lists that an entry has beside its keypoints: the key, and the names of the joints."""
    return [(key, known) for key, known in WHOLEBODY_LISTS.items() if entry.get(key)]


def triples(values: Sequence[float], names: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """The joints of a list x, y, confidence, ... by name, without those that are 0, 0, 0. Raises ValueError for a list
    of another length."""
    if len(values) != 3 * len(names):
        raise ValueError(f"{len(values)} numbers for {len(names)} joints")
    found = ((name, (values[3 * k], values[3 * k + 1], values[3 * k + 2])) for k, name in enumerate(names))
    return {name: joint for name, joint in found if any(joint)}
