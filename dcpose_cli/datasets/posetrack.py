"""PoseTrack's own annotation files, one per video: PoseTrack18/21 JSON and PoseTrack17 annolists (SPEC 7.3, 7.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..skeleton import EVAL_SLOTS, NUM_JOINTS
from .labels import (
    LabelledFrame,
    LabelledPerson,
    LabelledVideo,
    box_of_joints,
    clip_box,
    joints_from,
    parse,
    picture_of,
    slots_of,
)


def read_posetrack18(path: Path, images: Path) -> list[LabelledVideo]:
    """The videos of a PoseTrack18 or PoseTrack21 file, or of a folder of them. Raises InputError."""
    return _each(path, lambda file: parse(file, "a PoseTrack18 file", lambda data: _video18(data, file.stem, images)))


def read_posetrack17(path: Path, images: Path) -> list[LabelledVideo]:
    """The videos of a PoseTrack17 annolist JSON, or of a folder of them. Raises InputError."""
    return _each(path, lambda file: parse(file, "a PoseTrack17 file", lambda data: _video17(data, file.stem, images)))


def read_posetrack_video(path: Path, images: Path) -> LabelledVideo:
    """One video, in whichever of the two styles its file is. Raises InputError."""

    def build(data: Mapping[str, Any]) -> LabelledVideo:
        return _video17(data, path.stem, images) if "annolist" in data else _video18(data, path.stem, images)

    return parse(path, "a PoseTrack annotation file", build)


def _each(path: Path, read: Callable[[Path], LabelledVideo]) -> list[LabelledVideo]:
    if not path.is_dir():
        return [read(path)]
    files = sorted(path.glob("*.json"))
    if not files:
        raise InputError("holds no .json file", path=path, hint="check [data] in the recipe")
    return [read(file) for file in files]


def _video18(data: Mapping[str, Any], name: str, images: Path) -> LabelledVideo:
    slots = slots_of(data["categories"][0]["keypoints"])
    people: dict[int, list[LabelledPerson]] = {}
    for entry in data.get("annotations", ()):
        keypoints = entry.get("keypoints") or ()
        person = _person(joints_from(keypoints, slots), entry.get("bbox"), entry.get("track_id")) if keypoints else None
        if person is not None:
            people.setdefault(entry["image_id"], []).append(person)
    frames = [
        LabelledFrame(picture_of(images, image["file_name"]), image["file_name"], tuple(people.get(image["id"], ())))
        for image in data["images"]
    ]
    return LabelledVideo(name, tuple(frames))


def _video17(data: Mapping[str, Any], name: str, images: Path) -> LabelledVideo:
    frames = []
    for frame in data["annolist"]:
        picture = frame["image"][0] if isinstance(frame["image"], list) else frame["image"]
        people = [_person17(rect) for rect in frame.get("annorect") or ()]
        frames.append(
            LabelledFrame(
                picture_of(images, picture["name"]), picture["name"], tuple(p for p in people if p is not None)
            )
        )
    return LabelledVideo(name, tuple(frames))


def _person17(rect: Mapping[str, Any]) -> LabelledPerson | None:
    """The annolist has no boxes of people, only of heads: the box is that of the joints."""
    joints = np.zeros((NUM_JOINTS, 3), np.float32)
    groups = rect.get("annopoints") or []
    for point in groups[0]["point"] if groups else ():
        joints[EVAL_SLOTS[int(_scalar(point["id"]))]] = _scalar(point["x"]), _scalar(point["y"]), 1
    return _person(joints, None, rect.get("track_id"))


def _person(joints: np.ndarray, box: Any, track: Any) -> LabelledPerson | None:
    if not joints[:, 2].any():
        return None
    drawn = box is not None and len(box) == 4 and box[2] > 0 and box[3] > 0
    clipped = clip_box(box if drawn else box_of_joints(joints), None)
    if clipped is None:
        return None
    return LabelledPerson(joints, clipped, None if track is None else int(_scalar(track)))


def _scalar(value: Any) -> float:
    """PoseTrack17 wraps every number in a list."""
    return float(value[0] if isinstance(value, list) else value)
