"""How good a person detector is on pictures with human boxes, a stock detector beside it in the same run.

    python benchmarks/detector.py --detector person-n --stock yolov8n.pt --data DIR --json FILE

Held-out pictures (DATA/heldout-dev). Recall: of the people taller than a third of the picture, those with a box of
IoU 0.5 and at least the score of --conf. False boxes and AP50: on the pictures that are marked `complete_boxes`, where
everybody is boxed. Each detector at its own picture size and with what the product does to its boxes; --detect-size
measures the first one at other sizes too, as `dcpose --detect-size` searches. Intervals: 95 %, whole pictures drawn
anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from accuracy import HELDOUT, circumstances
from numpy.typing import NDArray

from dcpose_cli.evaluation.bootstrap import ratio_interval
from dcpose_cli.files import sha256_of, write_atomic
from dcpose_cli.people.detector import PersonDetector
from dcpose_cli.people.search import search
from dcpose_cli.pictures import TarIndex
from dcpose_cli.training.detector.score import LARGE_SHARE, ap50, found_people, match_boxes
from dcpose_cli.types import Detections

#: Boxes of less confidence play no part, not even in AP.
LEAST = 0.01
ROUNDS, SEED = 2000, 0

Detect = Callable[[Sequence[NDArray[np.uint8]]], list[Detections]]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """boxes: (N, 4) xywh. complete: everybody is boxed."""

    source: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    complete: bool


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Recall, false boxes and AP50 of person detectors.")
    parser.add_argument("--detector", default="person-n", help="name, folder or file (default: %(default)s)")
    parser.add_argument("--stock", help="another detector to be measured beside it, e.g. yolov8n.pt")
    parser.add_argument("--detect-size", type=int, nargs="+", default=[], help="sizes to measure --detector at, too")
    parser.add_argument("--data", type=Path, required=True, help=f"folder that holds {HELDOUT}/")
    parser.add_argument("--conf", type=float, default=0.3, help="least score of a box (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures here too; an existing file is replaced")
    options = parser.parse_args(arguments)
    pictures = read_labelled(options.data / HELDOUT)
    report: dict[str, Any] = {**circumstances("cpu"), "conf": options.conf, "detectors": []}
    runs = [(options.detector, None), *((options.detector, size) for size in options.detect_size)]
    runs += [(options.stock, None)] if options.stock else []
    for source, size in runs:
        detector = PersonDetector(source, conf=LEAST)
        size = size or detector.imgsz
        figures = measure(partial(search, detector, size=size), pictures, options.conf)
        report["detectors"].append({"name": detector.name, "sha256": detector.sha256, "imgsz": size, **figures})
    report["sha256"] = {path.name: sha256_of(path) for path in sorted((options.data / HELDOUT).glob(f"{HELDOUT}*"))}
    print(as_text(report))
    if options.json is not None:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    return 0


def read_labelled(folder: Path) -> list[Labelled]:
    """Every picture of the held-out set with its human boxes."""
    data = json.loads((folder / f"{HELDOUT}.json").read_text(encoding="utf-8"))
    people: dict[int, list[list[float]]] = {}
    for entry in data["annotations"]:
        people.setdefault(entry["image_id"], []).append(entry["bbox"])
    index = TarIndex()
    return [
        Labelled(
            image["source"],
            index.find(folder / Path(image["shard"]).name, image["file_name"]).decode(),
            np.array(people.get(image["id"], []), np.float32).reshape(-1, 4),
            bool(image.get("complete_boxes")),
        )
        for image in data["images"]
    ]


def measure(detect: Detect, pictures: Sequence[Labelled], conf: float) -> dict[str, Any]:
    """All figures of one detector, which must give boxes down to LEAST."""
    found, large, wrong = [], [], []
    records: list[list[tuple[float, bool]]] = []
    counts: list[int] = []
    for picture in pictures:
        result = detect([picture.image])[0]
        tall = picture.boxes[:, 3] > LARGE_SHARE * picture.image.shape[0]
        found.append(int((tall & found_people(result.boxes[result.scores >= conf], picture.boxes)).sum()))
        large.append(int(tall.sum()))
        if picture.complete:
            hits = match_boxes(result.boxes, result.scores, picture.boxes, np.zeros((0, 4), np.float32))
            records.append(hits)
            counts.append(len(picture.boxes))
            wrong.append(sum(score >= conf and not right for score, right in hits))
    sources = np.array([picture.source == "lspet" for picture in pictures])
    parts = {"all": np.ones_like(sources), "stills": ~sources, "lspet": sources}
    return {
        "recall": {name: share(np.array(found)[rows], np.array(large)[rows]) for name, rows in parts.items()},
        "false boxes per picture": share(np.array(wrong), np.ones(len(wrong), int)),
        "ap50": ap_figures(records, counts),
    }


def share(hits: NDArray[Any], of: NDArray[Any]) -> dict[str, Any]:
    if not of.sum():
        return {"value": None}
    return {"value": float(hits.sum() / of.sum()), "hits": int(hits.sum()), "of": int(of.sum()),
            "interval": list(ratio_interval(hits, of))}  # fmt: skip


def ap_figures(records: Sequence[list[tuple[float, bool]]], counts: Sequence[int]) -> dict[str, Any]:
    if not sum(counts):
        return {"value": None}
    rng = np.random.default_rng(SEED)
    values = []
    for _ in range(ROUNDS // 4):
        rows = rng.integers(len(records), size=len(records))
        values.append(ap50([hit for r in rows for hit in records[r]], sum(counts[r] for r in rows)))
    low, high = np.quantile(values, [0.025, 0.975])
    value = ap50([hit for hits in records for hit in hits], sum(counts))
    return {"value": value, "people": sum(counts), "pictures": len(records), "interval": [float(low), float(high)]}


def as_text(report: dict[str, Any]) -> str:
    lines = [f"{report['date']}, {report['machine']}, boxes with at least {report['conf']}"]
    for row in report["detectors"]:
        lines.append(f"{row['name']} at {row['imgsz']} px, sha256 {row['sha256']}")
        named = {f"recall, large, {name}": figures for name, figures in row["recall"].items()}
        for name, figures in {**named, **{k: row[k] for k in ("false boxes per picture", "ap50")}}.items():
            lines.append(f"  {name:24} {with_interval(figures)}")
    return "\n".join(lines)


def with_interval(figures: dict[str, Any]) -> str:
    if figures["value"] is None:
        return "-"
    low, high = figures["interval"]
    of = f" of {figures['of']}" if "of" in figures else f" of {figures['people']} people"
    return f"{figures['value']:.3f} ({low:.3f}-{high:.3f}){of}"


if __name__ == "__main__":
    cv2.setNumThreads(1)
    sys.exit(main())
