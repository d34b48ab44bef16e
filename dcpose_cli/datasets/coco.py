"""COCO keypoints, and the COCO-style lists of PoseTrack frames (SPEC 7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from ..skeleton import JOINT_NAMES, standard_name
from ..skeleton.sets import WHOLEBODY_LISTS
from .labels import (
    COCO_NAMES,
    LabelledFrame,
    LabelledPerson,
    LabelledVideo,
    box_of_joints,
    clip_box,
    joints_from,
    listed_picture,
    parse,
    picture_id,
    picture_of,
    require_pixels,
    slots_of,
)
from .turned import upright

#: Digits of a PoseTrack18 frame's name, which count from 0; PoseTrack17's have eight and count from 1.
_DIGITS_18: Final = 6
_MOST_DIGITS: Final = 18
#: Frames of one video in a list; those of PoseTrack have a few hundred.
_MOST_FRAMES: Final = 100_000
#: Frames of all videos of a list: those without labels are only claimed.
_MOST_FRAMES_IN_ALL: Final = 1_000_000
_DEFAULT_CATEGORY: Final = 1
_PEOPLE: Final = frozenset({"person", "persons", "people", "human", "humans", "pedestrian"})
#: Pixels by which a box that was made from the joints may differ from their extent: such boxes are rounded.
_ROUNDING: Final = 0.02


def read_coco(path: Path, images: Path) -> list[LabelledVideo]:
    """One video of one frame per picture of a COCO keypoints file that shows people with joints.

    Joints go by the names of the category that the annotations use, in any common spelling; without names they are
    COCO's. Of several categories with joints, those called person (human, people, ...) count. Eyes have no slot; neck
    and crown, which COCO lacks, stay unlabelled. Crowds are left out. A box that is exactly the extent of the joints,
    as CVAT exports it, was not drawn: it gets the border of a missing box (labels.BOX_BORDER). Places are those of the
    upright picture, also where EXIF data turn it (turned.py). Raises InputError.
    """

    def build(data: Mapping[str, Any]) -> list[LabelledVideo]:
        found = people_by_picture(data, drawn_boxes=False)
        shown = ((image, found.get(picture_id(image["id"]))) for image in data["images"])
        frames = [_frame(image, people, images) for image, people in shown if people]
        return [LabelledVideo(frame.name, (frame,)) for frame in frames]

    return parse(path, "a COCO keypoints file", build)


def _frame(image: Mapping[str, Any], people: list[LabelledPerson], images: Path) -> LabelledFrame:
    picture = picture_of(images, image["file_name"])
    return LabelledFrame(picture, image["file_name"], tuple(upright(people, picture, _size(image))))


def read_lists(path: Path, images: Path) -> list[LabelledVideo]:
    """The videos of a COCO-style list of PoseTrack frames (`posetrack_train.json`), 17 joints in our order.

    The list names the labelled frames; `nframes` and the numbering of the file names say which others exist.
    Raises InputError.
    """

    def build(data: Mapping[str, Any]) -> list[LabelledVideo]:
        found = people_by_picture(data, JOINT_NAMES)
        videos: dict[PurePosixPath, list[Mapping[str, Any]]] = {}
        for image in data["images"]:
            videos.setdefault(PurePosixPath(image["file_name"]).parent, []).append(image)
        claimed = sum(_frames_of(listed) for listed in videos.values())
        if claimed > _MOST_FRAMES_IN_ALL:
            raise ValueError(f"its videos have {claimed:,} frames by nframes, {_MOST_FRAMES_IN_ALL:,} are the most")
        return [_video(folder, listed, found, images) for folder, listed in videos.items()]

    return parse(path, "a COCO-style list of PoseTrack frames", build)


def _slots_by_category(data: Mapping[str, Any], default: Sequence[str]) -> dict[int, list[int | None]]:
    """Slots of the keypoints of every category that counts. Raises ValueError where it is not clear which those are."""
    listed = {int(c["id"]): c for c in data.get("categories", ()) if "id" in c}
    entries = [e for e in data["annotations"] if any(value > 0 for value in e.get("keypoints") or ())]
    used = sorted({int(entry.get("category_id", _DEFAULT_CATEGORY)) for entry in entries})
    people = [n for n in used if (_is_person(listed[n]) if n in listed else not listed and n == _DEFAULT_CATEGORY)]
    if listed and used and not set(used) & listed.keys():
        raise ValueError(f"its annotations use the category {used[0]}, which is not in its list of categories")
    if len(used) > 1 and not people:
        names = ", ".join(repr(listed.get(number, {}).get("name", number))[:40] for number in used[:8])
        raise ValueError(f"its annotations use the categories {names}, and none of them is called person")
    return {number: slots_of(listed.get(number, {}).get("keypoints") or default) for number in people or used}


def _is_person(category: Mapping[str, Any]) -> bool:
    return str(category.get("name", "person")).strip().lower() in _PEOPLE


def people_by_picture(
    data: Mapping[str, Any], default: Sequence[str] = COCO_NAMES, *, drawn_boxes: bool = True
) -> dict[str, list[LabelledPerson]]:
    """People of parsed COCO labels by the id of their picture (labels.picture_id): with a box in it and some joint.

    default: names of the keypoints where the category has none. drawn_boxes: boxes are taken as they are; else those
    that are only the extent of the joints get a border. Raises KeyError, TypeError or ValueError.
    """
    by_category = _slots_by_category(data, default)
    listed = {int(c["id"]): c for c in data.get("categories", ()) if "id" in c}
    sizes = {picture_id(image["id"]): _size(image) for image in data["images"]}
    found: dict[str, list[LabelledPerson]] = {}
    for entry in data["annotations"]:
        category = int(entry.get("category_id", _DEFAULT_CATEGORY))
        slots, names = by_category.get(category), listed.get(category, {}).get("keypoints") or default
        if entry.get("iscrowd") or slots is None:
            continue
        if not any(value > 0 for value in entry.get("keypoints") or ()):
            continue
        joints = joints_from(entry["keypoints"], slots)
        drawn = drawn_boxes or not _is_extent(entry["bbox"], entry["keypoints"])
        box = clip_box(entry["bbox"] if drawn else box_of_joints(joints), listed_picture(entry, sizes))
        if box is not None and joints[:, 2].any():
            track = entry.get("track_id")
            found.setdefault(picture_id(entry["image_id"]), []).append(
                LabelledPerson(joints, box, None if track is None else int(track), _further(entry, names))
            )
    return found


def _is_extent(box: Sequence[float], keypoints: Sequence[float]) -> bool:
    """Whether an xywh box is the smallest one around the labelled keypoints."""
    triples = np.asarray(keypoints, np.float64).reshape(-1, 3)
    seen = triples[triples[:, 2] > 0, :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    return bool(np.allclose(box, [*low, *(high - low)], rtol=0, atol=_ROUNDING))


def _further(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Labelled joints without a slot by their names: of `keypoints`, and of COCO-WholeBody's lists beside it."""
    lists: list[tuple[Any, Sequence[str]]] = [
        (entry["keypoints"], [standard_name(name) or str(name) for name in names])
    ]
    lists += [(entry.get(key) or (), known) for key, known in WHOLEBODY_LISTS.items()]
    found: dict[str, tuple[float, float]] = {}
    for values, known in lists:
        triples = np.asarray(values, np.float64).reshape(-1, 3)
        require_pixels(triples)
        for name, (x, y, v) in zip(known, triples, strict=len(triples) > 0):
            if v > 0 and name not in JOINT_NAMES:
                found[name] = float(x), float(y)
    return found


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    return (int(image["width"]), int(image["height"])) if image.get("width") and image.get("height") else None


def _frames_of(listed: Sequence[Mapping[str, Any]]) -> int:
    """The frames of a video, as the first of its images says. Raises ValueError."""
    count = int(listed[0]["nframes"])
    if not 0 < count <= _MOST_FRAMES:
        raise ValueError(f"nframes is {count}, 1 to {_MOST_FRAMES} can be")
    return count


def _video(
    folder: PurePosixPath,
    listed: Sequence[Mapping[str, Any]],
    found: Mapping[str, list[LabelledPerson]],
    images: Path,
) -> LabelledVideo:
    people = {int(PurePosixPath(image["file_name"]).stem): found.get(picture_id(image["id"]), []) for image in listed}
    example = PurePosixPath(listed[0]["file_name"])
    digits, count = len(example.stem), _frames_of(listed)
    if digits > _MOST_DIGITS:
        raise ValueError(f"the name of a picture has {digits:,} digits, {_MOST_DIGITS} are the most")
    first = 0 if digits == _DIGITS_18 else 1
    frames = []
    for number in range(first, first + count):
        name = str(folder / f"{number:0{digits}d}{example.suffix}")
        frames.append(LabelledFrame(picture_of(images, name), name, tuple(people.get(number, ()))))
    return LabelledVideo(str(folder), tuple(frames))
