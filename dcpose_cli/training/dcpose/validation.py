"""Validation of a pose network on held-out people, and a picture of those with the largest errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcpose_cli._opencv import cv2

from ...files import write_atomic
from ...pose.crop_shape import CropShape
from ...pose.heatmaps import Decoder
from ...skeleton import EDGES, JOINT_GROUPS, JOINT_NAMES
from ..data.augment import plain_crops, plain_size
from ..data.batches import STRIDE, plain_batch
from ..data.config import MeasureConfig
from ..data.pack import PoseSample
from ..engine.log import PCK

#: A joint is found within this share of the longer side of the person's box.
WITHIN = 0.1
#: Labels of less weight are uncertain and not measured.
SURE = 0.99
#: How the columns of what human labels say begin.
SWAPPED = "swapped_"
#: Slots of the limbs' joints, shoulders and hips among them, of the ends of the torso, and the pairs that get swapped.
_LIMBS = tuple(slot for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for slot in JOINT_GROUPS[name])
_TORSO = (JOINT_NAMES.index("left_shoulder"), JOINT_NAMES.index("right_hip"))
_PAIRS = tuple(JOINT_GROUPS[name] for name in ("elbow", "wrist", "knee", "ankle"))
#: How many people the picture of the worst cases shows, and how many to a row.
WORST, COLUMNS = 24, 8
#: Green what the labels say, red what the network found (RGB).
_TRUE, _FOUND = (40, 220, 60), (240, 40, 40)

#: (images (B, 9 or 3, H, W), margin (B, 2)) -> heatmaps.
Forward = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a network found of one person, points (17, 3), and what the labels say, truth (17, 3), in heatmap pixels.
    side: the longer one of the box, in them. share: of the sure joints that are right, NaN without any."""

    sample: PoseSample
    points: NDArray[np.float32]
    truth: NDArray[np.float32]
    side: float
    share: float


@torch.no_grad()
def find(
    forward: Forward,
    held: Sequence[PoseSample],
    shape: CropShape,
    decoder: Decoder,
    device: torch.device,
) -> tuple[dict[str, float], list[Found]]:
    """Shares of sure joints found, of `all`, `stills` and `windows` (current frame), as far as there are any; and
    every person."""
    hits: dict[str, list[float]] = {"all": [], "stills": [], "windows": []}
    people: list[Found] = []
    for kind, group in (
        ("stills", [s for s in held if len(s.pictures) == 1]),
        ("windows", [s for s in held if len(s.pictures) == 3]),
    ):
        for chunk in chunks(group, shape, 32):
            batch = plain_batch(chunk, shape)
            found = decoder(forward(batch.images.to(device), batch.margin.to(device)).float()).cpu().numpy()
            truth = batch.joints.numpy()
            side = truth_side(chunk, shape)
            near = np.linalg.norm(found[..., :2] - truth[..., :2], axis=2) <= WITHIN * side[:, None]
            seen = truth[..., 2] >= SURE
            hits[kind].extend(near[seen].tolist())
            for k, sample in enumerate(chunk):
                share = float(near[k][seen[k]].mean()) if seen[k].any() else float("nan")
                people.append(Found(sample, found[k], truth[k], float(side[k]), share))
    hits["all"] = [*hits["stills"], *hits["windows"]]
    return {name: float(np.mean(values)) for name, values in hits.items() if values}, people


def chunks(samples: Sequence[PoseSample], shape: CropShape, most: int) -> Iterator[list[PoseSample]]:
    """Up to `most` samples at a time whose crops have one size."""
    by_size: dict[tuple[int, int], list[PoseSample]] = {}
    for sample in samples:
        by_size.setdefault(plain_size(sample, shape), []).append(sample)
    for alike in by_size.values():
        yield from (alike[first : first + most] for first in range(0, len(alike), most))


