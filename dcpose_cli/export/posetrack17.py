"""The PoseTrack17 annolist (SPEC 7.3): 15 joints per person, every number in a list of its own.

    {"annolist": [frame...], "dcpose": {...}}

frame   `image` {"name"}: images/val/<sequence>_mpii_dcpose/<frame>.jpg, 8 digits from 1; `imgnum` [that number];
        `annorect`: one entry per person. Frames past 9,999 go to the next sequence, since a frame number has 4 digits.
person  `annopoints` [{"point": [...]}], `score` [of the box], `track_id` [id], `bbox` [x, y, width, height] (ours;
        PoseTrack17 has none, its x1 y1 x2 y2 are the head's).
point   `id` [0..14, the order of skeleton.EVAL_SLOTS], `x`, `y` [pixels], `score` [confidence]. A joint that was not
        predicted has no point. The two ear slots have no place here.
dcpose  the header of the native result: with it, times and frame numbers come back on reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..results.numbers import write_lists, written
from ..results.raw import raw_person, scalar, sequence_of
from ..results.reader import PoseTrackResult
from ..skeleton import EVAL_SLOTS
from ..types import FrameResult, Person

#: Frames 1..9999 of a sequence.
FRAMES_PER_SEQUENCE: Final = 9_999
_NAME: Final = re.compile(r"images/[^/]+/(\d{6,12})_mpii_dcpose/(\d{8})\.jpg")


def write_annolist(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path`."""
    with path.open("wb") as out:
        write_lists(out, {"annolist": map(_frame, result.frames)}, {"dcpose": dict(result.header)})


def _frame(result: FrameResult) -> dict[str, Any]:
    sequence, number = divmod(result.index, FRAMES_PER_SEQUENCE)
    name = f"images/val/{sequence + 1:06d}_mpii_dcpose/{number + 1:08d}.jpg"
    people = [_rect(person) for person in result.people]
    return {"image": {"name": name}, "imgnum": [number + 1], "annorect": people}


def _rect(person: Person) -> dict[str, Any]:
    numbers = written(person)
    points = [
        point17(joint, *place) for joint, slot in enumerate(EVAL_SLOTS) if (place := numbers.joints[slot]) is not None
    ]
    return person17(points, numbers.score, numbers.track_id) | {"bbox": numbers.bbox}


def point17(joint: int, x: float, y: float, score: float) -> dict[str, list[float]]:
    """One point of a person; joint: 0..14 in the order of skeleton.EVAL_SLOTS."""
    return {"id": [joint], "x": [x], "y": [y], "score": [score]}


def person17(points: list[dict[str, list[float]]], score: float, track_id: int) -> dict[str, Any]:
    """One entry of `annorect`."""
    return {"annopoints": [{"point": points}], "score": [score], "track_id": [track_id]}


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
        joints: dict[int, tuple[float, float, float]] = {}
        annopoints = rect.get("annopoints") or []
        for point in sequence_of(annopoints[0]["point"]) if annopoints else []:
            slot = EVAL_SLOTS[_joint(point)]
            joints[slot] = scalar(point["x"]), scalar(point["y"]), scalar(point["score"]) if "score" in point else 1.0
        dummy = len(joints) == 1 and next(iter(joints.values()))[2] == DUMMY_SCORE
        if joints and not dummy:
            score = scalar(rect["score"]) if "score" in rect else 1.0
            yield raw_person(joints, rect.get("track_id", number), score, rect.get("bbox"))


def _joint(point: Mapping[str, Any]) -> int:
    joint = scalar(point["id"])
    if joint not in range(len(EVAL_SLOTS)):
        raise ValueError(f"a point has the id {joint}")
    return int(joint)


#: Score of the one point that the published tools write into a frame without people.
DUMMY_SCORE: Final = -100.0
