"""JSON lines: one object per frame and line, for programs that read along.

    {"frame": 0, "time": 0.0, "people": [{"track_id": 0, "score": 0.91, "bbox": [x, y, width, height],
     "joints": {"nose": [x, y, confidence], ...}}]}

frame is the number in the video, time in seconds; coordinates are in pixels. A joint that was not found is left out.
`"interpolated": true` stands with people who were not detected in the frame. Frames without people have an empty list.
"""

from __future__ import annotations

from pathlib import Path

from ..results.reader import PoseTrackResult
from ..results.serialization import compact_json, written
from ..types import FrameResult, Person
from .format import Format, one_file


def line_of(frame: FrameResult) -> str:
    """The line of a frame, without its end."""
    return compact_json(
        {"frame": frame.index, "time": round(frame.time, 6), "people": [_person(person) for person in frame.people]}
    )


def write_jsonl(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path`."""
    with path.open("w", encoding="ascii", newline="\n") as out:
        for frame in result.frames:
            out.write(line_of(frame) + "\n")


def _person(person: Person) -> dict[str, object]:
    numbers = written(person)
    joints = {name: joint for name, joint in zip(person.joints, numbers.joints, strict=True) if joint is not None}
    entry = {"track_id": numbers.track_id, "score": numbers.score, "bbox": numbers.bbox, "joints": joints}
    return entry | ({"interpolated": True} if person.interpolated else {})


FORMAT = Format("JSON lines, one per frame", ".jsonl", one_file(write_jsonl))
