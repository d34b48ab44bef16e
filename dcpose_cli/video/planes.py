"""Large decoded frames of which only what is looked at becomes RGB: a part, a crop, or a smaller picture."""

from __future__ import annotations

from threading import Lock
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from dcpose_cli.pixels import LARGE, ArrayPixels, Image, Part, Pixels, resized
from dcpose_cli.video.colour import ToRgb, can_be_cut
from dcpose_cli.video.orientation import Orientation
from dcpose_cli.video.sampling import Planes, can_be_sampled, planes_of, sampled

#: Parts are converted with so much around them, as a share of their size and in pixels at least, and up to multiples
#: of so many pixels: the next part that is asked for, around the same person, is often at hand then.
_AROUND: Final = 1 / 32
_STEP: Final = 16
#: A frame of which more than this share is asked for is converted whole.
_MOST: Final = 0.6


def upright_pixels(picture: av.VideoFrame, size: tuple[int, int], orientation: Orientation, to_rgb: ToRgb) -> Pixels:
    """The pixels of a decoded frame. size: width and height of the stored frames of the video, to which others are
    scaled. Raises av.FFmpegError or ValueError for pixel formats that cannot be converted."""
    if (picture.width, picture.height) == size and size[0] * size[1] > LARGE and can_be_cut(picture):
        return PlanePixels(picture, orientation, to_rgb)
    return ArrayPixels(orientation.apply(to_rgb(picture, *size)))


class PlanePixels(Pixels):
    """A decoded frame. Parts that were converted are kept; two that lie together become one.

    picture: the frame as it was decoded. orientation: how it stands upright. Threads take turns.
    """

    def __init__(self, picture: av.VideoFrame, orientation: Orientation, to_rgb: ToRgb) -> None:
        self.picture, self.orientation, self._to_rgb = picture, orientation, to_rgb
        width, height = picture.width, picture.height
        self.shape = (width, height, 3) if orientation.transpose else (height, width, 3)
        self._in_planes = can_be_sampled(picture)
        # Conversion changes the frame for a moment, and gives way to other threads meanwhile.
        self._lock = Lock()
        self._planes: Planes = ()
        self._known: dict[Part, Image] = {}
        self._thumbnail = orientation.apply(to_rgb.thumbnail(picture))

    def rgb(self) -> Image:
        """As in Pixels."""
        return self.region((0, 0, self.shape[1], self.shape[0]))

    def region(self, part: Part) -> Image:
        """As in Pixels."""
        part = self.clipped(part)
        if not _area(part):
            return np.empty((part[3] - part[1], part[2] - part[0], 3), np.uint8)
        with self._lock:
            (x, y, *_), rgb = self._converted(part)
            return rgb[part[1] - y : part[3] - y, part[0] - x : part[2] - x]

    def scaled(self, width: int, height: int) -> Image:
        """As in Pixels."""
        # Scaled to more than half of its size, the colours of 4:2:0 would be enlarged: that is done in RGB.
        if 2 * width > self.shape[1] or 2 * height > self.shape[0]:
            return resized(self.rgb(), width, height)
        stored = (height, width) if self.orientation.transpose else (width, height)
        with self._lock:
            return self.orientation.apply(self._to_rgb.scaled(self.picture, *stored))

    def averaged(self, part: Part, width: int, height: int) -> Image:
        """As in Pixels."""
        x0, y0, x1, y1 = part = self.clipped(part)
        # As in `scaled`.
        if 2 * width > x1 - x0 or 2 * height > y1 - y0:
            return super().averaged(part, width, height)
        stored = (height, width) if self.orientation.transpose else (width, height)
        with self._lock:
            return self.orientation.apply(self._to_rgb.scaled(self.picture, *stored, self._stored(part)))

    def prepare(self, part: Part) -> None:
        """As in Pixels."""
        if not self._in_planes:
            self.region(part)

    def sampled(self, affine: NDArray[np.float64], size: tuple[int, int], part: Part) -> Image:
        """As in Pixels."""
        if not self._in_planes:
            return super().sampled(affine, size, part)
        stored = np.concatenate([affine, [[0, 0, 1]]]) @ self.orientation.matrix(
            self.picture.width, self.picture.height
        )
        with self._lock:
            self._planes = self._planes or planes_of(self.picture)
            return self._to_rgb(sampled(self.picture, self._planes, stored, size), *size)

    def thumbnail(self) -> Image:
        """As in Pixels."""
        return self._thumbnail

    def _converted(self, part: Part) -> tuple[Part, Image]:
        """A rectangle that holds this part, and its RGB."""
        for at, rgb in self._known.items():
            if _holds(at, part):
                return at, rgb
        at = self._grown(part)
        while near := [other for other in self._known if _area(_union(at, other)) <= _area(at) + _area(other)]:
            for other in near:
                at = _union(at, other)
                del self._known[other]
        height, width = self.shape[:2]
        if _area(at) + sum(map(_area, self._known)) > _MOST * height * width:
            self._known.clear()
            at = 0, 0, width, height
        self._known[at] = self.orientation.apply(self._to_rgb.part(self.picture, self._stored(at)))
        return at, self._known[at]

    def _grown(self, part: Part) -> Part:
        """A part with some of what lies around it."""
        x0, y0, x1, y1 = part
        dx, dy = (max(_STEP, round(_AROUND * side)) for side in (x1 - x0, y1 - y0))
        low = [(v - d) // _STEP * _STEP for v, d in ((x0, dx), (y0, dy))]
        high = [-(-(v + d) // _STEP) * _STEP for v, d in ((x1, dx), (y1, dy))]
        return self.clipped((low[0], low[1], high[0], high[1]))

    def _stored(self, part: Part) -> Part:
        """A part of the upright frame in the stored one."""
        height, width = self.shape[:2]
        x0, y0, x1, y1 = part
        if self.orientation.flip_x:
            x0, x1 = width - x1, width - x0
        if self.orientation.flip_y:
            y0, y1 = height - y1, height - y0
        return (y0, x0, y1, x1) if self.orientation.transpose else (x0, y0, x1, y1)


def _holds(outer: Part, inner: Part) -> bool:
    low = outer[0] <= inner[0] and outer[1] <= inner[1]
    return low and inner[2] <= outer[2] and inner[3] <= outer[3]


def _union(first: Part, second: Part) -> Part:
    low = min(first[0], second[0]), min(first[1], second[1])
    return (*low, max(first[2], second[2]), max(first[3], second[3]))


def _area(part: Part) -> int:
    return (part[2] - part[0]) * (part[3] - part[1])
