"""COCO keypoint results: a list with one entry per person and frame, as `COCO.loadRes` of pycocotools takes it.

image_id     the id of the frame in the native PoseTrack18 JSON: 10^10 + (1 + i // 10000) * 10^4 + i % 10000
category_id  1
keypoints    17 x (x, y, confidence) in COCO's order: nose, left and right eye, ear, shoulder, elbow, wrist, hip, knee,
             ankle; 0, 0, 0 for a joint that was not predicted. The eyes are 0, 0, 0 where the model does not know them.
score        of the detector's box
bbox         x, y, width, height
foot_kpts, face_kpts, lefthand_kpts, righthand_kpts
             6, 68, 21 and 21 x (x, y, confidence) as COCO-WholeBody has them, where the model knows them
track_id, head_bottom, head_top
             ours; pycocotools ignores them. The head points are [x, y, confidence], left out when not predicted.

Frames without people are not in the file, nor are times: both are lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..results.coco import HEAD_JOINTS
from ..results.format import image_id
from ..results.reader import PoseTrackResult
from ..results.serialization import write_list, written
from ..skeleton.sets import COCO_NAMES, WHOLEBODY_LISTS
from .format import Format, one_file


def write_coco(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path`."""
    with path.open("wb") as out:
        write_list(out, _entries(result))
        out.write(b"\n")


def _entries(result: PoseTrackResult) -> Iterator[dict[str, Any]]:
    for frame in result.frames:
        for person in frame.people:
            numbers = written(person)
            at = dict(zip(person.joints, numbers.joints, strict=True))
            entry = {
                "image_id": image_id(frame.index),
                "category_id": 1,
                "keypoints": _triples(COCO_NAMES, at),
                "score": numbers.score,
                "bbox": numbers.bbox,
                "track_id": numbers.track_id,
            }
            parts = {key: _triples(names, at) for key, names in WHOLEBODY_LISTS.items() if {*names} <= at.keys()}
            yield entry | parts | {name: list(joint) for name in HEAD_JOINTS if (joint := at[name])}


def _triples(names: Sequence[str], at: Mapping[str, tuple[float, float, float] | None]) -> list[float]:
    return [value for name in names for value in at.get(name) or (0, 0, 0)]


FORMAT = Format("COCO keypoint results", ".json", one_file(write_coco))
