"""Write a folder of COCO keypoint labels from a sample clip, to try `dcpose train` without labelling anything.

    python examples/sample_labels.py sample_videos/sprint.mp4 --out labels

The folder gets `images/`, `annotations/train.json`, `annotations/val.json` and `recipe.toml`. The labels are the true
joints of the rendered clip. Every 5th frame is for validation, and of the others every 2nd is for training. Replace
pictures and labels by your own in the same layout.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.video import VideoReader


def people_of(frame: dict[str, Any], names: list[str]) -> Iterator[dict[str, Any]]:
    """COCO annotations of a frame of the truth: 17 joints x (x, y, visibility), box x, y, width, height."""
    for person in frame["persons"]:
        known = dict(zip(names, person["keypoints"], strict=True))
        keypoints = [value for joint in JOINT_NAMES for value in known.get(joint, (0, 0, 0))]
        box = person["bbox"]
        yield {"category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0, "keypoints": keypoints}


def write_labels(video: Path, out: Path) -> dict[str, int]:
    """Pictures and labels of a sample clip. Returns the number of pictures of each part."""
    truth = json.loads(video.with_suffix(".json").read_text(encoding="utf-8"))
    (out / "images").mkdir(parents=True)
    (out / "annotations").mkdir()
    parts: dict[str, dict[str, Any]] = {
        part: {
            "images": [],
            "annotations": [],
            "categories": [{"id": 1, "name": "person", "keypoints": list(JOINT_NAMES)}],
        }
        for part in ("train", "val")
    }
    with VideoReader(video) as reader:
        for frame in reader:
            if frame.index % 5 and frame.index % 2:
                continue
            part = parts["train" if frame.index % 5 else "val"]
            name = f"{video.stem}_{frame.index:04d}.jpg"
            cv2.imwrite(str(out / "images" / name), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
            height, width = frame.image.shape[:2]
            part["images"].append({"id": frame.index, "file_name": name, "width": width, "height": height})
            for entry in people_of(truth["frames"][frame.index], truth["joints"]):
                part["annotations"].append({"id": len(part["annotations"]), "image_id": frame.index, **entry})
    for name, part in parts.items():
        (out / "annotations" / f"{name}.json").write_text(json.dumps(part), encoding="utf-8")
    shutil.copy(Path(__file__).with_name("own_labels.toml"), out / "recipe.toml")
    return {name: len(part["images"]) for name, part in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, help="a clip of sample_videos/, with its JSON beside it")
    parser.add_argument("--out", type=Path, required=True, help="folder of the labels; must not exist")
    arguments = parser.parse_args()
    if arguments.out.exists():
        parser.error(f"{arguments.out} exists already; name another folder")
    counts = write_labels(arguments.video, arguments.out)
    print(f"{arguments.out}: {counts['train']} pictures for training, {counts['val']} for validation")


if __name__ == "__main__":
    main()
