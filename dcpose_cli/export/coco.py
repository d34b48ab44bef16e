"""COCO keypoint results: a list with one entry per person and frame, as `COCO.loadRes` of pycocotools takes it.

image_id     the id of the frame in the native PoseTrack18 JSON: 10^10 + (1 + i // 10000) * 10^4 + i % 10000
category_id  1
keypoints    17 x (x, y, confidence) in COCO's order: nose, left and right eye, ear, shoulder, elbow, wrist, hip, knee,
             ankle; 0, 0, 0 for a joint that was not predicted. The eyes are 0, 0, 0 where the model does not know them.
score        of the detector's box
bbox         x, y, width, height
track_id, head_bottom, head_top
             ours; pycocotools ignores them. The head points are [x, y, confidence], left out when not predicted.

Frames without people are not in the file, nor are times: both are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..results.coco import HEAD_SLOTS
from ..results.format import image_id
from ..results.reader import PoseTrackResult
from ..results.serialization import write_list, written
from ..skeleton import NUM_JOINTS
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
            slots, eyes = numbers.joints[:NUM_JOINTS], numbers.joints[NUM_JOINTS:] or [None, None]
            keypoints: list[float] = []
            for joint in (slots[0], *eyes, *slots[3:]):
                keypoints += joint or (0, 0, 0)
            entry = {
                "image_id": image_id(frame.index),
                "category_id": 1,
                "keypoints": keypoints,
                "score": numbers.score,
                "bbox": numbers.bbox,
                "track_id": numbers.track_id,
            }
            yield entry | {name: list(joint) for name, slot in HEAD_SLOTS.items() if (joint := numbers.joints[slot])}


FORMAT = Format("COCO keypoint results", ".json", one_file(write_coco), eyes=True)
