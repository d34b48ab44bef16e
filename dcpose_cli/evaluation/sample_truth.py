"""The true joints of the sample clips: reading them, and turning them into PoseTrack18 ground truth.

The truth files have the image corner at (0, 0); here, as everywhere in dcpose, (0, 0) is the centre of the first pixel,
so half a pixel is taken off on reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..results.posetrack import CATEGORY, annotation_id, image_entry
from .label_files import keypoints_in_slots, read_label_file

_HALF_PIXEL: Final = 0.5
_HEAD_SHARE: Final = 0.6  # head size = this share of the head box's diagonal


@dataclass(frozen=True, slots=True, eq=False)
class TruePerson:
    """One rendered person in one frame.

    keypoints: (17, 3) float64: x, y in pixels, visibility (0 outside the image or no such slot, 1 hidden, 2 visible).
    bbox: (4,) xywh, clipped to the image. head_box: (4,) xywh, None when the head is not in the image.
    """

    track_id: int
    keypoints: NDArray[np.float64]
    bbox: NDArray[np.float64]
    head_box: NDArray[np.float64] | None

    @property
    def head_size(self) -> float:
        """0.6 of the head box's diagonal in pixels; NaN without a head box."""
        if self.head_box is None:
            return float("nan")
        return float(_HEAD_SHARE * np.hypot(self.head_box[2], self.head_box[3]))


def is_sample_truth(data: Any) -> bool:
    """Whether parsed JSON looks like the truth of a sample clip."""
    return isinstance(data, dict) and {"joints", "frames"} <= data.keys() and "images" not in data


def read_truth(path: Path) -> list[list[TruePerson]]:
    """The people of every frame of a sample clip, in frame order. Raises InputError."""
    return read_label_file(Path(path), _frames, "not the truth of a sample clip")


def _frames(data: Any, slots: list[int]) -> list[list[TruePerson]]:
    frames = sorted(data["frames"], key=lambda frame: int(frame["frame"]))
    if [frame["frame"] for frame in frames] != list(range(len(frames))):
        raise ValueError("frames are not numbered from 0 without gaps")
    return [[_person(entry, slots) for entry in frame["persons"]] for frame in frames]


def _person(entry: Mapping[str, Any], slots: list[int]) -> TruePerson:
    keypoints = keypoints_in_slots(entry, slots)
    keypoints[:, :2] -= _HALF_PIXEL
    keypoints[keypoints[:, 2] <= 0] = 0
    head = entry.get("head_box")
    return TruePerson(int(entry["track_id"]), keypoints, _box(entry["bbox"]), None if head is None else _box(head))


def _box(values: Any) -> NDArray[np.float64]:
    box = np.asarray(values, np.float64).reshape(4)
    return box - (_HALF_PIXEL, _HALF_PIXEL, 0, 0)


def posetrack_ground_truth(frames: list[list[TruePerson]]) -> dict[str, Any]:
    """The same as PoseTrack18 ground truth, for AP: joints of visibility 1 and 2 are annotated.

    PoseTrack needs a head box per person: where the head is outside the image, the person's box is an ignore region.
    """
    images, annotations = [], []
    for index, people in enumerate(frames):
        image = image_entry(index, len(frames))
        ignored = [person for person in people if person.head_box is None]
        if ignored:
            image["ignore_regions_x"], image["ignore_regions_y"] = _regions(ignored)
        images.append(image)
        annotated = [person for person in people if person.head_box is not None]
        for number, person in enumerate(annotated):
            annotations.append(_annotation(person, image["id"], number))
    return {"images": images, "annotations": annotations, "categories": [CATEGORY]}


def _regions(people: list[TruePerson]) -> tuple[list[list[float]], list[list[float]]]:
    """Corners of the people's boxes: x lists and y lists."""
    corners = [(person.bbox.tolist(), person.bbox[:2].tolist()) for person in people]
    xs = [[x, x + width, x + width, x] for (_, _, width, _), (x, _) in corners]
    ys = [[y, y, y + height, y + height] for (_, _, _, height), (_, y) in corners]
    return xs, ys


def _annotation(person: TruePerson, image: int, number: int) -> dict[str, Any]:
    keypoints = person.keypoints.copy()
    keypoints[:, 2] = np.minimum(keypoints[:, 2], 1)
    head = person.head_box if person.head_box is not None else np.zeros(4)
    return {
        "image_id": image,
        "id": annotation_id(image, number),
        "track_id": person.track_id,
        "category_id": 1,
        "keypoints": keypoints.reshape(-1).round(3).tolist(),
        "scores": [],
        "bbox": person.bbox.round(3).tolist(),
        "bbox_head": head.round(3).tolist(),
    }
