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

from pathlib import Path
from typing import Any

from ..results.annolist import FRAMES_PER_SEQUENCE
from ..results.reader import PoseTrackResult
from ..results.serialization import write_lists, written
from ..skeleton import EVAL_SLOTS
from ..types import FrameResult, Person
from .format import Format, one_file


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


FORMAT = Format("PoseTrack17 annolist", ".json", one_file(write_annolist, FRAMES_PER_SEQUENCE), slots=True)
