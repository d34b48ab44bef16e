"""Joints of other tools: the names that a file gives, or those that so many joints have, in our spelling."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ..skeleton import JOINT_NAMES, NUM_JOINTS, standard_name
from ..skeleton.sets import FACE, FOOT, HANDS, JOINT_SETS, MOST_JOINTS, result_joints, sets_with
from ..types import FrameResult, Person
from .serialization import present

_ARMS: Final = tuple(f"{side}_{part}" for side in ("right", "left") for part in ("shoulder", "elbow", "wrist"))
_LEGS: Final = tuple(f"{side}_{part}" for side in ("right", "left") for part in ("hip", "knee", "ankle"))
_EYES_EARS: Final = ("right_eye", "left_eye", "right_ear", "left_ear")
_FEET: Final = tuple(f"{side}_{part}" for side in ("left", "right") for part in FOOT)
#: OpenPose's body with 25 joints. Its neck is the middle of the shoulders, which is no head_bottom.
BODY_25: Final[tuple[str, ...]] = ("nose", "neck", *_ARMS, "hip", *_LEGS, *_EYES_EARS, *_FEET)
#: OpenPose's further lists, for as many points as we have names: its face ends with two pupils.
OPENPOSE_LISTS: Final[dict[str, tuple[str, ...]]] = {
    "face_keypoints_2d": FACE,
    "hand_left_keypoints_2d": HANDS["left"],
    "hand_right_keypoints_2d": HANDS["right"],
}
#: Number of joints of a file that names none -> their names.
BY_COUNT: Final[dict[int, tuple[str, ...]]] = {
    17: JOINT_SETS["coco"].channels,
    18: ("nose", "neck", *_ARMS, *_LEGS, *_EYES_EARS),
    25: BODY_25,
    26: JOINT_SETS["halpe26"].channels,
    133: JOINT_SETS["wholebody"].channels,
    136: JOINT_SETS["halpe136"].channels,
}
#: What single words mean in a known joint set, and elsewhere: Halpe's neck is PoseTrack's head_bottom.
_IN_SETS: Final = {"head": "head_top", "neck": "head_bottom"}
_ELSEWHERE: Final = {"neck": "neck"}


def joints_of_count(count: int) -> tuple[str, ...]:
    """Names of so many joints. Raises ValueError for a number that no skeleton has."""
    if count not in BY_COUNT:
        known = ", ".join(map(str, BY_COUNT))
        raise ValueError(f"{count} joints are of no skeleton that dcpose knows (those with {known} joints)")
    return BY_COUNT[count]


def joints_of_names(names: Sequence[object]) -> tuple[str, ...]:
    """Our names of the joints that a file names: those of a joint set where they are one, known joints in our spelling,
    others as they stand, with a number where a name comes again. Raises ValueError for too many."""
    given = [str(name) for name in names]
    if len(given) > MOST_JOINTS:
        raise ValueError(f"{len(given)} joints, there can be {MOST_JOINTS}")
    for one in sets_with(len(given)):
        if all(_may_be(name, ours) for name, ours in zip(given, one.channels, strict=True)):
            return one.channels
    return distinct([_known(name) or _ELSEWHERE.get(name.lower()) or plain(name) for name in given])


def _may_be(name: str, ours: str) -> bool:
    """Whether a file may call a joint of a set so: points of faces and hands have many names."""
    meant = _known(name) or _IN_SETS.get(name.lower())
    return meant == ours or (meant is None and standard_name(ours) is None)


def _known(name: str) -> str | None:
    # Spellings are compared by their letters: a number tells points apart that have the same ones.
    return None if re.search("[0-9]", name) else standard_name(name)


def plain(name: str) -> str:
    """A name of a joint as results may hold it: letters, digits, _, - and . alone."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip("_.-")[:56] or "joint"


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The same names; one that comes again gets a number."""
    out: list[str] = []
    taken: set[str] = set()
    for name in names:
        one, number = name, 2
        while one in taken or (number > 2 and one in names):
            one, number = f"{name}_{number}", number + 1
        taken.add(one)
        out.append(one)
    return tuple(out)


def with_one_skeleton(frames: Sequence[FrameResult]) -> tuple[tuple[str, ...], list[FrameResult]]:
    """The joints that somebody in a file has, and the frames, in which everybody has these: the slots, then the further
    joints in the order of the file."""
    there: dict[tuple[str, ...], np.ndarray] = {}
    for frame in frames:
        for person in frame.people:
            if len(person.joints) > NUM_JOINTS:
                seen = there.setdefault(person.joints, np.zeros(len(person.joints), bool))
                seen |= present(person.keypoints)
    if not there:
        return JOINT_NAMES, list(frames)
    further = [name for names, seen in there.items() for name, one in zip(names, seen, strict=True) if one]
    order = {name: None for names in there for name in names}
    joints = result_joints(name for name in order if name in set(further))
    return joints, [
        replace(frame, people=tuple(_laid_out(person, joints) for person in frame.people)) for frame in frames
    ]


def _laid_out(person: Person, joints: tuple[str, ...]) -> Person:
    if person.joints == joints:
        return person
    at = {name: place for place, name in enumerate(person.joints)}
    pairs = [(place, at[name]) for place, name in enumerate(joints) if name in at]
    keypoints = np.zeros((len(joints), 3), np.float32)
    keypoints[[place for place, _ in pairs]] = person.keypoints[[place for _, place in pairs]]
    return replace(person, keypoints=keypoints, joints=joints)
