"""Adds the joints of the pool's labels to its whole pictures, so that boxes of turned people fit them.

    python -m dcpose_cli.training.data.pool_joints LABELS DATA/poolnet.json

LABELS holds the pool's `NAME.jsonl.gz`. Annotations get `keypoints`, 17 x (x, y, visible) in pixels of the picture.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from dcpose_cli.files import write_atomic

#: Joints of at least this score whose mirrored answer is at most this far away (in box sides) are known.
MIN_SCORE: Final = 0.5
MAX_FLIP: Final = 0.08


def add_joints(content: dict[str, Any], labels: dict[tuple[str, str], dict[str, Any]]) -> int:
    """Adds `keypoints` to the annotations of a part in place; returns how many people got some.

    labels: the pool's rows by (source, path). A picture's annotations stand in the order of its label's boxes.
    """
    rows: dict[int, list[dict[str, Any]]] = {}
    for annotation in content["annotations"]:
        rows.setdefault(annotation["image_id"], []).append(annotation)
    count = 0
    for image in content["images"]:
        label = labels.get((image["source"].removeprefix("pool_"), image["origin"]))
        people = rows.get(image["id"], [])
        if label is None or len(people) != len(label["boxes"]):
            continue
        scale = image["width"] / label["w"]
        for person in label["people"]:
            joints = zip(person["k"], person["f"], strict=True)
            known = [(x, y, score >= MIN_SCORE and flip <= MAX_FLIP) for (x, y, score), flip in joints]
            people[person["i"]]["keypoints"] = [
                value
                for x, y, sure in known
                for value in ((round(x * scale, 1), round(y * scale, 1), 2) if sure else (0, 0, 0))
            ]
            count += 1
    return count


def read_labels(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The pool's labels by source and path."""
    return {(path.name.split(".")[0], row["path"]): row for path, row in _rows(folder)}


def _rows(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield path, json.loads(line)


def main(arguments: Sequence[str] | None = None) -> None:
    """Rewrites the part's JSON with joints."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("labels", type=Path, help="folder of the pool's labels")
    parser.add_argument("part", type=Path, help="poolnet.json")
    options = parser.parse_args(arguments)
    content = json.loads(options.part.read_text(encoding="utf-8"))
    add_joints(content, read_labels(options.labels))
    write_atomic(options.part, json.dumps(content, separators=(",", ":")), overwrite=True)


if __name__ == "__main__":
    main()
