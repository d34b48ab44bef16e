"""The export "JSON" of Label Studio: a list of tasks with rectangles of people and points of joints.

A point belongs to the rectangle that is its `parentID`; one without it belongs to the smallest rectangle around it.
Of several annotations of a task the last one counts. Tasks without an annotation are not labelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

from ..types import MOST_PEOPLE
from .coco import people_by_picture
from .labels import LabelledFrame, LabelledVideo, other_side, parse, picture_id, picture_of, require_joints
from .turned import upright

#: Names in the labelling interface: of the picture, the rectangles with their label, and the points.
PICTURE: Final = "image"
PERSON: Final = "person"
JOINT: Final = "joint"
#: What Label Studio puts before the name of an uploaded picture.
_UPLOADED: Final = re.compile(r"[0-9a-f]{8}-(?=.)")


def read_label_studio(path: Path, images: Path) -> list[LabelledVideo]:
    """One video of one frame per labelled picture of an export. Raises InputError."""

    def build(tasks: Sequence[Mapping[str, Any]]) -> list[LabelledVideo]:
        if not isinstance(tasks, list):
            raise ValueError("it is no list of tasks")
        labels = _as_coco(tasks, images)
        found = people_by_picture(labels)
        videos = []
        for image in labels["images"]:
            if people := found.get(picture_id(image["id"])):
                name, size = image["file_name"], (image["width"], image["height"])
                picture = picture_of(images, name)
                frame = LabelledFrame(picture, name, tuple(upright(people, picture, size)))
                videos.append(LabelledVideo(name, (frame,)))
        return videos

    return parse(path, 'an export "JSON" of Label Studio', build)


def _as_coco(tasks: Sequence[Mapping[str, Any]], images: Path) -> dict[str, Any]:
    """The labels of the tasks as COCO keypoints."""
    regions = {n: _regions(task) for n, task in enumerate(tasks)}
    points = [r for found in regions.values() for r in found if r["type"] == "keypointlabels"]
    joints = list(dict.fromkeys(n for r in points for n in (str(_label(r)), other_side(str(_label(r))))))
    require_joints(joints)  # everybody gets a place for each
    labels: dict[str, Any] = {
        "images": [], "annotations": [], "categories": [{"id": 1, "name": PERSON, "keypoints": joints}],
    }  # fmt: skip
    for number, task in enumerate(tasks):
        if not regions[number]:
            continue
        first = regions[number][0]
        size = int(first["original_width"]), int(first["original_height"])
        name = _name_of(str(task["data"][PICTURE]), images)
        labels["images"].append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
        for box, found in _people(regions[number], size):
            triples = [value for joint in joints for value in ((*found[joint], 2) if joint in found else (0, 0, 0))]
            labels["annotations"].append({"image_id": number, "category_id": 1, "bbox": box, "keypoints": triples})
    return labels


def _regions(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rectangles and points of a task's last annotation that was not cancelled."""
    done = [one for one in task.get("annotations", ()) if not one.get("was_cancelled")]
    wanted = ("rectanglelabels", "keypointlabels")
    return [region for region in done[-1]["result"] if region.get("type") in wanted] if done else []


def _label(region: Mapping[str, Any]) -> Any:
    return region["value"][region["type"]][0]


def _people(
    regions: Sequence[Mapping[str, Any]], size: tuple[int, int]
) -> Iterator[tuple[list[float], dict[str, tuple[float, float]]]]:
    """Box xywh and joints by name of every person, in pixels."""
    boxes: dict[str, list[float]] = {}
    for region in regions:
        if region["type"] == "rectanglelabels":
            value = region["value"]
            boxes[str(region["id"])] = [
                float(value[key]) / 100 * side
                for key, side in zip(("x", "y", "width", "height"), (*size, *size), strict=True)
            ]
    if len(boxes) > MOST_PEOPLE:  # points without a parent are compared with all of them
        raise ValueError(f"a picture has {len(boxes):,} rectangles, {MOST_PEOPLE:,} are the most")
    joints: dict[str, dict[str, tuple[float, float]]] = {person: {} for person in boxes}
    for region in regions:
        if region["type"] == "keypointlabels":
            place = float(region["value"]["x"]) / 100 * size[0], float(region["value"]["y"]) / 100 * size[1]
            person = _owner(region, place, boxes)
            if _label(region) in joints[person]:
                raise ValueError(f"a person has two points {_label(region)!r:.40}")
            joints[person][str(_label(region))] = place
    yield from ((box, joints[person]) for person, box in boxes.items())


def _owner(region: Mapping[str, Any], place: tuple[float, float], boxes: Mapping[str, list[float]]) -> str:
    if region.get("parentID") in boxes:
        return str(region["parentID"])
    around = [
        (w * h, person) for person, (x, y, w, h) in boxes.items() if x <= place[0] <= x + w and y <= place[1] <= y + h
    ]
    if not around:
        raise ValueError(f"the point {_label(region)!r:.40} lies in no rectangle of a person")
    return min(around)[1]


def _name_of(address: str, images: Path) -> str:
    """Name of a picture in `images`, from where Label Studio has it."""
    name = PurePosixPath(unquote(address.partition("?d=")[2] or address)).name
    short = _UPLOADED.sub("", name, count=1)
    return name if name == short or (images / name).is_file() else short
