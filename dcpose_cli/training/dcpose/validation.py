"""How far a network is, on people it does not train on; and the people it does worst, as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...files import output_error
from ...pose.heatmaps import Decoder
from ...skeleton import EDGES
from ..data.augment import plain_crops
from ..data.batches import STRIDE, plain_batch
from ..data.pack import PoseSample

#: A joint is found within this share of the longer side of the person's box.
WITHIN = 0.1
#: Labels of less weight are not measured: nobody was sure of them.
SURE = 0.99
#: How many people the picture of the worst cases shows, and how many to a row.
WORST, COLUMNS = 24, 8
#: Green what the labels say, red what the network found (RGB).
_TRUE, _FOUND = (40, 220, 60), (240, 40, 40)

#: (images (B, 9 or 3, H, W), margin (B, 2)) -> heatmaps.
Forward = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a network found of one person: (17, 3) in heatmap pixels; share of the sure joints that are right, NaN
    without any."""

    sample: PoseSample
    points: NDArray[np.float32]
    share: float


@torch.no_grad()
def find(
    forward: Forward,
    held: Sequence[PoseSample],
    size: tuple[int, int],
    enlarge: float,
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
        for first in range(0, len(group), 32):
            chunk = group[first : first + 32]
            batch = plain_batch(chunk, size, enlarge)
            found = decoder(forward(batch.images.to(device), batch.margin.to(device)).float()).cpu().numpy()
            truth = batch.joints.numpy()
            side = truth_side(chunk, size, enlarge)
            near = np.linalg.norm(found[..., :2] - truth[..., :2], axis=2) <= WITHIN * side[:, None]
            seen = truth[..., 2] >= SURE
            hits[kind].extend(near[seen].tolist())
            for k, sample in enumerate(chunk):
                share = float(near[k][seen[k]].mean()) if seen[k].any() else float("nan")
                people.append(Found(sample, found[k], share))
    hits["all"] = [*hits["stills"], *hits["windows"]]
    return {name: float(np.mean(values)) for name, values in hits.items() if values}, people


def truth_side(samples: Sequence[PoseSample], size: tuple[int, int], enlarge: float) -> NDArray[np.float32]:
    """Longer side of each current box, in heatmap pixels of its crop."""
    boxes = np.stack([s.boxes[len(s.boxes) // 2] for s in samples])
    w, h = boxes[:, 2], boxes[:, 3]
    crop_w = np.maximum(w, h * size[0] / size[1]) * enlarge
    side: NDArray[np.float32] = np.maximum(w, h) * (size[0] / STRIDE) / crop_w
    return side


def draw_worst(people: Sequence[Found], size: tuple[int, int], enlarge: float, path: Path) -> None:
    """A PNG of the people with the smallest shares: labels green, found red. Raises OutputError."""
    worst = sorted((p for p in people if p.share == p.share), key=lambda p: p.share)[:WORST]
    if not worst:
        return
    tiles = [_tile(person, size, enlarge) for person in worst]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[k : k + COLUMNS], axis=1) for k in range(0, len(tiles), COLUMNS)]
    data = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])[1].tobytes()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise output_error(error, path) from error


def _tile(person: Found, size: tuple[int, int], enlarge: float) -> NDArray[np.uint8]:
    crops = plain_crops(person.sample, size, enlarge)
    middle = len(crops.images) // 2
    image = np.ascontiguousarray(crops.images[middle])
    truth = crops.joints[middle]
    draw_limbs(image, truth[:, :2], truth[:, 2] > 0, _TRUE)
    draw_limbs(image, person.points[:, :2] * STRIDE, truth[:, 2] > 0, _FOUND)
    cv2.putText(image, f"{100 * person.share:.0f}", (2, 11), cv2.FONT_HERSHEY_PLAIN, 0.8, (255, 255, 0), 1)
    return image


def draw_limbs(
    image: NDArray[np.uint8], points: NDArray[np.floating], seen: NDArray[np.bool_], colour: tuple[int, int, int]
) -> None:
    """Limbs whose ends are both `seen`, drawn into the image. points: (17, 2) in its pixels."""
    for a, b in EDGES:
        if seen[a] and seen[b]:
            ends = [(int(points[k, 0]), int(points[k, 1])) for k in (a, b)]
            cv2.line(image, ends[0], ends[1], colour, 1, cv2.LINE_AA)
