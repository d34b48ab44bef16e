"""Crops of decoded frames, sampled in their planes: only the pixels of the crop become RGB.

A person 2000 pixels tall fills a crop of some 200 rows. What the crop is interpolated from is a small part of what it
shows, and to convert all of that takes 30 times as long. At a 12th to twice the size of natural pictures such crops
differ from those of the picture in RGB by 0.03 to 0.4 grey levels on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2
from dcpose_cli.video.colour import FULL_RANGE, LIMITED_RANGE, is_full_range, is_hdr, plane_samples, source_matrix

#: Where the colour samples of 4:2:0 lie among the pixels: on every second column, between rows, as in H.264 and HEVC.
#: PyAV does not tell where a frame says otherwise (JPEG: between columns too); colours are then off by half a pixel.
_COLOURS: Final = np.array([[2, 0, 0], [0, 2, 0.5], [0, 0, 1]])
#: OpenCV's coordinates are 16-bit integers.
_MOST: Final = 2**15

Planes: TypeAlias = Sequence[NDArray[np.uint8]]


def can_be_sampled(frame: av.VideoFrame) -> bool:
    """Whether `sampled` takes a frame: 4:2:0 of 8 bits that is not tone-mapped."""
    known = frame.format.name in ("yuv420p", "yuvj420p", "nv12")
    return known and not is_hdr(frame) and max(frame.width, frame.height) < _MOST


def planes_of(frame: av.VideoFrame) -> Planes:
    """The samples of a frame that `can_be_sampled`: (H, W), and two of (H / 2, W / 2)."""
    if len(frame.planes) == 3:
        return [plane_samples(plane) for plane in frame.planes]
    pairs = np.frombuffer(memoryview(frame.planes[1]), np.uint8).reshape(frame.height // 2, -1, 2)
    # Apart: OpenCV interpolates pairs less exactly.
    colours = (np.ascontiguousarray(pairs[:, : frame.width // 2, number]) for number in (0, 1))
    return [plane_samples(frame.planes[0]), *colours]


def sampled(frame: av.VideoFrame, planes: Planes, affine: NDArray[np.float64], size: tuple[int, int]) -> av.VideoFrame:
    """A crop of a frame, yuv444p with the colours of the frame: bilinear, black outside.

    planes: `planes_of` the frame. affine: (3, 3) from pixels of the frame to those of the crop. size: width and height
    of the crop.
    """
    full = is_full_range(frame)
    crop = av.VideoFrame(*size, "yuv444p")
    crop.colorspace = source_matrix(frame) or frame.colorspace
    crop.color_range = FULL_RANGE if full else LIMITED_RANGE
    moves, outside = (affine, affine @ _COLOURS, affine @ _COLOURS), (0 if full else 16, 128, 128)
    for target, plane, move, black in zip(crop.planes, planes, moves, outside, strict=True):
        plane_samples(target)[:] = cv2.warpAffine(plane, move[:2], size, flags=cv2.INTER_LINEAR, borderValue=black)
    return crop
