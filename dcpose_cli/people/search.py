"""How closely frames are searched for people: at the detector's own size, or at a larger one where people are small.

A detector sees a frame scaled to a long side of `size` pixels. Beyond its own size it loses people near the camera, so
a larger search always comes on top of one at the own size. The larger search goes over all of the first frame, in tiles
where that is large, and in the other frames over the surroundings of the people found in the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from .._text import whole_number
from ..errors import UsageError
from ..pixels import ArrayPixels, Image, Pixels, pixels_of
from ..types import Detections
from .boxes import areas, iou, pairwise_intersection
from .protocols import as_taken

#: Sizes that may be asked for, pixels.
SMALLEST_SIZE: Final = 32
LARGEST_SIZE: Final = 8192
#: Long sides that `choose_size` tries beyond the detector's own, pixels.
SIZES: Final = (640, 960, 1280, 1920, 2560, 3840)
#: Frames whose long side is at most this are searched at the detector's own size.
SMALL_FRAME: Final = 1024
#: Larger frames are searched up to this size first: it costs a quarter of 3840, and whoever is seen there only is too
#: small for their joints.
FIRST_SIZE: Final = 1920
#: A size is good enough when it finds this share of the sure people that the largest size finds.
ENOUGH: Final = 0.9
#: Detections of at least this score are sure, and of at least this one likely. Weaker ones only continue tracks.
SURE: Final = 0.5
LIKELY: Final = 0.25

#: The network sees at most this long a side at a time, pixels; neighbouring tiles share so many pixels of it.
LARGEST_TILE: Final = 1280
TILE_OVERLAP: Final = 256
#: Only around detections of at least this score the next frames are searched closely.
FOLLOWED: Final = 0.25
#: The surroundings of a person: a square of this many times the longer side of the box, at least so many pixels as the
#: network sees them.
SURROUNDINGS: Final = 3.0
LEAST_SURROUNDINGS: Final = 192
#: Surroundings that cover more than this share of the frame are replaced by the whole frame.
MOST_COVERED: Final = 0.5

#: Two boxes of one person overlap at least this much (IoU), or one lies in the other by this share of its area.
SAME_IOU: Final = 0.5
INSIDE: Final = 0.8
#: A box found closely inside a box found at the own size, and smaller than this share of it, is a part of that person.
PART_OF: Final = 0.4
#: A box this near to a border between parts of a frame was cut by it; pixels as the network sees them.
CUT_PIXELS: Final = 2.0


def require_detect_size(detect_size: str | int) -> int:
    """The pixels that `--detect-size` names, 0 for "auto". Raises UsageError."""
    text = str(detect_size)
    if text == "auto":
        return 0
    size = whole_number(text)
    if size is None or not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise UsageError(
            f"--detect-size must be auto or a number of pixels from {SMALLEST_SIZE} to {LARGEST_SIZE}, got {text!r:.40}"
        )
    return size


class SizedDetector(Protocol):
    """A detector that can look at frames at any size. imgsz: its own, the long side of what the network sees."""

    @property
    def imgsz(self) -> int: ...

    def detect(self, images: Sequence[Image], size: int | None = None) -> list[Detections]:
        """People in each (H, W, 3) uint8 RGB image. size: long side of what the network sees, pixels; None: its own."""
        ...


def has_sizes(detector: object) -> TypeGuard[SizedDetector]:
    """Whether a detector can look at frames at any size; others have one of their own."""
    return isinstance(getattr(detector, "imgsz", None), int)


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a frame in whole pixels."""

    x: int
    y: int
    width: int
    height: int


def search(detector: SizedDetector, images: Sequence[Image | Pixels], size: int) -> list[Detections]:
    """People in successive frames of one scene, all of one shape, best score first.

    size: long side of what the network sees, pixels. Raises what the detector raises.
    """
    own = min(size, detector.imgsz)
    frames = [pixels_of(image) for image in images]
    coarse = detector.detect(as_taken(detector, frames), own)
    if size <= own or not frames:
        return coarse
    height, width = frames[0].shape[:2]
    scale = size / max(height, width)
    first = _closer(detector, frames[:1], tiles(width, height, scale), scale, coarse[:1])
    parts = surroundings(first[0].at_least(LIKELY).boxes, width, height, scale)
    return first + (_closer(detector, frames[1:], parts, scale, coarse[1:]) if len(frames) > 1 else [])


def choose_size(detector: SizedDetector, longest: int, sample: Callable[[], Iterable[Image | Pixels]]) -> int:
    """The smallest size that finds the people in some frames of a video.

    longest: side of the frames, pixels. sample: reads the frames, of one shape, one after the other. The choice depends
    on the frames and on the detector alone. Small frames are not read; others are searched at the largest size, and at
    the smaller ones up to the one that is chosen. The first frame that shows people decides alone where the own size is
    sure of everybody who is likely at FIRST_SIZE: the search at the largest size is the costliest of all.
    """
    own = detector.imgsz
    sizes = [own, *(size for size in SIZES if own < size <= longest)]
    if longest <= SMALL_FRAME or len(sizes) == 1:
        return own

    images: list[Image | Pixels] = []

    @cache
    def found(number: int, size: int) -> Detections:
        return search(detector, [images[number]], size)[0]

    def sure(number: int, size: int) -> int:
        return len(found(number, size).at_least(SURE))

    most = 0
    for number, image in enumerate(sample()):
        images.append(image)
        if not most and 0 < len(found(number, min(sizes[-1], FIRST_SIZE)).at_least(LIKELY)) <= sure(number, own):
            return own
        most += sure(number, sizes[-1])
    enough = (size for size in sizes[:-1] if sum(sure(k, size) for k in range(len(images))) >= ENOUGH * most)
    return next(enough, sizes[-1])


