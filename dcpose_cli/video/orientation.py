"""How a stored picture is turned and mirrored to stand upright, from a container's display matrix."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

_MATRIX = struct.Struct("=9i")


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to lay a rectangle on its own grid: transpose first, then flip.

    transpose: rows become columns. flip_x, flip_y: then mirror left-right, top-bottom.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @staticmethod
    def of_frame(frame: av.VideoFrame) -> Orientation:
        """The orientation a decoded frame asks for; upright when it says nothing."""
        try:
            entries: Any = frame.side_data  # its stub names the wrong type
            matrix = next((bytes(data) for data in entries if data.type.name == "DISPLAYMATRIX"), b"")
        except ValueError:  # side data of a kind PyAV has no name for; the angle alone is still readable
            return Orientation.of_angle(-frame.rotation)
        return Orientation.of_matrix(_MATRIX.unpack(matrix)) if len(matrix) == _MATRIX.size else Orientation()

    @staticmethod
    def of_matrix(matrix: tuple[int, ...]) -> Orientation:
        """The orientation nearest to a display matrix (a b u c d v x y w): shown x = ax + cy, shown y = bx + dy."""
        a, b, _, c, d = matrix[:5]
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return Orientation(False, a < 0, d < 0)
        return Orientation(True, c < 0, b < 0)

    @staticmethod
    def of_angle(clockwise: int) -> Orientation:
        """The orientation for a turn by the multiple of 90 degrees nearest to `clockwise`."""
        turns = round(clockwise / 90) % 4
        return Orientation(turns % 2 == 1, turns in (1, 2), turns in (2, 3))

    @property
    def mirrored(self) -> bool:
        """True when text would read backwards without this orientation being applied."""
        return self.transpose ^ self.flip_x ^ self.flip_y

    @property
    def rotation(self) -> int:
        """Clockwise degrees (0, 90, 180, 270) to turn the picture, after flipping it left-right if it is mirrored."""
        # With the left-right flip done first, each orientation is a pure turn: read it off the vertical axis.
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def matrix(self, width: int, height: int) -> NDArray[np.float64]:
        """(3, 3) from pixels of the stored picture, of this width and height, to those of the upright one."""
        matrix = np.eye(3)[[1, 0, 2]] if self.transpose else np.eye(3)
        sides = (height, width) if self.transpose else (width, height)
        for row, flipped in enumerate((self.flip_x, self.flip_y)):
            if flipped:
                matrix[row] = np.array([0, 0, sides[row] - 1]) - matrix[row]
        return matrix

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The upright picture, contiguous in memory. image: (H, W, 3) or (H, W)."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        rows = slice(None, None, -1 if self.flip_y else 1)
        columns = slice(None, None, -1 if self.flip_x else 1)
        return np.ascontiguousarray(image[rows, columns])
