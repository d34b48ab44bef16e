"""Reading a PoseTrack17 annolist, ours or another tool's (export/posetrack17.py documents the format)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..skeleton import EVAL_SLOTS, JOINT_NAMES
from ..types import Person
from .validation import raw_person, scalar, sequence_of

#: Frames 1..9999 of a sequence.
FRAMES_PER_SEQUENCE: Final = 9_999
_NAME: Final = re.compile(r"images/[^/]+/(\d{6,12})_mpii_dcpose/(\d{8})\.jpg")
#: Score of the one point that the published tools write into a frame without people.
DUMMY_SCORE: Final = -100.0


def frames_of_annolist(data: Mapping[str, Any]) -> tuple[list[int], list[list[Person]]]:
    """The numbers of the frames and their people; raises KeyError, TypeError, ValueError for what is no annolist.

    Files of others are numbered in list order. Joints without a score get 1, and so do people.
    """
    frames: Sequence[Mapping[str, Any]] = data["annolist"]
    own = [_NAME.fullmatch(_name(frame)) for frame in frames]
    if frames and all(own):
        indexes = [(int(m[1]) - 1) * FRAMES_PER_SEQUENCE + int(m[2]) - 1 for m in own if m]
    else:
        indexes = list(range(len(frames)))
    return indexes, [list(_people(frame.get("annorect") or [])) for frame in frames]


def _name(frame: Mapping[str, Any]) -> str:
    return str(frame["image"]["name"] if isinstance(frame["image"], dict) else frame["image"][0]["name"])


def _people(rects: Sequence[Mapping[str, Any]]) -> Iterator[Person]:
    for number, rect in enumerate(rects):
        joints: dict[str, tuple[float, float, float]] = {}
        annopoints = rect.get("annopoints") or []
        for point in sequence_of(annopoints[0]["point"]) if annopoints else []:
            name = JOINT_NAMES[EVAL_SLOTS[_joint(point)]]
            joints[name] = scalar(point["x"]), scalar(point["y"]), scalar(point["score"]) if "score" in point else 1.0
        dummy = len(joints) == 1 and next(iter(joints.values()))[2] == DUMMY_SCORE
        if joints and not dummy:
            score = scalar(rect["score"]) if "score" in rect else 1.0
            yield raw_person(joints, rect.get("track_id", number), score, rect.get("bbox"))


def _joint(point: Mapping[str, Any]) -> int:
    joint = scalar(point["id"])
    if joint not in range(len(EVAL_SLOTS)):
        raise ValueError(f"a point has the id {joint}")
    return int(joint)
