"""Pictures for the person detector: the parts of the training pack, decoded, with boxes and doubtful places."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from dcpose_cli.errors import InputError
from dcpose_cli.types import Detections

#: Whole pictures with boxes, and crops around one labelled person.
DETECTION_PARTS: Final = ("det", "det2", "det3", "det4")
CROP_PARTS: Final = ("stills", "stills2", "stills3", "stills4", "stills5", "triplets", "triplets2")
#: Sources that share footage with test clips or whose licence forbids training for release.
DROPPED_SOURCES: Final = frozenset({"peers", "sapiens_itw", "propainter"})
#: Sources whose boxes are complete by human work; elsewhere an unboxed person is possible.
COMPLETE_SOURCES: Final = frozenset({"voc_animal", "capston2_coco", "coco128", "clinic_cctv", "voc_map"})


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


def as_boxes(rows: Iterable[Sequence[float]]) -> NDArray[np.float32]:
    """Rows of four numbers -> (N, 4) float32, also for none."""
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
    return np.asarray(side[..., 0] * side[..., 1], np.float32)


def crop_labels(
    person: list[float], source: str, others: list[list[float]], human_others: list[list[float]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes and ignore boxes of a crop around one labelled person.

    person: xyxy. others: xyxy + score of a stock detector on the crop (0.2 and up). human_others: xyxy.
    LSPET's box is spanned by the joints, so the detector's outline of the same person replaces it where they agree.
    """
    main = as_boxes([person])
    boxes, ignore = [*human_others], []
    for *box, score in others:
        one = as_boxes([box])
        iou = float(box_iou(one, main)[0, 0])
        area = max(float((one[0, 2] - one[0, 0]) * (one[0, 3] - one[0, 1])), 1e-6)
        inside = float(intersection(one, main)[0, 0]) / area
        if iou > 0.5:
            if source == "lspet" and score >= 0.5 and iou > 0.6:
                person = box
        elif human_others and box_iou(one, as_boxes(human_others)).max() > 0.4:
            continue
        elif score < 0.5 or (inside > 0.85 and score < 0.6):
            ignore.append(box)
        else:
            boxes.append(box)
    return as_boxes([person, *boxes]), as_boxes(ignore)


class PackReader:
    """Reads the pictures and boxes of the training pack in `root` (DATA.md describes the format); a context manager.

    others: file with a stock detector's boxes on the crops ({file_name: [[x1, y1, x2, y2, score], ...]}), or None.
    """

    def __init__(self, root: Path, others: Path | None = None) -> None:
        self._root = root
        self._tars: dict[str, tarfile.TarFile] = {}
        self._others: dict[str, list[list[float]]] = json.loads(others.read_text()) if others else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for tar in self._tars.values():
            tar.close()
        self._tars.clear()

    def pictures(self, parts: Sequence[str], split: str, without: frozenset[str] = frozenset()) -> list[Picture]:
        """The pictures of `parts` on one side of the split, less those whose origin is in `without`."""
        out: list[Picture] = []
        for part in parts:
            data = self._index(part)
            people: dict[int, list[dict[str, Any]]] = {}
            for row in data["annotations"]:
                people.setdefault(row["image_id"], []).append(row)
            out += [
                self._picture(part, info, people.get(info["id"], []))
                for info in data["images"]
                if info["split"] == split and self._wanted(info) and not (origins_of(info) & without)
            ]
        return out

    def origins(self, parts: Sequence[str], split: str) -> frozenset[str]:
        """Names of the photographs and clips on one side of the split, to keep them off the other."""
        found: set[str] = set()
        for part in parts:
            for info in self._index(part)["images"]:
                if info["split"] == split:
                    found |= origins_of(info)
        return frozenset(found)

    def crops(self) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """File name and picture of every wanted crop."""
        for part in CROP_PARTS:
            for info in self._index(part)["images"]:
                if self._wanted(info):
                    yield info["file_name"], self._decode(info)

    def _index(self, part: str) -> dict[str, Any]:
        path = self._root / f"{part}.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {path}: {error}; give the folder of the training pack") from error

    @staticmethod
    def _wanted(info: dict[str, Any]) -> bool:
        return info["source"].removeprefix("clip_") not in DROPPED_SOURCES and info.get("role", "c") == "c"

    def _picture(self, part: str, info: dict[str, Any], people: list[dict[str, Any]]) -> Picture:
        image = self._decode(info)
        if part in DETECTION_PARTS:
            boxes = as_boxes(_xyxy(p["bbox"]) for p in people if not p["ignore"])
            ignore = as_boxes(_xyxy(p["bbox"]) for p in people if p["ignore"])
            complete = info["source"] in COMPLETE_SOURCES or not people
            return Picture(image, boxes, ignore, complete)
        row = people[0]
        human = [_xyxy(b) for b in row.get("other_boxes", ())] if part == "stills3" else []
        boxes, ignore = crop_labels(_xyxy(row["bbox"]), info["source"], self._others.get(info["file_name"], []), human)
        return Picture(image, boxes, ignore, complete=False)

    def _decode(self, info: dict[str, Any]) -> NDArray[np.uint8]:
        shard = info["shard"]
        if shard not in self._tars:
            self._tars[shard] = tarfile.open(self._root / "images" / shard)  # noqa: SIM115 - closed on exit
        member = self._tars[shard].extractfile(info["file_name"])
        data = member.read() if member else b""
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise InputError(f"{info['file_name']} in {shard} is not a picture; unpack the training pack again")
        return np.ascontiguousarray(image[..., ::-1])


def label_others(
    reader: PackReader, detect: Callable[[Sequence[NDArray[np.uint8]]], Sequence[Detections]], target: Path
) -> None:
    """Writes a stock detector's boxes on the crops, xyxy and score by file name, as `PackReader` takes them."""
    found: dict[str, list[list[float]]] = {}
    for name, image in reader.crops():
        people = detect([image])[0]
        rows = np.concatenate([people.boxes[:, :2], people.boxes[:, :2] + people.boxes[:, 2:]], 1)
        found[name] = [
            [*(round(float(v), 1) for v in row), round(float(score), 3)]
            for row, score in zip(rows, people.scores, strict=True)
        ]
    target.write_text(json.dumps(found))


def origins_of(info: dict[str, Any]) -> set[str]:
    """Names of the photograph and the clip a picture of the pack comes from."""
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
