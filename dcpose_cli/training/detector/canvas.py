"""Canvases for training the person detector, cut at random from pictures in memory.

A canvas is one picture or a mosaic of two, four or nine, scaled so that a chosen person gets a chosen height: at run
time people fill 12 to 100 % of the frame's height, and the network must see all of these. Plain resizing, no warps:
the one core is for the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dcpose_cli.training.detector.data import Picture, as_boxes
from dcpose_cli.training.detector.graphics import draw_graphic

#: A person of whom less than this share lies inside a canvas is neither wanted nor punished there.
MIN_VISIBLE: Final = 0.25
PADDING_GREY: Final = 114


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """One training sample: image (S, S, 3) uint8 RGB; boxes, ignore as in Picture; unsure: (K, 4) xyxy regions
    cut from pictures whose unboxed people are not known."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    ignore: NDArray[np.float32]
    unsure: NDArray[np.float32]


class CanvasMaker:
    """Cuts random canvases from whole pictures and crops.

    whole, crops: the pictures; crop_share: how often a tile comes from `crops`; graphics: how often it is a drawing
    without people instead of either.
    """

    def __init__(
        self, whole: Sequence[Picture], crops: Sequence[Picture], crop_share: float = 0.45, graphics: float = 0.0
    ) -> None:
        self._whole, self._crops, self._crop_share, self._graphics = whole, crops, crop_share, graphics

    def make(self, rng: np.random.Generator, size: int, mosaic: float) -> Canvas:
        """One canvas of `size` x `size` pixels, a mosaic of four with probability `mosaic`."""
        image = np.empty((size, size, 3), np.uint8)
        image[:] = PADDING_GREY if rng.random() < 0.6 else rng.integers(0, 256, 3, dtype=np.uint8)
        boxes: list[NDArray[np.float32]] = []
        ignore: list[NDArray[np.float32]] = []
        unsure: list[tuple[int, int, int, int]] = []
        for cell in _cells(rng, size, mosaic):
            picture = self._draw(rng)
            seen, doubtful = _paste(rng, picture, image, cell, size)
            boxes.append(seen)
            ignore.append(doubtful)
            if not picture.complete:
                unsure.append(cell)
        return Canvas(_colour(rng, image), np.concatenate(boxes), np.concatenate(ignore), as_boxes(unsure))

    def _draw(self, rng: np.random.Generator) -> Picture:
        if self._graphics and rng.random() < self._graphics:
            return Picture(draw_graphic(rng), as_boxes([]), as_boxes([]), True)
        pool = self._crops if self._crops and rng.random() < self._crop_share else self._whole
        return pool[int(rng.integers(len(pool)))]


