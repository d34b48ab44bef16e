"""Pictures with predictions for Label Studio, and its labelling interface: a rectangle per person, a point per joint.

Places are in per cent of the picture. The points of a person have its rectangle as `parentID`, and so has the export
that `datasets/label_studio.py` reads. Label Studio draws the first region of a task on top: points come before
rectangles, which would otherwise catch the mouse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..datasets.label_studio import JOINT, PERSON, PICTURE

#: Where Label Studio serves pictures of its local storage from; the rest is relative to the storage's root.
_SERVED: Final = "/data/local-files/?d=images/"
#: Diameter of a point, per cent of the picture's width.
_POINT: Final = 0.75
#: Of the labels: a joint on the wrong side is seen at once.
_COLORS: Final = {"left": "#e8590c", "right": "#1971c2"}
_MIDDLE_COLOR: Final = "#2f9e44"
_PERSON_COLOR: Final = "#868e96"


def interface_of(joints: Sequence[str]) -> str:
    """The labelling interface: XML. joints: names."""
    colors = [_COLORS.get(name.partition("_")[0], _MIDDLE_COLOR) for name in joints]
    names = "\n".join(
        f'    <Label value="{name}" background="{color}" model_index="{n}"/>'
        for n, (name, color) in enumerate(zip(joints, colors, strict=True))
    )
    return (
        f'<View>\n  <Image name="{PICTURE}" value="${PICTURE}" zoom="true"/>\n'
        f'  <RectangleLabels name="{PERSON}" toName="{PICTURE}">\n'
        f'    <Label value="{PERSON}" background="{_PERSON_COLOR}"/>\n  </RectangleLabels>\n'
        f'  <KeyPointLabels name="{JOINT}" toName="{PICTURE}" strokeWidth="3">\n{names}\n  </KeyPointLabels>\n</View>\n'
    )


def tasks_of(labels: Mapping[str, Any], model: str) -> list[dict[str, Any]]:
    """A task per picture. labels: COCO keypoints. model: name of what predicted."""
    joints = labels["categories"][0]["keypoints"]
    people: dict[int, list[Mapping[str, Any]]] = {}
    for entry in labels["annotations"]:
        people.setdefault(entry["image_id"], []).append(entry)
    return [
        {
            "data": {PICTURE: _SERVED + image["file_name"]},
            "predictions": [
                {
                    "model_version": model,
                    "result": _regions(people.get(image["id"], ()), joints, image),
                }
            ],
        }
        for image in labels["images"]
    ]


def _regions(
    people: Sequence[Mapping[str, Any]], joints: Sequence[str], image: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The points of all people, then their rectangles."""
    size = {"original_width": image["width"], "original_height": image["height"], "image_rotation": 0}
    points = [
        {
            **size, "to_name": PICTURE, "id": f"{_id(entry)}_{name}", "parentID": _id(entry), "from_name": JOINT,
            "type": "keypointlabels",
            "value": {**_share(x, y, image), "width": _POINT, "keypointlabels": [name]},
        }
        for entry in people for name, (x, y, visible) in zip(joints, _triples(entry), strict=True) if visible
    ]  # fmt: skip
    return points + [
        {
            **size, "to_name": PICTURE, "id": _id(entry), "from_name": PERSON, "type": "rectanglelabels",
            "value": {**_rectangle(entry["bbox"], image), "rotation": 0, "rectanglelabels": [PERSON]},
        }
        for entry in people
    ]  # fmt: skip


def _id(entry: Mapping[str, Any]) -> str:
    return f"person{entry['id']}"


def _triples(entry: Mapping[str, Any]) -> list[tuple[float, float, int]]:
    values = entry["keypoints"]
    return list(zip(values[0::3], values[1::3], values[2::3], strict=True))


def _rectangle(box: Sequence[float], image: Mapping[str, Any]) -> dict[str, float]:
    x, y, w, h = box
    side = _share(w, h, image)
    return {**_share(x, y, image), "width": side["x"], "height": side["y"]}


def _share(x: float, y: float, image: Mapping[str, Any]) -> dict[str, float]:
    """Pixels as per cent of the picture."""
    return {"x": 100 * x / image["width"], "y": 100 * y / image["height"]}
