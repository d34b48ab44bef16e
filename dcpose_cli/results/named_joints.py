"""Columns of joints by the names of other tools."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..datasets.labels import slots_of
from ..skeleton import JOINT_NAMES
from ..types import FrameResult, Person
from .reader import PoseTrackResult
from .skeletons import distinct, joints_of_names
from .validation import foreign_header, numbered_frames, raw_person

#: Joints of other skeletons that that have no slot: the middles of shoulders and hips, feet, hands, a face.
_NONE_OF_OURS: Final = re.compile(
    r"(left|right|l|r)?(bigtoe|smalltoe|toe|heel|foot|hand|thumb|index|pinky)(left|right|l|r)?"
    r"|neck|hips?|mid(dle)?hips?|pelvis|root|thorax|chest|spine|sternum|chin|forehead"
)
#: Names that mean a joint of ours in these files alone.
_ALSO: Final = {"head": "head_top"}
_TICKS_PER_SECOND: Final = 1_000_000
_LARGEST: Final = 1e7


def joints_by_name(names: Sequence[str]) -> tuple[str, ...]:
    """Our names of the joints, all different: the slots' where they are such. A table may have one side of a body, the
    one that the camera sees. Raises ValueError as datasets.labels.slots_of."""
    letters = [re.sub(r"[^a-z]", "", name.lower()) for name in names]
    ours = [place for place, word in enumerate(letters) if not _NONE_OF_OURS.fullmatch(word)]
    known = slots_of([_ALSO.get(letters[place], names[place]) for place in ours], both_sides=False)
    slots = {place: JOINT_NAMES[slot] for place, slot in zip(ours, known, strict=True) if slot is not None}
    further = iter(joints_of_names([name for place, name in enumerate(names) if place not in slots]))
    return distinct([slots[place] if place in slots else next(further) for place in range(len(names))])


def person_of(points: NDArray[np.float64], names: tuple[str, ...], track: int) -> Person | None:
    """points: (J, 3) x, y, confidence of the joints `names`; NaN where one is missing. None where all are. Raises
    ValueError."""
    joints = {
        name: (float(x), float(y), float(score))
        for name, (x, y, score) in zip(names, points, strict=True)
        if not (np.isnan(x) or np.isnan(y) or np.isnan(score))
    }
    if not joints:
        return None
    if not all(abs(value) < _LARGEST for joint in joints.values() for value in joint):
        raise ValueError("a joint is out of range")
    return raw_person(joints, track, 1.0, None, names)


def without_times(people: Mapping[int, list[Person]], fps: Fraction) -> PoseTrackResult:
    """A result whose times are the frames' numbers over the rate."""
    indexes = sorted(people)
    header = foreign_header(indexes, sum(map(len, people.values())), fps)
    return PoseTrackResult(header, numbered_frames(indexes, [people[i] for i in indexes], fps), assumed_fps=True)


def with_times(rows: Sequence[tuple[int, float, list[Person]]], fps: Fraction) -> PoseTrackResult:
    """rows: number of a frame, its time in seconds, its people. fps: that the file says."""
    ticks = [round(time * _TICKS_PER_SECOND) for _, time, _ in rows]
    header: dict[str, Any] = foreign_header(ticks, sum(len(people) for _, _, people in rows), fps)
    header["time_base"] = f"1/{_TICKS_PER_SECOND}"
    frames = [
        FrameResult(index, tick, tick / _TICKS_PER_SECOND, tuple(people))
        for (index, _, people), tick in zip(rows, ticks, strict=True)
    ]
    return PoseTrackResult(header, frames)
