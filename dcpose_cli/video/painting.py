"""Frames with something drawn on them, as the encoder takes them: what is not drawn on stays as it was decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeGuard

import av
import numpy as np

from dcpose_cli.pixels import Image, Part, Pixels
from dcpose_cli.video.colour import ToYuv420, is_as_encoded, plane_samples
from dcpose_cli.video.orientation import Orientation
from dcpose_cli.video.planes import PlanePixels

#: Parts are drawn on with so many pixels around them, to multiples of as many; the outer half of those, from which
#: colours are averaged, is not written back.
_MARGIN: Final = 16
#: A frame of which more than this share is drawn on is converted whole.
_MOST: Final = 0.5


class Drawn(NamedTuple):
    """A frame that something is drawn on.

    draw: called once with (H, W, 3) uint8 RGB of the frame, to write on it inside of `parts`; elsewhere there may be
    anything.
    """

    pixels: Pixels
    parts: Sequence[Part]
    draw: Callable[[Image], None]


class Painter:
    """Makes the frames of one video for the encoder; used by one thread."""

    def __init__(self) -> None:
        self._to_yuv = ToYuv420()
        self._canvas: Image = np.empty((0, 0, 3), np.uint8)

    def __call__(self, drawn: Drawn) -> av.VideoFrame:
        """The frame, limited-range BT.709 yuv420p of even size."""
        pixels, parts, draw = drawn
        outer = [_grown(part, pixels) for part in parts]
        area = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in outer)
        if not _keeps_planes(pixels) or area > _MOST * pixels.shape[0] * pixels.shape[1]:
            image = np.array(pixels.rgb(), order="C", copy=True)
            draw(image)
            return self.whole(image)
        if self._canvas.shape != pixels.shape:
            self._canvas = np.empty(pixels.shape, np.uint8)
        for x0, y0, x1, y1 in outer:
            self._canvas[y0:y1, x0:x1] = pixels.region((x0, y0, x1, y1))
        draw(self._canvas)
        frame = _copy(pixels.picture)
        for part in outer:
            self._write(frame, part)
        return frame

    def whole(self, image: Image) -> av.VideoFrame:
        """The frame of an RGB image, (H, W, 3) uint8."""
        return self._to_yuv(_padded_to_even(image))

    def _write(self, frame: av.VideoFrame, part: Part) -> None:
        """A part of the canvas into the frame, without its outermost pixels."""
        x0, y0, x1, y1 = part
        fresh = self._to_yuv(np.ascontiguousarray(self._canvas[y0:y1, x0:x1]))
        height, width = self._canvas.shape[:2]
        edge = _MARGIN // 2
        left, right = (0 if x0 == 0 else edge), x1 - x0 - (0 if x1 == width else edge)
        top, bottom = (0 if y0 == 0 else edge), y1 - y0 - (0 if y1 == height else edge)
        for step, target, source in zip((1, 2, 2), frame.planes, fresh.planes, strict=True):
            rows, columns = slice(top // step, bottom // step), slice(left // step, right // step)
            inner = plane_samples(source)[rows, columns]
            plane_samples(target)[y0 // step :, x0 // step :][rows, columns] = inner


def _keeps_planes(pixels: Pixels) -> TypeGuard[PlanePixels]:
    upright = Orientation()
    return isinstance(pixels, PlanePixels) and pixels.orientation == upright and is_as_encoded(pixels.picture)


def _grown(part: Part, pixels: Pixels) -> Part:
    x0, y0 = (v // _MARGIN * _MARGIN - _MARGIN for v in part[:2])
    x1, y1 = (-(-v // _MARGIN) * _MARGIN + _MARGIN for v in part[2:])
    return pixels.clipped((x0, y0, x1, y1))


def _copy(picture: av.VideoFrame) -> av.VideoFrame:
    """The samples of a yuv420p frame in a new one, without what else the decoder said of it (its type, say)."""
    frame = av.VideoFrame(picture.width, picture.height, "yuv420p")
    for target, source in zip(frame.planes, picture.planes, strict=True):
        plane_samples(target)[:] = plane_samples(source)
    return frame


def _padded_to_even(image: Image) -> Image:
    """The image with its last column and row repeated where the size is odd, as 4:2:0 needs."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
