"""Drawings without people, made at random: test cards, letters, digits, charts, poles, circles.

Photographs contain few of them: a detector trained on photographs alone takes a large digit or a colour bar for a
person.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

_Image = NDArray[np.uint8]

SIDE: Final = 192
_TEXT: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ:./-+%?!"


def draw_graphic(rng: np.random.Generator) -> _Image:
    """One drawing, (SIDE, SIDE, 3) uint8: a ground of one of several kinds with shapes and letters on it."""
    grounds: tuple[Callable[[np.random.Generator], _Image], ...] = (_flat, _ramp, _bars, _checks, _waves, _noise)
    image = np.ascontiguousarray(grounds[int(rng.integers(len(grounds)))](rng))
    for _ in range(int(rng.integers(0, 7))):
        _shape(rng, image)
    for _ in range(int(rng.integers(0, 4))):
        _letters(rng, image)
    if rng.random() < 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 3))), np.uint8)
    return image


def _ink(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _flat(rng: np.random.Generator) -> _Image:
    return np.full((SIDE, SIDE, 3), _ink(rng), np.uint8)


def _ramp(rng: np.random.Generator) -> _Image:
    slope = rng.normal(0, 1, 2)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    share = np.clip(0.5 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5), 0, 1)[..., None]
    return np.asarray(share * np.array(_ink(rng)) + (1 - share) * np.array(_ink(rng)), np.uint8)


def _bars(rng: np.random.Generator) -> _Image:
    colours = rng.integers(0, 256, (int(rng.integers(3, 13)), 3)).astype(np.uint8)
    row = colours[np.arange(SIDE) * len(colours) // SIDE]
    image = np.repeat(row[None], SIDE, axis=0)
    return image if rng.random() < 0.7 else image.transpose(1, 0, 2)


def _checks(rng: np.random.Generator) -> _Image:
    cell = int(rng.integers(4, 48))
    y, x = np.mgrid[0:SIDE, 0:SIDE] // cell
    return np.where(((x + y) % 2)[..., None] == 0, _ink(rng), _ink(rng)).astype(np.uint8)


def _waves(rng: np.random.Generator) -> _Image:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    phase = rng.uniform(0, 6, 3)
    turns = rng.uniform(2, 60, (3, 2))
    waves = [np.sin(turns[c, 0] * x + turns[c, 1] * y + phase[c]) for c in range(3)]
    return np.asarray(127.5 + 127 * np.stack(waves, axis=-1), np.uint8)


def _noise(rng: np.random.Generator) -> _Image:
    side = int(rng.integers(3, SIDE))
    small = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
    way = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=way), np.uint8)


def _shape(rng: np.random.Generator, image: _Image) -> None:
    ink, width = _ink(rng), int(rng.choice([-1, -1, 1, 2, 4, 8]))
    (x, y), (w, h) = rng.integers(0, SIDE, 2).tolist(), rng.integers(4, SIDE // 2, 2).tolist()
    kind = int(rng.integers(5))
    if kind == 0:
        cv2.rectangle(image, (x, y), (x + w, y + h), ink, width)
    elif kind == 1:
        cv2.ellipse(image, (x, y), (w // 2, h // 2), float(rng.uniform(0, 180)), 0, 360, ink, width)
    elif kind == 2:  # a pole, upright and thin as a person is
        cv2.rectangle(image, (x, y), (x + max(2, h // 6), y + 2 * h), ink, -1)
    elif kind == 3:
        cv2.line(image, (x, y), (x + w - SIDE // 4, y + h), ink, abs(width))
    else:
        corners = np.array([[x, y]]) + rng.integers(-h, h + 1, (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(image, [corners.astype(np.int32)], ink)


def _letters(rng: np.random.Generator, image: _Image) -> None:
    text = "".join(rng.choice(list(_TEXT), int(rng.integers(1, 6))))
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    size = float(rng.choice([0.6, 1.2, 2.5, 5.0, 7.5]))
    corner = (int(rng.integers(-10, SIDE * 3 // 4)), int(rng.integers(SIDE // 4, SIDE + 20)))
    cv2.putText(image, text, corner, font, size, _ink(rng), max(1, int(size * rng.uniform(1, 5))), cv2.LINE_AA)