def _cells(rng: np.random.Generator, size: int, mosaic: float) -> list[tuple[int, int, int, int]]:
    """The whole canvas, or (a mosaic) two halves, four quarters, or nine for small people."""
    if rng.random() >= mosaic:
        return [(0, 0, size, size)]
    kind = rng.random()
    x, y = (int(size * v) for v in rng.uniform(0.3, 0.7, 2))
    if kind < 0.22:
        return [(0, 0, x, size), (x, 0, size, size)]
    if kind < 0.30:
        return [(0, 0, size, y), (0, y, size, size)]
    columns, rows = [0, x, size], [0, y, size]
    if kind > 0.85:
        columns = rows = [0, size // 3, 2 * size // 3, size]
    return [(left, top, right, low) for top, low in pairwise(rows) for left, right in pairwise(columns)]


def _scale(rng: np.random.Generator, picture: Picture, cell: tuple[int, int, int, int], size: int) -> float:
    """Canvas pixels per picture pixel: by the height wanted for one person, else by the cell."""
    height, width = picture.image.shape[:2]
    x1, y1, x2, y2 = cell
    fit = min((x2 - x1) / width, (y2 - y1) / height)
    if len(picture.boxes) == 0:
        return float(np.clip(fit * np.exp(rng.uniform(np.log(0.8), np.log(2.5))), 0.1, 2.5))
    box = picture.boxes[int(rng.integers(len(picture.boxes)))]
    tall = max(float(box[3] - box[1]), float(box[2] - box[0]) * 0.7, 4.0)
    goal = float(np.exp(rng.uniform(np.log(0.15), np.log(1.25)))) * size
    return float(np.clip(goal / tall, max(0.7 * fit, 0.1), min(max(2.2 * fit, 0.2), 3.0)))


def _paste(
    rng: np.random.Generator, picture: Picture, image: NDArray[np.uint8], cell: tuple[int, int, int, int], size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Puts a scaled, perhaps mirrored part of `picture` into `cell`; returns boxes and ignore boxes on the canvas."""
    height, width = picture.image.shape[:2]
    x1, y1, x2, y2 = cell
    scale = _scale(rng, picture, cell, size)
    stretch = float(np.exp(rng.uniform(-0.15, 0.15)))
    sx, sy = scale * stretch, scale / stretch
    left = _offset(rng, x2 - x1, width * sx)
    top = _offset(rng, y2 - y1, height * sy)
    # source rectangle that fills the cell, in whole source pixels
    u1, v1 = max(0, int(-left / sx)), max(0, int(-top / sy))
    u2 = min(width, int(np.ceil((x2 - x1 - left) / sx)))
    v2 = min(height, int(np.ceil((y2 - y1 - top) / sy)))
    a1, b1 = round(u1 * sx + left), round(v1 * sy + top)
    a2, b2 = max(round(u2 * sx + left), a1 + 1), max(round(v2 * sy + top), b1 + 1)
    patch = cv2.resize(
        picture.image[v1:v2, u1:u2], (a2 - a1, b2 - b1), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    flip = rng.random() < 0.5
    c1, d1, c2, d2 = max(a1, 0), max(b1, 0), min(a2, x2 - x1), min(b2, y2 - y1)
    part = patch[d1 - b1 : d2 - b1, c1 - a1 : c2 - a1]
    if flip:
        image[y1 + d1 : y1 + d2, x2 - c2 : x2 - c1] = part[:, ::-1]
    else:
        image[y1 + d1 : y1 + d2, x1 + c1 : x1 + c2] = part
    affine = np.array([sx, sy, sx, sy], np.float32), np.array([left, top, left, top], np.float32)
    out = []
    for group in (picture.boxes, picture.ignore):
        moved = group * affine[0] + affine[1]
        if flip:
            moved = np.stack([x2 - x1 - moved[:, 2], moved[:, 1], x2 - x1 - moved[:, 0], moved[:, 3]], 1)
        out.append(moved + np.array([x1, y1, x1, y1], np.float32))
    return _clip(out[0], out[1], cell)


def _offset(rng: np.random.Generator, room: int, length: float) -> float:
    slack = room - length
    return float(rng.uniform(min(slack, 0.0), max(slack, 0.0)))


def _clip(
    boxes: NDArray[np.float32], ignore: NDArray[np.float32], cell: tuple[int, int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    low, high = np.array(cell[:2] * 2, np.float32), np.array(cell[2:] * 2, np.float32)
    cut, doubt = np.clip(boxes, low, high), np.clip(ignore, low, high)
    full = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    sides = cut[:, 2:] - cut[:, :2]
    seen = sides[:, 0] * sides[:, 1] / np.maximum(full, 1e-6)
    good = (seen >= MIN_VISIBLE) & (sides.min(1, initial=np.inf) >= 4) & (sides.max(1, initial=0) >= 8)
    rest = np.concatenate([cut[~good], doubt])
    rest = rest[(rest[:, 2] - rest[:, 0] > 1) & (rest[:, 3] - rest[:, 1] > 1)]
    return cut[good], rest


def _colour(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hue, saturation, value; now and then grey, blurred or noisy, as video frames are."""
    if rng.random() < 0.8:
        hue, sat, val = rng.uniform(-1, 1, 3) * (0.02, 0.6, 0.4)
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        ramp = np.arange(256, dtype=np.float32)
        table = np.stack(
            [
                (ramp + hue * 180) % 180,
                np.clip(ramp * (1 + sat), 0, 255),
                np.clip(ramp * (1 + val), 0, 255),
            ],
            1,
        ).astype(np.uint8)
        image = cv2.cvtColor(cv2.LUT(hsv, table[:, None]), cv2.COLOR_HSV2RGB)
    kind = rng.random()
    if kind < 0.04:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    elif kind < 0.10:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        image = cv2.filter2D(image, -1, kernel if rng.random() < 0.7 else np.ascontiguousarray(kernel.T))
    elif kind < 0.14:
        image = cv2.blur(image, (3, 3))
    return np.ascontiguousarray(image, dtype=np.uint8)
