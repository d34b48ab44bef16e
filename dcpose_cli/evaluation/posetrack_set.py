"""AP of a model on a PoseTrack set: every annotated video is predicted and compared with its annotation file.

The boxes are those of the annotations, or of a box file as the published evaluation takes them (SPEC 7.2). Results are
written per video in the style of the published evaluation (SPEC 7.3).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..datasets import LabelledVideo, read_posetrack_video
from ..datasets.labels import parse
from ..files import write_atomic
from ..pictures import PictureFile
from ..skeleton import EVAL_SLOTS
from .heldout import Estimator
from .poseval import ApResult, evaluate_ap

#: Boxes of less confidence are not looked at.
BOX_SCORE: Final = 0.2
#: Boxes (N, 5) by picture name: xywh in pixels and confidence.
Boxes = Mapping[str, NDArray[np.float32]]


def evaluate_set(
    estimator: Estimator,
    truth: Path,
    images: Path,
    out: Path,
    *,
    boxes: Path | None = None,
    progress: Callable[[str], None] = lambda video: None,
) -> ApResult:
    """AP over the annotation files `truth` (one, or a folder of them; PoseTrack17 or 18 style).

    images: folder of the pictures. out: folder for one result file per video; it is made, files in it are replaced.
    boxes: a box file; without it people are where the annotations have them. Raises InputError or OutputError.
    """
    files = sorted(truth.glob("*.json")) if truth.is_dir() else [truth]
    given = None if boxes is None else read_boxes(boxes)
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        progress(file.stem)
        video = read_posetrack_video(file, images)
        result = predict_video(estimator, video, true_boxes(video) if given is None else given)
        write_atomic(out / file.name, json.dumps(result), overwrite=True)
    return evaluate_ap(truth, out if truth.is_dir() else out / truth.name)


def read_boxes(path: Path) -> dict[str, NDArray[np.float32]]:
    """The people of a box file, by picture. Raises InputError."""

    def build(data: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float32]]:
        rows: dict[str, list[list[float]]] = {}
        for entry in data:
            if int(entry["category_id"]) == 1 and float(entry["score"]) >= BOX_SCORE:
                row = [*map(float, entry["bbox"]), float(entry["score"])]
                rows.setdefault(str(entry["image_name"]), []).append(row)
        return {name: np.array(found, np.float32).reshape(-1, 5) for name, found in rows.items()}

    return parse(path, "a box file", build)


def true_boxes(video: LabelledVideo) -> dict[str, NDArray[np.float32]]:
    """The annotated people's boxes, with confidence 1."""
    return {
        frame.name: np.array([[*person.box, 1.0] for person in frame.people], np.float32).reshape(-1, 5)
        for frame in video.frames
    }


def predict_video(estimator: Estimator, video: LabelledVideo, boxes: Boxes) -> dict[str, Any]:
    """Every frame of a video, people or not, as an annolist."""
    frames, last = video.frames, len(video.frames) - 1
    held: dict[int, NDArray[np.uint8]] = {}
    annolist = []
    for number, frame in enumerate(frames):
        rows = boxes.get(frame.name, np.zeros((0, 5), np.float32))
        people = []
        if len(rows):
            around = (max(number - 1, 0), number, min(number + 1, last))
            held = {k: held[k] if k in held else PictureFile(frames[k].picture).decode() for k in around}
            poses = estimator.poses(held[around[0]], held[number], held[around[2]], rows[:, :4], margin=(1, 1))
            people = [_person(pose, float(row[4]), k) for k, (pose, row) in enumerate(zip(poses, rows, strict=True))]
        annolist.append({"image": {"name": frame.name}, "imgnum": [number], "annorect": people or [_NOBODY]})
    return {"annolist": annolist}


#: What the published evaluation writes for a frame without people.
_NOBODY: Final = {
    "annopoints": [{"point": [{"id": [0], "x": [0.0], "y": [0.0], "score": [-100.0]}]}],
    "score": [0.0],
    "track_id": [0],
}


def _person(pose: NDArray[np.float32], score: float, number: int) -> dict[str, Any]:
    points = [
        {"id": [k], "x": [float(pose[s, 0])], "y": [float(pose[s, 1])], "score": [float(pose[s, 2]) * score]}
        for k, s in enumerate(EVAL_SLOTS)
    ]
    return {"annopoints": [{"point": points}], "score": [score], "track_id": [number]}
