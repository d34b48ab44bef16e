"""Checked values from files of other tools: numbers, people, and a header for files without one.

The functions raise KeyError, TypeError or ValueError; foreign.py makes one InputError of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np

from ..skeleton import JOINT_NAMES
from ..skeleton.sets import result_joints
from ..types import MOST_PEOPLE, FrameResult, Person
from .format import FORMAT_VERSION

_LARGEST: Final = 1e7  # far from every pixel; areas and sums of it are still numbers that a float32 holds
_INT64: Final = 2**63
#: A rate as somebody writes it; the time that Fraction takes for an exponent grows with its value.
_RATE: Final = re.compile(r"\s*\d{0,20}(\.\d{0,20})?(e[+-]?\d{1,2})?(/\d{1,20})?\s*", re.IGNORECASE)


def scalar(value: Any) -> float:
    """A finite number, alone or in a list of its own as PoseTrack17 writes it."""
    inner = value[0] if isinstance(value, list) else value
    if not isinstance(inner, int | float) or isinstance(inner, bool) or not abs(inner) < _LARGEST:
        raise ValueError(f"{inner!r:.40} is not a number")
    return float(inner)


def whole(value: Any) -> int:
    """A whole number, alone or in a list of its own."""
    number = value[0] if isinstance(value, list) else value
    if not isinstance(number, int) or isinstance(number, bool) or not -_INT64 <= number < _INT64:
        raise ValueError(f"{number!r:.40} is not a whole number")
    return number


def require_crowds(people: Iterable[Sequence[object]]) -> None:
    """Raise ValueError for a frame with more people than any picture shows. people: of every frame."""
    for position, persons in enumerate(people):
        if len(persons) > MOST_PEOPLE:
            raise ValueError(f"frame {position} of the file has {len(persons)} people, {MOST_PEOPLE:,} are the most")


def require_order(frames: Sequence[FrameResult]) -> None:
    """Raise ValueError unless numbers and times of the frames ascend: speeds and smoothing rely on it."""
    for before, frame in pairwise(frames):
        if frame.index <= before.index:
            raise ValueError("its frames are not in ascending order")
        if frame.pts <= before.pts:
            raise ValueError(
                f"the time of frame {frame.index} ({frame.time:.6g} s) is not later than that of frame "
                f"{before.index} ({before.time:.6g} s)"
            )


def sequence_of(value: Any) -> Sequence[Any]:
    """A list; files that came from Matlab have a lone entry without one."""
    return value if isinstance(value, list) else [value]


def raw_person(
    joints: Mapping[str, tuple[float, float, float]],
    track_id: Any,
    score: float,
    bbox: Any,
    skeleton: tuple[str, ...] = JOINT_NAMES,
) -> Person:
    """joints: x, y, confidence by name, each in `skeleton` or a slot. bbox: xywh, or None for the smallest box around
    the joints. skeleton: names of all joints that the file may have, in its order."""
    names, at = _places(skeleton)
    keypoints = np.zeros((len(names), 3), np.float32)
    for name, joint in joints.items():
        keypoints[at[name]] = joint
    if bbox is None:
        places = keypoints[[at[name] for name in joints], :2]
        low, high = places.min(axis=0), places.max(axis=0)
        box = np.concatenate([low, high - low])
    else:
        if len(bbox) != 4:
            raise ValueError(f"a bbox has {len(bbox)} numbers")
        box = np.array([scalar(value) for value in bbox], np.float32)
    return Person(whole(track_id), box, score, keypoints, joints=names)


@lru_cache(maxsize=64)
def _places(skeleton: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Names of the joints of a person with this skeleton, and where each stands."""
    names = result_joints(skeleton)
    return names, {name: place for place, name in enumerate(names)}


def foreign_header(pts: Sequence[int], people: int, fps: Fraction) -> dict[str, Any]:
    """The header of a result read from another tool's file. pts: in ticks of 1 / fps."""
    return {
        "format": FORMAT_VERSION,
        "frames": len(pts),
        "people": people,
        "damaged_frames": [],
        "pts": list(pts),
        "fps": f"{fps.numerator}/{fps.denominator}",
        "time_base": f"{fps.denominator}/{fps.numerator}",
    }


def numbered_frames(indexes: Sequence[int], people: Sequence[Sequence[Person]], fps: Fraction) -> list[FrameResult]:
    """Frames whose time is their number over the frame rate."""
    return [
        FrameResult(index, index, float(index / fps), tuple(persons))
        for index, persons in zip(indexes, people, strict=True)
    ]


def frame_rate(text: str | float | Fraction) -> Fraction:
    """A frame rate from "25", "29.97" or "30000/1001". Raises ValueError."""
    if not isinstance(text, Fraction | int) and not _RATE.fullmatch(str(text)):
        raise ValueError(f"{text!r:.40} is no frame rate")
    rate = Fraction(text) if not isinstance(text, float) else Fraction(str(text))
    if not 0 < rate <= 100_000 or not math.isfinite(float(rate)):
        raise ValueError(f"{text} is no frame rate")
    return rate.limit_denominator(1_000_000)
