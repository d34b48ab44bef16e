"""PoseTrack21 JSON: PoseTrack18 with `person_id` beside every `track_id` and `has_labeled_person` in every image.

person_id is the track's id: who the person is beyond the clip is not known. The `dcpose` header is kept, so that
`read_posetrack` reads the file back; other readers ignore it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..results.format import FRAMES_PER_SEQUENCE, category_of, image_entry, image_id
from ..results.reader import PoseTrackResult
from ..results.serialization import write_lists
from ..results.writer import annotation
from .format import Format, one_file


def write_posetrack21(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path`."""
    lists = {"images": _images(result), "annotations": _annotations(result), "categories": [category_of(result.joints)]}
    with path.open("wb") as out:
        write_lists(out, lists, {"dcpose": dict(result.header)})


def _images(result: PoseTrackResult) -> Iterator[dict[str, Any]]:
    counts = Counter(frame.index // FRAMES_PER_SEQUENCE for frame in result.frames)
    for frame in result.frames:
        entry = image_entry(frame.index, counts[frame.index // FRAMES_PER_SEQUENCE])
        yield entry | {"has_labeled_person": bool(frame.people)}


def _annotations(result: PoseTrackResult) -> Iterator[dict[str, Any]]:
    for frame in result.frames:
        for number, person in enumerate(frame.people):
            yield annotation(person, image_id(frame.index), number) | {"person_id": int(person.track_id)}


FORMAT = Format("PoseTrack21 JSON", ".json", one_file(write_posetrack21, FRAMES_PER_SEQUENCE))
