"""Pictures for the person detector: the training pack's parts in memory, and the canvases cut from them.

Every picture stays decoded as uint8 RGB, so that one core spends its time on the network. A canvas is one picture
or four (a mosaic), scaled so that a chosen person gets a chosen height: at run time people fill 12 to 100 % of the
frame's height, and the network must see all of these.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dcpose_cli.errors import InputError

#: Whole pictures with boxes, and crops around one labelled person.
DETECTION_PARTS = ("det", "det2", "det3", "det4")
CROP_PARTS = ("stills", "stills2", "stills3", "stills4", "stills5", "triplets", "triplets2")
#: Sources that share footage with test clips or whose licence forbids training for release.
DROPPED_SOURCES = frozenset({"peers", "sapiens_itw", "propainter"})
#: Sources whose boxes are complete by human work; elsewhere an unboxed person is possible.
COMPLETE_SOURCES = frozenset({"voc_animal", "capston2_coco", "coco128", "clinic_cctv", "voc_map"})
#: A person of whom less than this share lies inside a canvas is neither wanted nor punished there.
MIN_VISIBLE = 0.25
PADDING_GREY = 114


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One training picture.

    image: (H, W, 3) uint8 RGB. boxes, ignore: (N, 4), (M, 4) float32 xyxy pixels; `ignore` marks doubtful places.
    complete: every person is boxed, so the rest is background for certain.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    ignore: NDArray[np.float32]
    complete: bool


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """One training sample: image (S, S, 3) uint8 RGB; boxes, ignore as in Picture; unsure: (K, 4) xyxy regions
    cut from pictures whose unboxed people are not known."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    ignore: NDArray[np.float32]
    unsure: NDArray[np.float32]


def _boxes(rows: Iterable[Sequence[float]]) -> NDArray[np.float32]:
    return np.array(list(rows), np.float32).reshape(-1, 4)


def _xyxy(xywh: Sequence[float]) -> list[float]:
    x, y, w, h = xywh
    return [x, y, x + w, y + h]


def box_iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of two sets of xyxy boxes: (N, 4), (M, 4) -> (N, M)."""
    inter = intersection(a, b)
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None] - inter
    return (inter / np.maximum(union, 1e-6)).astype(np.float32)


def intersection(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shared area of two sets of xyxy boxes in pixels: (N, 4), (M, 4) -> (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    side = np.clip(high - low, 0, None)
    return (side[..., 0] * side[..., 1]).astype(np.float32)


def crop_labels(
    person: list[float], source: str, others: list[list[float]], human_others: list[list[float]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes and ignore boxes of a crop around one labelled person.

    person: xyxy. others: xyxy + score of a stock detector on the crop (0.2 and up). human_others: xyxy.
    LSPET's box is spanned by the joints, so the detector's outline of the same person replaces it where they agree.
    """
    main = _boxes([person])
    boxes, ignore = [*human_others], []
    for *box, score in others:
        one = _boxes([box])
        iou = float(box_iou(one, main)[0, 0])
        area = max(float((one[0, 2] - one[0, 0]) * (one[0, 3] - one[0, 1])), 1e-6)
        inside = float(intersection(one, main)[0, 0]) / area
        if iou > 0.5:
            if source == "lspet" and score >= 0.5 and iou > 0.6:
                person = box
        elif human_others and box_iou(one, _boxes(human_others)).max() > 0.4:
            continue
        elif score < 0.5 or (inside > 0.85 and score < 0.6):
            ignore.append(box)
        else:
            boxes.append(box)
    return _boxes([person, *boxes]), _boxes(ignore)


