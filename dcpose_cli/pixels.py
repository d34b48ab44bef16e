"""The pixels of a frame: an array of RGB, or decoded planes that become RGB where they are looked at (video/planes.py).

What is done with a large frame is done with the part of it that is needed, whoever holds the pixels, so that results
depend on the frames alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
#: A part of a frame: x0, y0, x1, y1 in whole pixels, the last ones outside.
Part: TypeAlias = tuple[int, int, int, int]

#: Frames of more pixels are converted, scaled and cut in parts; with smaller ones it does not pay.
LARGE: Final = 1_000_000
#: Side of a thumbnail, pixels.
THUMBNAIL: Final = 32


class Pixels(ABC):
    """What an upright frame shows. shape: (H, W, 3). Arrays that it returns may be views: they are not written to."""

    shape: tuple[int, int, int]

    @property
    def is_large(self) -> bool:
        """Whether it is worked on in parts."""
        return self.shape[0] * self.shape[1] > LARGE

    @abstractmethod
    def rgb(self) -> Image:
        """All of it, (H, W, 3) uint8 RGB."""

    @abstractmethod
    def region(self, part: Part) -> Image:
        """A part of it, as far as it lies in the frame: the same pixels as in `rgb`."""

    @abstractmethod
    def scaled(self, width: int, height: int) -> Image:
        """All of it in another size, (height, width, 3) uint8 RGB: averaged where smaller, interpolated where larger.

        Decoded planes that are scaled before they become RGB differ by a grey level here and there.
        """

    def averaged(self, part: Part, width: int, height: int) -> Image:
        """A part of it, some of which lies in the frame, in a smaller size: averages of the pixels, as in `scaled`."""
        from ._opencv import cv2  # late, as in `resized`

        return np.asarray(cv2.resize(self.region(part), (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    @abstractmethod
    def thumbnail(self) -> Image:
        """Every n-th pixel, (<= THUMBNAIL, <= THUMBNAIL, 3) uint8 RGB."""

    def prepare(self, part: Part) -> None:  # noqa: B027
        """Say that crops within this part will be sampled: what they need of it is made ready at once."""

    def sampled(self, affine: NDArray[np.float64], size: tuple[int, int], part: Part) -> Image:
        """A crop, (h, w, 3) uint8 RGB: bilinear, black outside of the frame.

        affine: (2, 3) from pixels of the frame to those of the crop, both counted from the middle of the first one.
        size: width and height of the crop. part: what of the frame it shows, at least.

        Decoded planes that are sampled before they become RGB differ by a grey level here and there.
        """
        from ._opencv import cv2  # late, as in `resized`

        part = self.clipped(part)
        image, moved = self.region(part), affine.copy()
        moved[:, 2] += affine[:, :2] @ part[:2]
        crop = cv2.warpAffine(image if image.size else _BLACK, moved, size, flags=cv2.INTER_LINEAR)
        return np.asarray(crop, np.uint8)

    def clipped(self, part: Part) -> Part:
        """A part as far as it lies in the frame; empty where it lies outside."""
        height, width = self.shape[:2]
        x0, y0, x1, y1 = (min(max(v, 0), side) for v, side in zip(part, (width, height) * 2, strict=True))
        return x0, y0, max(x0, x1), max(y0, y1)


class ArrayPixels(Pixels):
    """An array of RGB. image: (H, W, 3) uint8."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.shape = (image.shape[0], image.shape[1], 3)

    def rgb(self) -> Image:
        """As in Pixels."""
        return self._image

    def region(self, part: Part) -> Image:
        """As in Pixels."""
        x0, y0, x1, y1 = self.clipped(part)
        return self._image[y0:y1, x0:x1]

    def scaled(self, width: int, height: int) -> Image:
        """As in Pixels."""
        return resized(self._image, width, height)

    def thumbnail(self) -> Image:
        """As in Pixels."""
        h, w = self.shape[:2]
        rows = np.linspace(0, h - 1, min(h, THUMBNAIL)).astype(int)
        columns = np.linspace(0, w - 1, min(w, THUMBNAIL)).astype(int)
        thumb: Image = self._image[rows[:, None], columns]
        return thumb


#: What a crop shows that lies outside of the frame.
_BLACK: Final = np.zeros((1, 1, 3), np.uint8)
#: What is left of a frame that nobody will look at again.
NO_PIXELS: Final = ArrayPixels(np.empty((0, 0, 3), np.uint8))


def pixels_of(image: Image | Pixels) -> Pixels:
    """Pixels as they are, and an array (H, W, 3) uint8 RGB as pixels."""
    return image if isinstance(image, Pixels) else ArrayPixels(image)


def resized(image: Image, width: int, height: int) -> Image:
    """(H, W, 3) uint8 in another size: averaged where the long side becomes shorter, else interpolated."""
    from ._opencv import cv2  # late: the types of a result are at hand without it

    shrinks = max(width, height) < max(image.shape[:2])
    return np.asarray(
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8
    )
