"""Which part of a crop a network looks at: the whole of it, or only the person and a margin around them.

A crop has one aspect for everybody. Of a person who stands or lies it shows much to both sides that says nothing of
them, and other people. A network of convolutions takes crops of any size: where a model was trained for it, what lies
beyond the margin is cut off at both sides alike, and the scale stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .crop import SCALE_UNIT, box_to_center_scale, crop_affines

#: Crops of one size are computed together: there are few sizes, so many pixels apart.
STEP: Final = 32
#: Largest margin that makes sense: beyond it no crop is trimmed.
MOST_MARGIN: Final = 10.0
#: Of a step: what is needed may be so much more than a step without another one. Where it is a whole number of steps,
#: as with no margin often, rounding does not decide.
_ROUNDING: Final = 1e-4
#: No side becomes shorter than this, unless the whole crop is.
LEAST: Final = 64


@dataclass(frozen=True, slots=True)
class CropShape:
    """size: width and height of a whole crop in pixels. enlarge: factor on the sides of a box. margin: what is kept
    around the person, in shares of the longer side of their box; None for whole crops."""

    size: tuple[int, int]
    enlarge: float = 1.25
    margin: float | None = None

    def sizes(self, people: NDArray[np.float32], shown: NDArray[np.float32]) -> NDArray[np.int64]:
        """(N, 2) width and height in pixels of the middle parts of crops that are looked at.

        people: (N, 4) xywh, boxes around all of a person that a crop is to show. shown: (N, 4), the boxes that the
        crops are cut with.
        """
        if self.margin is None or not len(people):
            return np.tile(np.array(self.size, np.int64), (len(people), 1))
        centers, scales = box_to_center_scale(shown, self.size, self.enlarge)
        aside = np.abs(people[:, :2] + people[:, 2:] / 2 - centers)
        half = people[:, 2:] / 2 + aside + self.margin * people[:, 2:].max(axis=1, keepdims=True)
        return self.sizes_around(half * (self.size[0] / (scales[:, :1] * SCALE_UNIT)))

    def sizes_around(self, half: NDArray[np.floating]) -> NDArray[np.int64]:
        """The same from half the width and height that must be seen around the middle of crops, (N, 2) crop pixels."""
        size = np.array(self.size, np.int64)
        most = np.maximum(size - LEAST, 0) // STEP
        steps = np.clip(np.floor((size - 2 * half) / STEP + _ROUNDING), 0, most).astype(np.int64)
        trimmed: NDArray[np.int64] = size - STEP * steps
        return trimmed

    def offset(self, size: ArrayLike) -> NDArray[np.float64]:
        """(..., 2) where the first pixel of middle parts of these widths and heights lies in the whole crop, pixels."""
        first: NDArray[np.float64] = (np.array(self.size, np.float64) - np.asarray(size)) / 2
        return first

    def affines(
        self, boxes: NDArray[np.float32], sizes: NDArray[np.int64], pixel_aspect: float = 1.0, *, udp: bool = False
    ) -> NDArray[np.float64]:
        """(N, 2, 3) matrices from image pixels to the pixels of middle parts of crops.

        boxes: (N, 4) xywh in square pixels, which the crops are cut with. sizes: (N, 2) of the parts. pixel_aspect:
        width of an image pixel over its height. udp: see `crop_affine`.
        """
        affines = crop_affines(boxes, self.size, self.enlarge, udp=udp)
        affines[:, :, 0] *= pixel_aspect
        affines[:, :, 2] -= self.offset(sizes)
        return affines