def human_measures(people: Sequence[Found], groups: Sequence[MeasureConfig]) -> dict[str, float]:
    """Of each group with people whose joints people placed: the share of their limbs' joints within 0.2 of the torso
    (left shoulder to right hip, at least a quarter of the box's longer side), named pck_GROUP; and of the left/right
    pairs labelled more than 0.3 torso apart the share that fits better exchanged, swapped_GROUP."""
    out: dict[str, float] = {}
    for group in groups:
        found = [human_counts(p) for p in people if p.sample.human and p.sample.source in group.sources]
        hits, joints, swapped, pairs = np.sum(found, axis=0) if found else (0, 0, 0, 0)
        if joints:
            out[PCK + group.name] = float(hits / joints)
        if pairs:
            out[SWAPPED + group.name] = float(swapped / pairs)
    return out


def human_counts(person: Found) -> tuple[int, int, int, int]:
    """What `human_measures` counts of one person: joints found, joints, pairs swapped, pairs."""
    truth, points = person.truth[:, :2], person.points[:, :2]
    sure = person.truth[:, 2] >= SURE
    torso = 0.25 * person.side
    if sure[list(_TORSO)].all():
        torso = max(torso, float(np.linalg.norm(truth[_TORSO[0]] - truth[_TORSO[1]])))
    error = np.linalg.norm(points - truth, axis=1)
    limbs = [j for j in _LIMBS if sure[j]]
    swapped = pairs = 0
    for left, right in _PAIRS:
        if sure[left] and sure[right] and np.linalg.norm(truth[left] - truth[right]) > 0.3 * torso:
            exchanged = np.linalg.norm(points[[right, left]] - truth[[left, right]], axis=1)
            pairs += 1
            swapped += bool(exchanged.sum() < error[left] + error[right])
    return sum(bool(error[j] <= 0.2 * torso) for j in limbs), len(limbs), swapped, pairs


def truth_side(samples: Sequence[PoseSample], shape: CropShape) -> NDArray[np.float32]:
    """Longer side of each current box, in heatmap pixels of its crop."""
    boxes = np.stack([s.boxes[len(s.boxes) // 2] for s in samples])
    w, h = boxes[:, 2], boxes[:, 3]
    width, height = shape.size
    crop_w = np.maximum(w, h * width / height) * shape.enlarge
    side: NDArray[np.float32] = np.maximum(w, h) * (width / STRIDE) / crop_w
    return side


def draw_worst(people: Sequence[Found], shape: CropShape, path: Path) -> None:
    """A PNG of the people with the smallest shares: labels green, found red. Raises OutputError."""
    worst = sorted((p for p in people if p.share == p.share), key=lambda p: p.share)[:WORST]
    if not worst:
        return
    tiles = [_tile(person, shape) for person in worst]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[k : k + COLUMNS], axis=1) for k in range(0, len(tiles), COLUMNS)]
    data = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])[1].tobytes()
    write_atomic(path, data, overwrite=True)


def _tile(person: Found, shape: CropShape) -> NDArray[np.uint8]:
    """A picture of the size of a whole crop."""
    crops = plain_crops(person.sample, shape)
    middle = len(crops.images) // 2
    image = np.ascontiguousarray(crops.images[middle])
    truth = crops.joints[middle]
    draw_limbs(image, truth[:, :2], truth[:, 2] > 0, _TRUE)
    draw_limbs(image, person.points[:, :2] * STRIDE, truth[:, 2] > 0, _FOUND)
    left, top = (round(side) for side in shape.offset((image.shape[1], image.shape[0])))
    image = cv2.copyMakeBorder(image, top, top, left, left, cv2.BORDER_CONSTANT)
    cv2.putText(image, f"{100 * person.share:.0f}", (2, 11), cv2.FONT_HERSHEY_PLAIN, 0.8, (255, 255, 0), 1)
    return np.asarray(image, np.uint8)


def draw_limbs(
    image: NDArray[np.uint8], points: NDArray[np.floating], seen: NDArray[np.bool_], colour: tuple[int, int, int]
) -> None:
    """Limbs whose ends are both `seen`, drawn into the image. points: (17, 2) in its pixels."""
    for a, b in EDGES:
        if seen[a] and seen[b]:
            ends = [(int(points[k, 0]), int(points[k, 1])) for k in (a, b)]
            cv2.line(image, ends[0], ends[1], colour, 1, cv2.LINE_AA)
