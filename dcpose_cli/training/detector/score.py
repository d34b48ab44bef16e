"""How good a detector is on labelled pictures: average precision, recall by size, false boxes.

python -m dcpose_cli.training.detector.score DATA person-n --recipe models/person-n/recipe.toml --size 416 --conf 0.3
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dcpose_cli.people.detector import Letterbox, load_detector, select
from dcpose_cli.training.detector.data import PackReader, Picture, box_iou, intersection
from dcpose_cli.training.detector.recipe import load_detector_recipe

#: A box is right from this intersection over union on.
RIGHT_IOU: Final = 0.5
#: A person is large from this share of the picture's height on.
LARGE_SHARE: Final = 1 / 3
NMS_IOU: Final = 0.6

log = logging.getLogger(__name__)


def predict(
    model: nn.Module, image: NDArray[np.uint8], size: int, conf: float, iou: float, reduced: bool = True
) -> NDArray[np.float32]:
    """Boxes of one picture, (N, 5) xyxy and score in its pixels; its long side is scaled to `size`.

    The person is class 0. reduced: compute in bfloat16.
    """
    boxer = Letterbox(image.shape[0], image.shape[1], size)
    batch = torch.from_numpy(boxer.apply(image))[None].permute(0, 3, 1, 2)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        output = model(batch.float().div_(255))
    rows = (output[0] if isinstance(output, tuple | list) else output)[0].float()
    found = boxer.back(*select(rows, 0, conf, iou))
    boxes = found.boxes.copy()
    boxes[:, 2:] += boxes[:, :2]
    return np.concatenate([boxes, found.scores[:, None]], 1)


def evaluate(
    model: nn.Module,
    pictures: Sequence[Picture],
    size: int,
    conf: float = 0.25,
    iou: float = NMS_IOU,
    reduced: bool = True,
) -> dict[str, float]:
    """AP at IoU 0.5, recall of large people (over a third of the picture's height) and of the rest, false boxes.

    Boxes on doubtful places count neither way. False boxes above `conf` are given per picture and per complete
    picture; in the others an unboxed person looks like a false box.
    """
    records: list[tuple[float, bool]] = []
    large, small, wrong_all, wrong_sure = [], [], [], []
    for picture in pictures:
        image = picture.image
        rows = predict(model, image, size, 0.01, iou, reduced)
        hits = _match(rows, picture)
        records += hits
        heights = picture.boxes[:, 3] - picture.boxes[:, 1]
        found = _found(rows[rows[:, 4] >= conf], picture.boxes)
        large += found[heights > image.shape[0] * LARGE_SHARE].tolist()
        small += found[heights <= image.shape[0] * LARGE_SHARE].tolist()
        wrong = sum(1 for score, right in hits if score >= conf and not right)
        wrong_all.append(wrong)
        if picture.complete:
            wrong_sure.append(wrong)
    return {
        "size": size,
        "conf": conf,
        "ap50": round(average_precision(records, len(large) + len(small)), 4),
        "recall_large": _mean(large),
        "recall_small": _mean(small),
        "false_per_picture": _mean(wrong_all),
        "false_per_complete": _mean(wrong_sure),
    }


def average_precision(records: Sequence[tuple[float, bool]], total: int) -> float:
    """Area under the precision-recall curve (101 points) of (score, right) pairs against `total` people."""
    if not records or total == 0:
        return 0.0
    right = np.array([hit for _, hit in sorted(records, key=lambda r: -r[0])], np.float64)
    recall = right.cumsum() / total
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.where(place < len(envelope), envelope[np.minimum(place, len(envelope) - 1)], 0.0).mean())


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4) if values else 0.0


def _found(rows: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    if len(rows) == 0 or len(boxes) == 0:
        return np.zeros(len(boxes), np.bool_)
    return np.asarray(box_iou(boxes, rows[:, :4]).max(1) >= RIGHT_IOU, np.bool_)


def _match(rows: NDArray[np.float32], picture: Picture) -> list[tuple[float, bool]]:
    """(score, right) of the boxes that count, best first."""
    iou = box_iou(rows[:, :4], picture.boxes)
    free = np.ones(len(picture.boxes), np.bool_)
    hits: list[tuple[float, bool]] = []
    for row, overlaps in zip(rows, iou, strict=True):
        candidates = np.where(free, overlaps, 0.0)
        if candidates.size and candidates.max() >= RIGHT_IOU:
            free[int(candidates.argmax())] = False
            hits.append((float(row[4]), True))
        elif not _doubtful(row, picture.ignore):
            hits.append((float(row[4]), False))
    return hits


def _doubtful(row: NDArray[np.float32], ignore: NDArray[np.float32]) -> bool:
    if len(ignore) == 0:
        return False
    area = max(float((row[2] - row[0]) * (row[3] - row[1])), 1e-6)
    return bool(intersection(row[None, :4], ignore).max() / area > 0.5)


def main(arguments: Sequence[str] | None = None) -> None:
    """Logs one line of scores on the pack's validation pictures per size and least score."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path, help="folder of the training pack")
    parser.add_argument("detector", help="model, file or stock name; its class 0 must be the person")
    parser.add_argument("--recipe", type=Path, required=True, help="recipe.toml, for its validation parts")
    parser.add_argument("--parts", nargs="+", help="parts of the pack instead of the recipe's")
    parser.add_argument("--limit", type=int, default=100_000, help="most pictures of a part")
    parser.add_argument("--size", type=int, nargs="+", help="long side in pixels; the model's own by default")
    parser.add_argument("--conf", type=float, nargs="+", default=[0.3], help="least score for recall and false boxes")
    parser.add_argument("--iou", type=float, default=NMS_IOU, help="overlap above which the weaker box is dropped")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model = load_detector(options.detector)
    with PackReader(options.data, load_detector_recipe(options.recipe).data) as reader:
        parts = reader.validation(options.parts, options.limit)
    for part, pictures in parts.items():
        for size in options.size or [model.imgsz]:
            for conf in options.conf:
                row = evaluate(model.net, pictures, size, conf, options.iou, reduced=False)
                log.info("%s on %d pictures of %s: %s", model.name, len(pictures), part, json.dumps(row))


if __name__ == "__main__":
    main()
