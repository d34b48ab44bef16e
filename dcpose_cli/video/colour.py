"""Colours between what codecs store and RGB: the right matrix and range each way."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.filter import Graph
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from numpy.typing import DTypeLike, NDArray

from dcpose_cli._memory import Blocks
from dcpose_cli._opencv import cv2
from dcpose_cli.pixels import THUMBNAIL, Image, Part
from dcpose_cli.video.tonemap import HDR_TRANSFERS, tone_mapped

#: Codes shared by H.273 and libavutil (AVColorSpace, AVColorPrimaries, AVColorTransferCharacteristic).
BT709 = 1
LIMITED_RANGE = 1
FULL_RANGE = 2

# libswscale's numbers: bilinear, accurate rounding, full chroma interpolation. Without the last two a grey ramp comes
# back 1.7 levels darker; with them the mean error is 0.02.
_EXACT: Final = 0x40000 | 0x2000
_SCALING: Final = 0x2 | _EXACT
_AVERAGING: Final = 0x20 | _EXACT
_PICKING: Final = 0x10 | _EXACT
_SWS_BT601 = 5
_SWS_BT2020 = 9
_UNSPECIFIED = 2
_RGB_MATRIX = 0
#: Pixels around a part that its colours are interpolated from, with room to spare; parts begin at multiples of it.
_EDGE: Final = 8
#: What is converted at a time.
_BAND_ROWS: Final = 64
_BAND_PIXELS: Final = 1_000_000


class ToRgb:
    """Converts decoded frames of any pixel format to RGB, whole or in parts; frames are not yet turned upright.

    Several threads may convert, not the same frame at the same time. tone_mapped: the transfer function ("PQ", "HLG")
    of HDR frames that were converted so far, "" without. All methods raise av.FFmpegError or ValueError for formats
    nobody can read.
    """

    def __init__(self) -> None:
        self._of_thread = threading.local()
        self._blocks = Blocks()
        self.tone_mapped = ""

    def __call__(self, frame: av.VideoFrame, width: int, height: int) -> Image:
        """(height, width, 3) uint8 RGB; scaled where the size of the stream changed."""
        if (frame.width, frame.height) == (width, height) and can_be_cut(frame):
            return self.part(frame, (0, 0, width, height), self._blocks.empty((height, width, 3)))
        return self._converted(frame, frame, _SCALING, width, height)

    def part(self, frame: av.VideoFrame, part: Part, out: Image | None = None) -> Image:
        """(y1 - y0, x1 - x0, 3) uint8 RGB, the pixels of the whole converted frame; written into `out` where that is
        given. The frame must be one that `can_be_cut`."""
        x0, y0, x1, y1 = part
        out = np.empty((y1 - y0, x1 - x0, 3), np.uint8) if out is None else out
        # Little at a time: what is between planes and RGB stays in the cache of the processor.
        rows = max(_BAND_ROWS, _BAND_PIXELS // max(1, x1 - x0))
        for top in range(y0, y1, rows):
            bottom = min(top + rows, y1)
            cut, (left, above) = _cut(frame, (x0, top, x1, bottom))
            inner = slice(top - above, bottom - above), slice(x0 - left, x1 - left)
            self._converted(cut, frame, _SCALING, cut.width, cut.height, inner, out[top - y0 : bottom - y0])
        return out

    def scaled(self, frame: av.VideoFrame, width: int, height: int, part: Part | None = None) -> Image:
        """(height, width, 3) uint8 RGB of the frame or a part of it: averages of the pixels; for less than half of its
        size. Parts, of frames that `can_be_cut`, grow to whole samples of colour."""
        cut = frame if part is None else _crop(frame, _widened(part, _colour_steps(frame)))
        return self._converted(cut, frame, _AVERAGING, width, height)

    def thumbnail(self, frame: av.VideoFrame) -> Image:
        """Every n-th pixel, (<= THUMBNAIL, <= THUMBNAIL, 3) uint8 RGB."""
        return self._converted(frame, frame, _PICKING, min(frame.width, THUMBNAIL), min(frame.height, THUMBNAIL))

    def _converted(
        self,
        frame: av.VideoFrame,
        whole: av.VideoFrame,
        how: int,
        width: int,
        height: int,
        inner: tuple[slice, slice] = (slice(None), slice(None)),
        out: Image | None = None,
    ) -> Image:
        """A frame, or a part of `whole`, as RGB. how: flags of libswscale. inner: what of it goes into `out`."""
        hdr = is_hdr(whole)
        # By way of planes: the same numbers as packed RGB, for which libswscale has no vector code, in a third of the
        # time.
        planar = self._reformatter(how).reformat(
            frame,
            width=width,
            height=height,
            format="gbrp16le" if hdr else "gbrp",
            src_colorspace=source_matrix(whole),
            src_color_range=FULL_RANGE if not hdr and _is_named_full_range(whole) else None,
            dst_color_range=FULL_RANGE,
            interpolation=how,
            threads=1,
        )
        kind = np.dtype("<u2" if hdr else np.uint8)
        green, blue, red = (plane_samples(plane, kind)[inner] for plane in planar.planes)
        if not hdr:
            return np.asarray(cv2.merge([red, green, blue], dst=out), np.uint8)
        transfer = int(whole.color_trc)
        self.tone_mapped = HDR_TRANSFERS[transfer]
        return tone_mapped((red, green, blue), transfer, int(whole.color_primaries), out)

    def _reformatter(self, how: int) -> VideoReformatter:
        """One for each thread and way to scale: it keeps what it has prepared for the last size."""
        known: dict[int, VideoReformatter] = self._of_thread.__dict__.setdefault("known", {})
        return known.setdefault(how, VideoReformatter())


def can_be_cut(frame: av.VideoFrame) -> bool:
    """Whether parts of a frame become the same RGB as in the whole frame: where colours lie alike everywhere."""
    wide, high = _colour_steps(frame)
    return frame.width % wide == 0 and frame.height % high == 0


def _colour_steps(frame: av.VideoFrame) -> tuple[int, int]:
    """Pixels that have one colour sample, across and down."""
    return 64 // frame.format.chroma_width(64), 64 // frame.format.chroma_height(64)


def _cut(frame: av.VideoFrame, part: Part) -> tuple[av.VideoFrame, tuple[int, int]]:
    """A part of a frame with some pixels around it, where the frame has them, and where that begins. Nothing is
    copied."""
    x0, y0, x1, y1 = _widened(part, (_EDGE, _EDGE))
    x0, y0 = max(0, x0 - _EDGE), max(0, y0 - _EDGE)
    return _crop(frame, (x0, y0, min(x1 + _EDGE, frame.width), min(y1 + _EDGE, frame.height))), (x0, y0)


def _widened(part: Part, steps: tuple[int, int]) -> Part:
    """A part whose sides are moved outwards to multiples of so many pixels, across and down."""
    x0, y0, x1, y1 = part
    wide, high = steps
    return x0 // wide * wide, y0 // high * high, -(-x1 // wide) * wide, -(-y1 // high) * high


def _crop(frame: av.VideoFrame, part: Part) -> av.VideoFrame:
    """A part of a frame, which shares its samples."""
    x0, y0, x1, y1 = part
    if (x0, y0, x1, y1) == (0, 0, frame.width, frame.height):
        return frame
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    crop = graph.add("crop", f"w={x1 - x0}:h={y1 - y0}:x={x0}:y={y0}:exact=1")
    sink = graph.add("buffersink")
    source.link_to(crop)
    crop.link_to(sink)
    graph.configure()
    graph.push(frame)
    cut = graph.pull()
    assert isinstance(cut, av.VideoFrame)
    return cut


def plane_samples(plane: VideoPlane, kind: DTypeLike = np.uint8) -> NDArray[Any]:
    """(H, W) samples of a plane, a view."""
    return np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]


class ToYuv420:
    """Converts RGB to limited-range BT.709 yuv420p, what every H.264 player expects of it."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, image: NDArray[np.uint8]) -> av.VideoFrame:
        """The frame for the encoder. image: (H, W, 3) uint8 RGB with even H and W."""
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(image, format="rgb24"),
            format="yuv420p",
            src_color_range=FULL_RANGE,
            dst_colorspace=BT709,
            dst_color_range=LIMITED_RANGE,
            interpolation=_SCALING,
            threads=1,
        )


def is_as_encoded(frame: av.VideoFrame) -> bool:
    """Whether a frame holds what ToYuv420 makes of its RGB, but for rounding."""
    limited = not is_full_range(frame) and not is_hdr(frame)
    even = frame.width % 2 == frame.height % 2 == 0
    return frame.format.name == "yuv420p" and even and limited and BT709 in (frame.colorspace, source_matrix(frame))


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether it is tone-mapped on the way to RGB."""
    return frame.color_trc in HDR_TRANSFERS


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether black is 0, and not 16."""
    return frame.color_range == FULL_RANGE or _is_named_full_range(frame)


def _is_named_full_range(frame: av.VideoFrame) -> bool:
    return frame.format.name.startswith("yuvj")


def source_matrix(frame: av.VideoFrame) -> int | None:
    """The matrix to assume, None for the one the frame names. Untagged video: BT.2020 where it is HDR, BT.709 from HD
    sizes on, else BT.601."""
    if frame.colorspace not in (_UNSPECIFIED, _RGB_MATRIX) or frame.format.is_rgb:
        return None
    if is_hdr(frame):
        return _SWS_BT2020
    return BT709 if min(frame.width, frame.height) > 576 or max(frame.width, frame.height) >= 1280 else _SWS_BT601