class PackReader:
    """Reads the pictures and boxes of the training pack in `root` (DATA.md describes the format).

    others: file with a stock detector's boxes on the crops ({file_name: [[x1, y1, x2, y2, score], ...]}), or None.
    """

    def __init__(self, root: Path, others: Path | None = None) -> None:
        self._root = root
        self._tars: dict[str, tarfile.TarFile] = {}
        self._others: dict[str, list[list[float]]] = json.loads(others.read_text()) if others else {}

    def pictures(self, parts: Sequence[str], split: str, without: frozenset[str] = frozenset()) -> list[Picture]:
        """The pictures of `parts` on one side of the split, less those whose origin is in `without`."""
        out: list[Picture] = []
        for part in parts:
            data = self._index(part)
            people: dict[int, list[dict]] = {}
            for row in data["annotations"]:
                people.setdefault(row["image_id"], []).append(row)
            for info in data["images"]:
                if info["split"] == split and self._wanted(info) and not (_origins(info) & without):
                    out.append(self._picture(part, info, people.get(info["id"], [])))
        return out

    def origins(self, parts: Sequence[str], split: str) -> frozenset[str]:
        """Names of the photographs and clips on one side of the split, to keep them off the other."""
        found: set[str] = set()
        for part in parts:
            for info in self._index(part)["images"]:
                if info["split"] == split:
                    found |= _origins(info)
        return frozenset(found)

    def _index(self, part: str) -> dict:
        path = self._root / f"{part}.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {path}: {error}; give the folder of the training pack") from error

    @staticmethod
    def _wanted(info: dict) -> bool:
        return info["source"].removeprefix("clip_") not in DROPPED_SOURCES and info.get("role", "c") == "c"

    def _picture(self, part: str, info: dict, people: list[dict]) -> Picture:
        image = self._decode(info)
        if part in DETECTION_PARTS:
            boxes = _boxes(_xyxy(p["bbox"]) for p in people if not p["ignore"])
            ignore = _boxes(_xyxy(p["bbox"]) for p in people if p["ignore"])
            complete = info["source"] in COMPLETE_SOURCES or not people
            return Picture(image, boxes, ignore, complete)
        row = people[0]
        human = [_xyxy(b) for b in row.get("other_boxes", ())] if part == "stills3" else []
        boxes, ignore = crop_labels(
            _xyxy(row["bbox"]), info["source"], self._others.get(info["file_name"], []), human
        )
        return Picture(image, boxes, ignore, complete=False)

    def _decode(self, info: dict) -> NDArray[np.uint8]:
        shard = info["shard"]
        if shard not in self._tars:
            self._tars[shard] = tarfile.open(self._root / "images" / shard)
        member = self._tars[shard].extractfile(info["file_name"])
        data = member.read() if member else b""
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise InputError(f"{info['file_name']} in {shard} is not a picture; unpack the training pack again")
        return np.ascontiguousarray(image[..., ::-1])


def _origins(info: dict) -> set[str]:
    source = info["source"].removeprefix("clip_")
    names = set()
    if "clip" in info:
        names.add(f"clip:{info['clip']}")
    origin = info.get("origin", "")
    if info["source"].startswith("clip_"):
        names.add(f"clip:{origin.rsplit('#', 1)[0]}")
    elif origin:
        folder = origin.rsplit("/", 1)[0] if source == "exercise_db" else origin
        names.add(f"{source}:{folder}")
    return names


class CanvasMaker:
    """Cuts random canvases from whole pictures and crops.

    whole, crops: the pictures; crop_share: how often a tile comes from `crops`.
    """

    def __init__(self, whole: Sequence[Picture], crops: Sequence[Picture], crop_share: float = 0.45) -> None:
        self._whole, self._crops, self._crop_share = whole, crops, crop_share

    def make(self, rng: np.random.Generator, size: int, mosaic: float) -> Canvas:
        """One canvas of `size` x `size` pixels, a mosaic of four with probability `mosaic`."""
        image = np.empty((size, size, 3), np.uint8)
        image[:] = PADDING_GREY if rng.random() < 0.6 else rng.integers(0, 256, 3, dtype=np.uint8)
        boxes: list[NDArray[np.float32]] = []
        ignore: list[NDArray[np.float32]] = []
        unsure: list[tuple[int, int, int, int]] = []
        for cell in _cells(rng, size, mosaic):
            picture = self._draw(rng)
            seen, doubtful = _paste(rng, picture, image, cell, size)
            boxes.append(seen)
            ignore.append(doubtful)
            if not picture.complete:
                unsure.append(cell)
        return Canvas(_colour(rng, image), np.concatenate(boxes), np.concatenate(ignore), _boxes(unsure))

    def _draw(self, rng: np.random.Generator) -> Picture:
        pool = self._crops if self._crops and rng.random() < self._crop_share else self._whole
        return pool[int(rng.integers(len(pool)))]