def tiles(width: int, height: int, scale: float) -> list[Part]:
    """Parts of equal size that cover a frame and overlap, each at most LARGEST_TILE long once scaled."""
    across, down = (_starts(side, scale) for side in (width, height))
    return [Part(x, y, across[1], down[1]) for y in down[0] for x in across[0]]


def _starts(side: int, scale: float) -> tuple[list[int], int]:
    """Where the tiles along a side begin, and how long they are, in pixels of the frame."""
    longest, overlap = LARGEST_TILE / scale, TILE_OVERLAP / scale
    if side <= longest:
        return [0], side
    count = int(np.ceil((side - overlap) / (longest - overlap)))
    length = int(np.ceil((side + (count - 1) * overlap) / count))
    return [round(place * (side - length) / (count - 1)) for place in range(count)], length


def surroundings(boxes: NDArray[np.float32], width: int, height: int, scale: float) -> list[Part]:
    """Where people of the next frames may be: parts around boxes (N, 4) xywh; those that meet are joined."""
    corners: list[tuple[float, float, float, float]] = []
    for x, y, w, h in boxes.tolist():
        half = max(SURROUNDINGS * max(w, h), LEAST_SURROUNDINGS / scale) / 2
        cx, cy = x + w / 2, y + h / 2
        corners.append((max(cx - half, 0), max(cy - half, 0), min(cx + half, width), min(cy + half, height)))
    joined: list[tuple[float, float, float, float]] = []
    while corners:
        box = corners.pop()
        meeting = [other for other in joined if _meet(box, other)]
        if not meeting:
            joined.append(box)
            continue
        joined = [other for other in joined if other not in meeting]
        lows, highs = zip(*((other[:2], other[2:]) for other in (box, *meeting)), strict=True)
        (x0, y0), (x1, y1) = np.min(lows, axis=0).tolist(), np.max(highs, axis=0).tolist()
        corners.append((x0, y0, x1, y1))
    parts = [
        Part(int(x0), int(y0), int(np.ceil(x1)) - int(x0), int(np.ceil(y1)) - int(y0)) for x0, y0, x1, y1 in joined
    ]
    if sum(part.width * part.height for part in parts) > MOST_COVERED * width * height:
        return tiles(width, height, scale)
    return [
        Part(part.x + inner.x, part.y + inner.y, inner.width, inner.height)
        for part in sorted(parts, key=lambda part: (part.y, part.x))
        for inner in tiles(part.width, part.height, scale)
    ]


def _meet(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _closer(
    detector: SizedDetector, frames: Sequence[Pixels], parts: Sequence[Part], scale: float, coarse: Sequence[Detections]
) -> list[Detections]:
    """The people of some frames: those of the coarse search, and those that a search of the parts at `scale` finds."""
    boxes, scores = [[found.boxes] for found in coarse], [[found.scores] for found in coarse]
    for width, height in dict.fromkeys((part.width, part.height) for part in parts):
        alike = [part for part in parts if (part.width, part.height) == (width, height)]
        places = [(number, part) for number in range(len(frames)) for part in alike]
        cut = [
            ArrayPixels(frames[number].region((part.x, part.y, part.x + width, part.y + height)))
            for number, part in places
        ]
        size = max(1, round(scale * max(width, height)))
        for (number, part), found in zip(places, detector.detect(as_taken(detector, cut), size), strict=True):
            frame = frames[number].shape[1], frames[number].shape[0]
            placed = found.boxes + np.array([part.x, part.y, 0, 0], np.float32)
            real = ~(
                _cut(placed, part, frame, CUT_PIXELS / scale) | _parts_of(placed, coarse[number].at_least(LIKELY).boxes)
            )
            boxes[number].append(placed[real])
            scores[number].append(found.scores[real])
    return [merged(Detections(np.concatenate(b), np.concatenate(s))) for b, s in zip(boxes, scores, strict=True)]


def _cut(boxes: NDArray[np.float32], part: Part, frame: tuple[int, int], near: float) -> NDArray[np.bool_]:
    """Which boxes (N, 4) in a part touch a border of it that is not one of the frame. frame: width and height."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    start, end = np.array([part.x, part.y]), np.array([part.x + part.width, part.y + part.height])
    touched = ((low <= start + near) & (start > 0)) | ((high >= end - near) & (end < np.array(frame)))
    return np.asarray(touched.any(axis=1), np.bool_)


def _parts_of(small: NDArray[np.float32], large: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which boxes (N, 4) are parts of people near the camera, boxed in `large` (M, 4)."""
    shared = pairwise_intersection(small, large)
    inside = shared >= INSIDE * areas(small)[:, None]
    lesser = areas(small)[:, None] < PART_OF * areas(large)[None]
    return np.asarray((inside & lesser).any(axis=1), np.bool_)


def merged(found: Detections) -> Detections:
    """Every person once, the best box of each, best score first."""
    order = np.argsort(-found.scores, kind="stable")
    boxes, scores = found.boxes[order], found.scores[order]
    keep: list[int] = []
    for number in range(len(boxes)):
        better = boxes[keep]
        shared = pairwise_intersection(boxes[number : number + 1], better)[0]
        lesser = np.minimum(areas(boxes[number : number + 1]), areas(better))
        larger = np.maximum(areas(boxes[number : number + 1]), areas(better))
        nested = (shared > INSIDE * lesser) & (lesser > PART_OF * larger)
        if not (nested | (iou(boxes[number], better) > SAME_IOU)).any():
            keep.append(number)
    return Detections(boxes[keep], scores[keep])
