"""Canvases for training the person detector, cut at random from the pictures of the pack.

A canvas is one picture or a mosaic of two, four, nine or sixteen, scaled so that a chosen person gets a chosen height:
at run time people are 16 pixels tall and up to several frames wide, and the network must see all of these. Some are
turned, as tilted cameras and lying people are, and some canvases are damaged as video frames are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from .data import Picture, as_boxes
from .graphics import draw_graphic
from .recipe import CanvasConfig
from .turn import turned_boxes

#: A person of whom less than this share lies inside a canvas is neither wanted nor punished there,
MIN_VISIBLE: Final = 0.25
#: unless the head is inside and what is seen covers this share of the tile: a face close to the camera.
CLOSE_VISIBLE: Final = 0.08
CLOSE_COVER: Final = 0.3
PADDING_GREY: Final = 114
#: Canvases of this side and up may be mosaics of sixteen.
GRID_SIDE: Final = 320
#: Smallest person aimed at, pixels; scales beyond this blur more than they teach.
SMALLEST: Final = 16.0
MAX_SCALE: Final = 3.5
#: A squashed picture is widened by a factor between these.
WIDEN: Final = (1.15, 1.55)

_Box = NDArray[np.float32]
_Cell = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """One training sample: image (S, S, 3) uint8 RGB; boxes, ignore as in Picture; unsure: (K, 4) xyxy regions
    cut from pictures whose unboxed people are not known; clean: the image before it was damaged, None if it was not."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    ignore: NDArray[np.float32]
    unsure: NDArray[np.float32]
    clean: NDArray[np.uint8] | None = None


class CanvasMaker:
    """Cuts random canvases from whole pictures, crops, and pictures without people, in the recipe's shares."""

    def __init__(
        self,
        whole: Sequence[Picture],
        crops: Sequence[Picture],
        config: CanvasConfig,
        empty: Sequence[Picture] = (),
    ) -> None:
        self._whole, self._crops, self._empty, self._config = whole, crops, empty, config

    def make(self, rng: np.random.Generator, size: int, mosaic: float) -> Canvas:
        """One canvas of `size` x `size` pixels, a mosaic with probability `mosaic`."""
        image = np.empty((size, size, 3), np.uint8)
        image[:] = PADDING_GREY if rng.random() < 0.6 else rng.integers(0, 256, 3, dtype=np.uint8)
        boxes: list[_Box] = []
        ignore: list[_Box] = []
        unsure: list[_Cell] = []
        for cell in _cells(rng, size, mosaic):
            picture = self._draw(rng)
            seen, doubtful = _paste(rng, picture, image, cell, size, self._config)
            boxes.append(seen)
            ignore.append(doubtful)
            if not picture.complete:
                unsure.append(cell)
        image = _colour(rng, image)
        found = np.concatenate(boxes), np.concatenate(ignore), as_boxes(unsure)
        if self._config.damage and rng.random() < self._config.damage:
            return Canvas(damaged(rng, image), *found, clean=image)
        return Canvas(image, *found)

    def _draw(self, rng: np.random.Generator) -> Picture:
        config = self._config
        if config.graphics and rng.random() < config.graphics:
            return Picture(draw_graphic(rng), as_boxes([]), as_boxes([]), True)
        if self._empty and rng.random() < config.empty:
            return self._empty[int(rng.integers(len(self._empty)))]
        pool = self._crops if self._crops and rng.random() < config.crop_share else self._whole
        return pool[int(rng.integers(len(pool)))]