def _cells(rng: np.random.Generator, size: int, mosaic: float) -> list[tuple[int, int, int, int]]:
    """The whole canvas, or (a mosaic) two halves, four quarters, or nine for small people."""
    if rng.random() >= mosaic:
        return [(0, 0, size, size)]
    kind = rng.random()
    x, y = (int(size * v) for v in rng.uniform(0.3, 0.7, 2))
    if kind < 0.22:
        return [(0, 0, x, size), (x, 0, size, size)]
    if kind < 0.30:
        return [(0, 0, size, y), (0, y, size, size)]
    columns, rows = [0, x, size], [0, y, size]
    if kind > 0.85:
        columns = rows = [0, size // 3, 2 * size // 3, size]
    return [(l, t, r, b) for t, b in pairwise(rows) for l, r in pairwise(columns)]


def _scale(rng: np.random.Generator, picture: Picture, cell: tuple[int, int, int, int], size: int) -> float:
    """Canvas pixels per picture pixel: by the height wanted for one person, else by the cell."""
    height, width = picture.image.shape[:2]
    x1, y1, x2, y2 = cell
    fit = min((x2 - x1) / width, (y2 - y1) / height)
    if len(picture.boxes) == 0:
        return float(np.clip(fit * np.exp(rng.uniform(np.log(0.8), np.log(2.5))), 0.1, 2.5))
    box = picture.boxes[int(rng.integers(len(picture.boxes)))]
    tall = max(float(box[3] - box[1]), float(box[2] - box[0]) * 0.7, 4.0)
    goal = float(np.exp(rng.uniform(np.log(0.15), np.log(1.25)))) * size
    return float(np.clip(goal / tall, max(0.7 * fit, 0.1), min(max(2.2 * fit, 0.2), 3.0)))


def _paste(
    rng: np.random.Generator, picture: Picture, image: NDArray[np.uint8], cell: tuple[int, int, int, int], size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Puts a scaled, perhaps mirrored part of `picture` into `cell`; returns boxes and ignore boxes on the canvas."""
    height, width = picture.image.shape[:2]
    x1, y1, x2, y2 = cell
    scale = _scale(rng, picture, cell, size)
    stretch = float(np.exp(rng.uniform(-0.15, 0.15)))
    sx, sy = scale * stretch, scale / stretch
    left = _offset(rng, x2 - x1, width * sx)
    top = _offset(rng, y2 - y1, height * sy)
    # source rectangle that fills the cell, in whole source pixels
    u1, v1 = max(0, int(-left / sx)), max(0, int(-top / sy))
    u2 = min(width, int(np.ceil((x2 - x1 - left) / sx)))
    v2 = min(height, int(np.ceil((y2 - y1 - top) / sy)))
    a1, b1 = round(u1 * sx + left), round(v1 * sy + top)
    a2, b2 = max(round(u2 * sx + left), a1 + 1), max(round(v2 * sy + top), b1 + 1)
    patch = cv2.resize(
        picture.image[v1:v2, u1:u2], (a2 - a1, b2 - b1), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    flip = rng.random() < 0.5
    c1, d1, c2, d2 = max(a1, 0), max(b1, 0), min(a2, x2 - x1), min(b2, y2 - y1)
    part = patch[d1 - b1 : d2 - b1, c1 - a1 : c2 - a1]
    if flip:
        image[y1 + d1 : y1 + d2, x2 - c2 : x2 - c1] = part[:, ::-1]
    else:
        image[y1 + d1 : y1 + d2, x1 + c1 : x1 + c2] = part
    affine = np.array([sx, sy, sx, sy], np.float32), np.array([left, top, left, top], np.float32)
    out = []
    for group in (picture.boxes, picture.ignore):
        moved = group * affine[0] + affine[1]
        if flip:
            moved = np.stack([x2 - x1 - moved[:, 2], moved[:, 1], x2 - x1 - moved[:, 0], moved[:, 3]], 1)
        out.append(moved + np.array([x1, y1, x1, y1], np.float32))
    return _clip(out[0], out[1], cell)


def _offset(rng: np.random.Generator, room: int, length: float) -> float:
    slack = room - length
    return float(rng.uniform(min(slack, 0.0), max(slack, 0.0)))


def _clip(
    boxes: NDArray[np.float32], ignore: NDArray[np.float32], cell: tuple[int, int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    low, high = np.array(cell[:2] * 2, np.float32), np.array(cell[2:] * 2, np.float32)
    cut, doubt = np.clip(boxes, low, high), np.clip(ignore, low, high)
    full = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    sides = cut[:, 2:] - cut[:, :2]
    seen = sides[:, 0] * sides[:, 1] / np.maximum(full, 1e-6)
    good = (seen >= MIN_VISIBLE) & (sides.min(1, initial=np.inf) >= 4) & (sides.max(1, initial=0) >= 8)
    rest = np.concatenate([cut[~good], doubt])
    rest = rest[(rest[:, 2] - rest[:, 0] > 1) & (rest[:, 3] - rest[:, 1] > 1)]
    return cut[good], rest


def _colour(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hue, saturation, value; now and then grey, blurred or noisy, as video frames are."""
    if rng.random() < 0.8:
        hue, sat, val = rng.uniform(-1, 1, 3) * (0.02, 0.6, 0.4)
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        ramp = np.arange(256, dtype=np.float32)
        table = np.stack(
            [
                (ramp + hue * 180) % 180,
                np.clip(ramp * (1 + sat), 0, 255),
                np.clip(ramp * (1 + val), 0, 255),
            ],
            1,
        ).astype(np.uint8)
        image = cv2.cvtColor(cv2.LUT(hsv, table[:, None]), cv2.COLOR_HSV2RGB)
    kind = rng.random()
    if kind < 0.04:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    elif kind < 0.10:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        image = cv2.filter2D(image, -1, kernel if rng.random() < 0.7 else np.ascontiguousarray(kernel.T))
    elif kind < 0.14:
        image = cv2.blur(image, (3, 3))
    return np.ascontiguousarray(image, dtype=np.uint8)
