"""Correct the labels of a sample clip by its true joints, to try `dcpose train` without labelling anything.

    dcpose dataset from-result result.json sample_videos/sprint.mp4 --out labels
    python examples/sample_labels.py labels sample_videos/sprint.json

This does what a person does in a labelling tool: every person of every picture gets the joints and the box that are
right, people who are missing are added, and what is nobody is taken out. The joints of the rendered clip are known.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LABELS = "annotations/person_keypoints_default.json"


def people_of(frame: dict[str, Any], names: list[str], wanted: list[str]) -> Iterator[dict[str, Any]]:
    """COCO annotations of a frame of the truth: joints x (x, y, visibility), box x, y, width, height."""
    for person in frame["persons"]:
        known = dict(zip(names, person["keypoints"], strict=True))
        keypoints = [value for joint in wanted for value in known.get(joint, (0, 0, 0))]
        box = person["bbox"]
        yield {"category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0, "keypoints": keypoints}


def correct(folder: Path, truth: Path) -> int:
    """Put the true joints into the labels of a folder. Returns the number of people."""
    labels = json.loads((folder / LABELS).read_text(encoding="utf-8"))
    true = json.loads(truth.read_text(encoding="utf-8"))
    joints = labels["categories"][0]["keypoints"]
    labels["annotations"] = [
        {"image_id": image["id"], **entry}
        for image in labels["images"]
        for entry in people_of(true["frames"][image["frame"]], true["joints"], joints)
    ]
    for number, entry in enumerate(labels["annotations"], start=1):
        entry["id"] = number
    (folder / LABELS).write_text(json.dumps(labels), encoding="utf-8")
    return len(labels["annotations"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="made by `dcpose dataset from-result`")
    parser.add_argument("truth", type=Path, help="the JSON beside the clip in sample_videos/")
    arguments = parser.parse_args()
    images = json.loads((arguments.folder / LABELS).read_text(encoding="utf-8"))["images"]
    others = [one["file_name"] for one in images if not one["file_name"].startswith(f"{arguments.truth.stem}_")]
    if others:
        parser.error(f"{others[0]} is not a picture of the clip {arguments.truth.stem}")
    print(f"{arguments.folder}: {correct(arguments.folder, arguments.truth)} people")


if __name__ == "__main__":
    main()