def _cells(rng: np.random.Generator, size: int, mosaic: float) -> list[tuple[int, int, int, int]]:
    """The whole canvas, or (a mosaic) two halves, four quarters, or nine or sixteen for small people."""
    if rng.random() >= mosaic:
        return [(0, 0, size, size)]
    kind = rng.random()
    x, y = (int(size * v) for v in rng.uniform(0.3, 0.7, 2))
    if kind < 0.22:
        return [(0, 0, x, size), (x, 0, size, size)]
    if kind < 0.30:
        return [(0, 0, size, y), (0, y, size, size)]
    columns, rows = [0, x, size], [0, y, size]
    if kind > 0.8:
        count = 4 if kind > 0.9 and size >= GRID_SIDE else 3
        columns = rows = [size * i // count for i in range(count + 1)]
    return [(left, top, right, low) for top, low in pairwise(rows) for left, right in pairwise(columns)]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _choose(
    rng: np.random.Generator, picture: Picture, cell: _Cell, size: int, config: CanvasConfig
) -> tuple[_Box | None, float]:
    """One person of the picture, None in an empty one, and canvas pixels per picture pixel.

    The scale gives the person a wanted height, within what suits the cell.
    """
    height, width = picture.size
    x1, y1, x2, y2 = cell
    fit = min((x2 - x1) / width, (y2 - y1) / height)
    if len(picture.boxes) == 0:
        return None, float(np.clip(fit * _log_uniform(rng, 0.8, 2.5), 0.1, 2.5))
    sides = picture.boxes[:, 2:] - picture.boxes[:, :2]
    tall = np.maximum(np.maximum(sides[:, 1], sides[:, 0] * 0.7), 4.0)
    kind = rng.random()
    if kind < config.small:
        number, goal = int(tall.argmin()), _log_uniform(rng, SMALLEST, max(0.15 * size, SMALLEST + 1))
        low, high = max(0.5 * fit, 0.05), max(2.2 * fit, 0.2)
    elif kind < config.small + config.large:
        number, goal = int(tall.argmax()), _log_uniform(rng, 1.0, 3.0) * size
        low, high = max(0.7 * fit, 0.1), MAX_SCALE
    else:
        number, goal = int(rng.integers(len(tall))), _log_uniform(rng, 0.15, 1.25) * size
        low, high = max(0.75 * fit, 0.1), max(2.2 * fit, 0.2)
    return picture.boxes[number], float(np.clip(goal / tall[number], low, min(high, MAX_SCALE)))


def _angle(rng: np.random.Generator, config: CanvasConfig) -> float:
    """Degrees by which a tile is turned, mostly 0."""
    if not (config.tilt or config.quarter):
        return 0.0
    kind = rng.random()
    if kind < config.tilt:
        return float(rng.uniform(-45, 45))
    if kind < config.tilt + config.quarter:
        return float(rng.choice([-90.0, 90.0]) + rng.uniform(-10, 10))
    return 0.0


def _paste(
    rng: np.random.Generator,
    picture: Picture,
    image: NDArray[np.uint8],
    cell: _Cell,
    size: int,
    config: CanvasConfig,
) -> tuple[_Box, _Box]:
    """Puts a scaled, perhaps mirrored and turned part of `picture` into `cell`.

    Returns boxes and ignore boxes on the canvas.
    """
    pixels = picture.image
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = cell
    room = np.array([x2 - x1, y2 - y1], np.float64)
    person, scale = _choose(rng, picture, cell, size, config)
    stretch = float(np.exp(rng.uniform(-0.15, 0.15)))
    scales = np.array([scale * stretch, scale / stretch])
    if picture.squashed:
        scales[0] *= rng.uniform(*WIDEN)
    slack = room - scales * (width, height)
    least, most = np.minimum(slack, 0.0), np.maximum(slack, 0.0)
    corner = rng.uniform(least, most)
    pivot = room / 2
    if person is not None and rng.random() < 0.7:  # the upper body of that person stays in sight
        low, high = person[:2].astype(np.float64), person[2:].astype(np.float64)
        anchor = low + (high - low) * (rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.6))
        corner = np.clip(room * rng.uniform(0.2, 0.8, 2) - anchor * scales, least, most)
        pivot = np.clip(anchor * scales + corner, 0, room)
    matrix = np.array([[scales[0], 0, corner[0]], [0, scales[1], corner[1]]])
    flip, angle = rng.random() < 0.5, _angle(rng, config)
    if flip:
        matrix[0] = -matrix[0, 0], 0, room[0] - matrix[0, 2]
        pivot[0] = room[0] - pivot[0]
    part = image[y1:y2, x1:x2]
    if angle:
        matrix = _turn(matrix, angle, pivot)
        _warp(pixels, matrix, part)
    else:
        _scale_into(pixels, scales, corner, part, flip)
    boxes, heads = turned_boxes(picture.boxes, matrix, picture.joints)
    ignore, _ = turned_boxes(picture.ignore, matrix, spread=1.0)
    shift = np.array([x1, y1], np.float32)
    return _clip(boxes + np.tile(shift, 2), ignore + np.tile(shift, 2), heads + shift, cell)


