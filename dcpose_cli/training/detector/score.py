"""How good a detector is on labelled pictures: average precision, recall by size, false boxes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...evaluation.average_precision import COCO_RECALLS, average_precision
from ...people.boxes import areas, from_corners, pairwise_intersection, pairwise_iou
from ...people.detector import Letterbox, select
from ...types import Detections
from .data import Picture

#: A box is right from this intersection over union on.
RIGHT_IOU: Final = 0.5
#: A person is large from this share of the picture's height on.
LARGE_SHARE: Final = 1 / 3
NMS_IOU: Final = 0.6
CPU: Final = torch.device("cpu")

log = logging.getLogger(__name__)


def predict(
    model: nn.Module,
    image: NDArray[np.uint8],
    size: int,
    conf: float,
    iou: float,
    reduced: bool = True,
    device: torch.device = CPU,
) -> Detections:
    """People in one picture (H, W, 3) uint8 RGB whose long side is scaled to `size`, best score first.

    The person is class 0. conf, iou: least score, and overlap above which the weaker of two boxes is dropped.
    reduced: compute in bfloat16. device: where the model is.
    """
    boxer = Letterbox(image.shape[0], image.shape[1], size)
    batch = torch.from_numpy(boxer.apply(image))[None].permute(0, 3, 1, 2).to(device)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=reduced):
        output = model(batch.float().div_(255))
    rows = (output[0] if isinstance(output, tuple | list) else output)[0].float().cpu()
    return boxer.back(*select(rows, 0, conf, iou))


def evaluate(
    model: nn.Module,
    pictures: Sequence[Picture],
    size: int,
    conf: float = 0.25,
    iou: float = NMS_IOU,
    reduced: bool = True,
    device: torch.device = CPU,
) -> dict[str, float]:
    """AP at IoU 0.5, recall of large people (over a third of the picture's height) and of the rest, false boxes.

    Boxes on doubtful places count neither way. False boxes above `conf` are given per picture and per complete
    picture; in the others an unboxed person looks like a false box.
    """
    records: list[tuple[float, bool]] = []
    large, small, wrong_all, wrong_sure = [], [], [], []
    for picture in pictures:
        image = picture.image
        found = predict(model, image, size, 0.01, iou, reduced, device)
        truth = from_corners(picture.boxes)
        hits = match_boxes(found.boxes, found.scores, truth, from_corners(picture.ignore))
        records += hits
        seen, tall = found_people(found.boxes[found.scores >= conf], truth), truth[:, 3] > image.shape[0] * LARGE_SHARE
        large += seen[tall].tolist()
        small += seen[~tall].tolist()
        wrong = sum(1 for score, right in hits if score >= conf and not right)
        wrong_all.append(wrong)
        if picture.complete:
            wrong_sure.append(wrong)
    return {
        "size": size,
        "conf": conf,
        "ap50": round(ap50(records, len(large) + len(small)), 4),
        "recall_large": _mean(large),
        "recall_small": _mean(small),
        "false_per_picture": _mean(wrong_all),
        "false_per_complete": _mean(wrong_sure),
    }


def ap50(hits: Sequence[tuple[float, bool]], people: int) -> float:
    """COCO's average precision of (score, right) pairs, in any order, against `people` labelled ones."""
    ranked = sorted(hits, key=lambda hit: -hit[0])
    return average_precision([right for _, right in ranked], people, recalls=COCO_RECALLS)


def match_boxes(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], truth: NDArray[np.float32], ignore: NDArray[np.float32]
) -> list[tuple[float, bool]]:
    """(score, right) of the predicted boxes that count. Each person is matched once, by the best scored box.

    boxes: (N, 4), best score first. truth: (M, 4) people. ignore: (K, 4) doubtful places: a wrong box more than half in
    one does not count. All xywh.
    """
    free = np.ones(len(truth), np.bool_)
    doubtful = pairwise_intersection(boxes, ignore).max(axis=1, initial=0) / np.maximum(areas(boxes), 1e-6) > 0.5
    hits: list[tuple[float, bool]] = []
    for score, overlaps, doubt in zip(scores, pairwise_iou(boxes, truth), doubtful, strict=True):
        candidates = np.where(free, overlaps, 0.0)
        if candidates.size and candidates.max() >= RIGHT_IOU:
            free[int(candidates.argmax())] = False
            hits.append((float(score), True))
        elif not doubt:
            hits.append((float(score), False))
    return hits


def found_people(boxes: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which people (M,) of `truth` (M, 4) some box of `boxes` (N, 4) overlaps enough; all xywh."""
    return np.asarray(pairwise_iou(truth, boxes).max(axis=1, initial=0) >= RIGHT_IOU, np.bool_)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4) if values else 0.0
