"""Prediction files of a data set, PoseTrack17 or PoseTrack18 style, as the published evaluation writes them (SPEC 7.3).

A joint's score is its confidence times the score of the box. Ears are left out: PoseTrack does not annotate them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..export.posetrack17 import person17, point17
from ..results.annolist import DUMMY_SCORE
from ..results.format import CATEGORY, annotation_id
from ..skeleton import EAR_SLOTS, EVAL_SLOTS, NUM_JOINTS
from .videos import FrameVideo, VideoFrame

#: PoseTrack18's types of videos, longest name first.
_TYPES: Final = {"mpiinew": 3, "mpii": 1, "bonn": 2}
_FOLDER: Final = re.compile(rf"(\d{{1,6}})_({'|'.join(_TYPES)})(?:_.*)?")
_FRAMES: Final = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class FramePeople:
    """People predicted in one frame. boxes: (N, 4) xywh, scores: (N,), keypoints: (N, 17, 3) x, y, confidence."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float64]
    keypoints: NDArray[np.float32]


#: People by the position of their frame in the video; frames without people are missing.
People = dict[int, FramePeople]


def style17(video: FrameVideo, people: People, slots: Sequence[int]) -> dict[str, Any]:
    """The annolist of a video. slots: those the model predicts; the others get no points."""
    joints = [(joint, slot) for joint, slot in enumerate(EVAL_SLOTS) if slot in slots]
    annolist = []
    for position, frame in enumerate(video.frames):
        rects = _rects(people[position], joints) if position in people else []
        annolist.append({"image": {"name": frame.name}, "imgnum": [frame.number], "annorect": rects or [_dummy()]})
    return {"annolist": annolist}


def _rects(people: FramePeople, joints: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    rects = []
    for number, (keypoints, box_score) in enumerate(zip(people.keypoints, people.scores.tolist(), strict=True)):
        points = []
        for joint, slot in joints:
            x, y, value = (float(number) for number in keypoints[slot])
            points.append(point17(joint, x, y, value * box_score))
        rects.append(person17(points, box_score, number))
    return rects


def _dummy() -> dict[str, Any]:
    """The entry of a frame without people: it does not change AP, and some readers fail on an empty list."""
    return person17([point17(0, 0, 0, DUMMY_SCORE)], 0, 0)


def style18(video: FrameVideo, people: People, slots: Sequence[int]) -> dict[str, Any]:
    """PoseTrack18 JSON of a video; arguments as in `style17`."""
    images, annotations = [], []
    visible = np.array([slot in slots and slot not in EAR_SLOTS for slot in range(NUM_JOINTS)])
    for position, frame in enumerate(video.frames):
        identity = frame.image_id if frame.image_id is not None else image_id(video.folder, frame)
        images.append(
            {
                "file_name": frame.name,
                "id": identity,
                "frame_id": identity,
                "vid_id": video.folder.partition("_")[0],
                "nframes": len(video.frames),
                "is_labeled": True,
                "has_no_densepose": True,
            }
        )
        if position in people:
            annotations += _annotations(people[position], identity, visible)
    return {"images": images, "annotations": annotations, "categories": [CATEGORY]}


def _annotations(people: FramePeople, image: int, visible: NDArray[np.bool_]) -> list[dict[str, Any]]:
    entries = []
    for number, (box, score, joints) in enumerate(
        zip(people.boxes.tolist(), people.scores.tolist(), people.keypoints.astype(np.float64), strict=True)
    ):
        keypoints = np.column_stack([joints[:, :2], np.ones(NUM_JOINTS)]) * visible[:, None]
        entries.append(
            {
                "image_id": image,
                "id": annotation_id(image, number),
                "track_id": number,
                "category_id": 1,
                "keypoints": keypoints.reshape(-1).tolist(),
                "scores": (joints[:, 2] * score * visible).tolist(),
                "bbox": box,
                "score": score,
            }
        )
    return entries


def image_id(folder: str, frame: VideoFrame) -> int:
    """PoseTrack18's id of a frame, by the name of its folder: type, sequence, frame. Other names count as type 1,
    sequence 0."""
    found = _FOLDER.fullmatch(folder)
    kind, sequence = (_TYPES[found[2]], int(found[1])) if found else (1, 0)
    return kind * 10**10 + sequence * _FRAMES + frame.number


#: Formats a data set can be written in.
STYLES: Final[dict[str, Callable[[FrameVideo, People, Sequence[int]], dict[str, Any]]]] = {
    "posetrack17": style17,
    "posetrack18": style18,
}
