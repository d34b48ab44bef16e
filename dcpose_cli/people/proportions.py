"""Frames whose pixels are not square, shown to the detector in the proportions in which they are displayed.

A detector learned from undistorted people. In the stored pixels of such a video people are too narrow or too wide: its
boxes lie less well around them, and the joints of unsure limbs move with the boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from .._opencv import cv2
from ..pixels import ArrayPixels, Image, Pixels, pixels_of
from ..types import Detections
from .protocols import Find

#: A frame grows to at most this many times its pixels; what would become larger is scaled down.
MOST_PIXELS: Final = 2.0


def displayed_size(width: int, height: int, pixel_aspect: float) -> tuple[int, int]:
    """Width and height in square pixels of a frame, where no side is scaled down as long as MOST_PIXELS allows it.

    width, height: as stored. pixel_aspect: width of a pixel over its height.
    """
    wide, high = max(1.0, pixel_aspect), max(1.0, 1 / pixel_aspect)
    shrink = min(1.0, (MOST_PIXELS / (wide * high)) ** 0.5)
    return max(1, round(width * wide * shrink)), max(1, round(height * high * shrink))


def displayed(image: Image | Pixels, pixel_aspect: float) -> Image | Pixels:
    """A frame in stored pixels -> the same picture in square pixels; see `displayed_size`."""
    size = displayed_size(image.shape[1], image.shape[0], pixel_aspect)
    if size == (image.shape[1], image.shape[0]):
        return image
    whole = pixels_of(image).rgb()
    return ArrayPixels(np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR), np.uint8))


def in_proportion(find: Find, pixel_aspect: float) -> Find:
    """`find` for frames in stored pixels: it sees them displayed, and its boxes (N, 4) xywh are in stored pixels."""
    if pixel_aspect == 1:
        return find

    def found_in(images: Sequence[Image | Pixels]) -> list[Detections]:
        shown = [displayed(image, pixel_aspect) for image in images]
        found = find(shown)
        return [_stored(people, image, big) for people, image, big in zip(found, images, shown, strict=True)]

    return found_in


def _stored(people: Detections, image: Image | Pixels, shown: Image | Pixels) -> Detections:
    scale = np.array([image.shape[1] / shown.shape[1], image.shape[0] / shown.shape[0]] * 2, np.float32)
    return Detections(people.boxes * scale, people.scores)
