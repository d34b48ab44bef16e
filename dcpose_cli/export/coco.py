"""COCO keypoint results: a list with one entry per person and frame, as `COCO.loadRes` of pycocotools takes it.

image_id     the id of the frame in the native PoseTrack18 JSON: 10^10 + (1 + i // 10000) * 10^4 + i % 10000
category_id  1
keypoints    17 x (x, y, confidence) in COCO's order: nose, left and right eye, ear, shoulder, elbow, wrist, hip, knee,
             ankle; 0, 0, 0 for a joint that was not predicted. The eyes are always 0, 0, 0: there is no such slot.
score        of the detector's box
bbox         x, y, width, height
track_id, head_bottom, head_top
             ours; pycocotools ignores them. The head points are [x, y, confidence], left out when not predicted.

Frames without people are not in the file, nor are times: both are lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..results.format import frame_index, image_id
from ..results.numbers import write_list, written
from ..results.raw import raw_person, scalar, whole
from ..results.reader import PoseTrackResult
from ..skeleton import JOINT_NAMES
from ..types import Person

#: COCO's keypoints; all but the eyes are at the place of the slot of the same name.
COCO_JOINTS: Final[tuple[str, ...]] = ("nose", "left_eye", "right_eye", *JOINT_NAMES[3:])
#: PoseTrack slots that COCO lacks, by the name of our own key for them.
_HEAD: Final = {"head_bottom": JOINT_NAMES.index("head_bottom"), "head_top": JOINT_NAMES.index("head_top")}


def write_coco(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path`."""
    with path.open("wb") as out:
        write_list(out, _entries(result))
        out.write(b"\n")


def _entries(result: PoseTrackResult) -> Iterator[dict[str, Any]]:
    for frame in result.frames:
        for person in frame.people:
            numbers = written(person)
            keypoints: list[float] = []
            for slot, joint in enumerate(numbers.joints):
                keypoints += (0, 0, 0) if joint is None or slot in _HEAD.values() else joint
            entry = {
                "image_id": image_id(frame.index),
                "category_id": 1,
                "keypoints": keypoints,
                "score": numbers.score,
                "bbox": numbers.bbox,
                "track_id": numbers.track_id,
            }
            yield entry | {name: list(joint) for name, slot in _HEAD.items() if (joint := numbers.joints[slot])}


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
    for name, slot in _HEAD.items():
        x, y, score = (scalar(value) for value in entry.get(name, (0, 0, 0)))
        joints[slot] = x, y, score
    there = {slot: joint for slot, joint in joints.items() if any(joint)}
    if not there:
        raise ValueError("a person without keypoints")
    return raw_person(there, entry.get("track_id", number), scalar(entry.get("score", 1.0)), entry.get("bbox"))
