"""Pictures with predictions for Label Studio, and its labelling interface: a rectangle per person, a point per joint.

Places are in per cent of the picture. The points of a person have its rectangle as `parentID`, and so has the export
that `datasets/label_studio.py` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..datasets.label_studio import JOINT, PERSON, PICTURE

#: Where Label Studio serves pictures of its local storage from; the rest is relative to the storage's root.
_SERVED: Final = "/data/local-files/?d=images/"
#: Diameter of a point, per cent of the picture's width.
_POINT: Final = 0.75


def interface_of(joints: Sequence[str]) -> str:
    """The labelling interface: XML. joints: names."""
    names = "\n".join(f'    <Label value="{name}" model_index="{n}"/>' for n, name in enumerate(joints))
    return (
        f'<View>\n  <Image name="{PICTURE}" value="${PICTURE}" zoom="true"/>\n'
        f'  <RectangleLabels name="{PERSON}" toName="{PICTURE}">\n    <Label value="{PERSON}"/>\n  </RectangleLabels>\n'
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
                    "result": [r for entry in people.get(image["id"], ()) for r in _regions(entry, joints, image)],
                }
            ],
        }
        for image in labels["images"]
    ]


def _regions(entry: Mapping[str, Any], joints: Sequence[str], image: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    width, height, person = image["width"], image["height"], f"person{entry['id']}"
    size = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": PICTURE}
    x, y, w, h = entry["bbox"]
    box = {"x": 100 * x / width, "y": 100 * y / height, "width": 100 * w / width, "height": 100 * h / height}
    yield {
        **size, "id": person, "from_name": PERSON, "type": "rectanglelabels",
        "value": {**box, "rotation": 0, "rectanglelabels": [PERSON]},
    }  # fmt: skip
    for place, name in enumerate(joints):
        x, y, visible = entry["keypoints"][3 * place : 3 * place + 3]
        if visible:
            point = {"x": 100 * x / width, "y": 100 * y / height, "width": _POINT, "keypointlabels": [name]}
            yield {
                **size, "id": f"{person}_{name}", "parentID": person, "from_name": JOINT, "type": "keypointlabels",
                "value": point,
            }  # fmt: skip