def _turn(matrix: NDArray[np.float64], angle: float, pivot: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine map (2, 3) followed by a turn of `angle` degrees about `pivot`."""
    sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]])
    out = turn @ matrix
    out[:, 2] += pivot - turn @ pivot
    return np.asarray(out, np.float64)


def _warp(pixels: NDArray[np.uint8], matrix: NDArray[np.float64], part: NDArray[np.uint8]) -> None:
    """Draws `pixels` over `part` by an affine map (2, 3) of edge coordinates; the rest of `part` stays."""
    height, width = pixels.shape[:2]
    linear = matrix[:, :2]
    scales = np.hypot(*linear)
    if scales.min() < 0.7:  # averaged first, so that fine patterns do not flicker
        small = max(1, round(width * min(scales[0], 1.0))), max(1, round(height * min(scales[1], 1.0)))
        pixels = np.asarray(cv2.resize(pixels, small, interpolation=cv2.INTER_AREA), np.uint8)
        linear = linear * (width / small[0], height / small[1])
    offset = matrix[:, 2] + linear @ (0.5, 0.5) - 0.5  # from edges to the centres of pixels
    target = np.ascontiguousarray(part)
    cv2.warpAffine(
        pixels,
        np.column_stack([linear, offset]),
        (part.shape[1], part.shape[0]),
        dst=target,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    part[:] = target


def _scale_into(
    pixels: NDArray[np.uint8],
    scales: NDArray[np.float64],
    corner: NDArray[np.float64],
    part: NDArray[np.uint8],
    flip: bool,
) -> None:
    """Draws `pixels`, scaled and with the upper left corner at `corner`, over `part`; mirrored within it if `flip`."""
    height, width = pixels.shape[:2]
    (sx, sy), (left, top) = scales.tolist(), corner.tolist()
    rows, columns = part.shape[:2]
    # source rectangle that fills the cell, in whole source pixels
    u1, v1 = max(0, int(-left / sx)), max(0, int(-top / sy))
    u2 = min(width, int(np.ceil((columns - left) / sx)))
    v2 = min(height, int(np.ceil((rows - top) / sy)))
    a1, b1 = round(u1 * sx + left), round(v1 * sy + top)
    a2, b2 = max(round(u2 * sx + left), a1 + 1), max(round(v2 * sy + top), b1 + 1)
    method = cv2.INTER_AREA if sx * sy < 1 else cv2.INTER_LINEAR
    patch = cv2.resize(pixels[v1:v2, u1:u2], (a2 - a1, b2 - b1), interpolation=method)
    c1, d1, c2, d2 = max(a1, 0), max(b1, 0), min(a2, columns), min(b2, rows)
    seen = patch[d1 - b1 : d2 - b1, c1 - a1 : c2 - a1]
    if flip:
        part[d1:d2, columns - c2 : columns - c1] = seen[:, ::-1]
    else:
        part[d1:d2, c1:c2] = seen


def _clip(boxes: _Box, ignore: _Box, heads: NDArray[np.float32], cell: _Cell) -> tuple[_Box, _Box]:
    """What of the boxes lies in the cell: people to find, and doubtful places. heads: (N, 2) where the heads are."""
    low, high = np.array(cell[:2] * 2, np.float32), np.array(cell[2:] * 2, np.float32)
    cut, doubt = np.clip(boxes, low, high), np.clip(ignore, low, high)
    full = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    sides = cut[:, 2:] - cut[:, :2]
    area = sides[:, 0] * sides[:, 1]
    seen = area / np.maximum(full, 1e-6)
    head = ((heads >= low[:2]) & (heads <= high[:2])).all(1)
    close = head & (seen >= CLOSE_VISIBLE) & (area >= CLOSE_COVER * float(np.prod(high[:2] - low[:2])))
    good = ((seen >= MIN_VISIBLE) | close) & (sides.min(1, initial=np.inf) >= 4) & (sides.max(1, initial=0) >= 8)
    rest = np.concatenate([cut[~good], doubt])
    rest = rest[(rest[:, 2] - rest[:, 0] > 1) & (rest[:, 3] - rest[:, 1] > 1)]
    return cut[good], rest


def damaged(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image with a typical fault of video: at night, moving, out of focus, far away, noisy, or compressed hard."""
    size = image.shape[0]
    kind = rng.random()
    if kind < 0.35:
        image = _night(rng, image)
    if kind < 0.1 or 0.35 <= kind < 0.65:
        image = _motion(rng, image, rng.uniform(0.01, 0.05) * size)
    elif 0.65 <= kind < 0.75:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.6, 2.5))), np.uint8)
    elif 0.75 <= kind < 0.85:
        side = max(8, int(size / rng.uniform(1.5, 3.0)))
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    elif kind >= 0.85:
        quality = int(rng.integers(8, 35))
        packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(image)


def _night(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Dark, low in contrast, perhaps tinted, with the noise of a sensor at its limit."""
    ramp = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.8, 1.8)
    tint = np.exp(rng.uniform(-0.2, 0.2, 3)) if rng.random() < 0.5 else np.ones(3)
    table = 255 * ramp * rng.uniform(0.18, 0.6) * tint + rng.uniform(0, 12)
    dark = cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[:, None])
    noise = rng.standard_normal(image.shape[:2], np.float32) * np.float32(rng.uniform(1, 9))
    return np.asarray(np.clip(dark.astype(np.float32) + noise[..., None], 0, 255), np.uint8)


def _motion(rng: np.random.Generator, image: NDArray[np.uint8], length: float) -> NDArray[np.uint8]:
    """Blurred along a line of this length in pixels, in any direction."""
    side = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((side, side), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2 * 16
    ends = [tuple((side // 2 * 16 + sign * reach).round().astype(int).tolist()) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    kernel[side // 2, side // 2] = max(kernel[side // 2, side // 2], 0.1)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _colour(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hue, saturation, value; now and then grey."""
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
    if rng.random() < 0.04:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image, dtype=np.uint8)
