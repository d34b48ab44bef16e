"""Pictures for the person detector: where they lie in the training pack, with boxes, joints and doubtful places.

Pictures are decoded on demand: tens of thousands of them do not fit into memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..._reading import read_file
from ...datasets.labels import require_pixels
from ...errors import InputError
from ...files import write_atomic
from ...people.boxes import areas, from_corners, pairwise_intersection, pairwise_iou
from ...pictures import PictureFile, TarIndex
from ...types import Detections
from ..data.pack import named_part
from ..engine.sources import Sources
from .recipe import DetectorData

#: Boxes xyxy and score on pictures, by file name.
Others = dict[str, list[list[float]]]
#: Joints kept per person, in any order but that the first is the nose.
JOINTS: Final = 17
#: Of a part without validation pictures of its own, this share is held out: one stretch of its names in order.
HELD_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One training picture.

    pixels: (H, W, 3) uint8 RGB, or the file that holds it. boxes, ignore: (N, 4), (M, 4) float32 xyxy pixels;
    `ignore` marks doubtful places. complete: every person is boxed, so the rest is background for certain.
    joints: (N, JOINTS, 2) pixels, NaN where unknown, or None. shape: (H, W), needed with a file.
    squashed: the picture was made square; it looks right when widened.
    """

    pixels: NDArray[np.uint8] | PictureFile
    boxes: NDArray[np.float32]
    ignore: NDArray[np.float32]
    complete: bool
    joints: NDArray[np.float32] | None = None
    shape: tuple[int, int] | None = None
    squashed: bool = False

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; read and decoded by every call where a file holds it."""
        if not isinstance(self.pixels, PictureFile):
            return self.pixels
        image = self.pixels.decode()
        if image.shape[:2] != self.shape:
            raise InputError(f"{self.pixels.where} has another size than its labels say")
        return image

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels, without decoding."""
        if self.shape is not None:
            return self.shape
        if isinstance(self.pixels, PictureFile):
            raise ValueError("a picture in a file needs its shape")
        return self.pixels.shape[0], self.pixels.shape[1]


def as_boxes(rows: Iterable[Sequence[float]]) -> NDArray[np.float32]:
    """Rows of four numbers -> (N, 4) float32, also for none."""
    return np.array(list(rows), np.float32).reshape(-1, 4)


def _xyxy(xywh: Sequence[float]) -> list[float]:
    require_pixels(np.asarray(xywh, np.float64))
    x, y, w, h = xywh
    return [x, y, x + w, y + h]


def crop_labels(
    person: list[float], source: str, others: list[list[float]], human_others: list[list[float]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes and ignore boxes of a crop around one labelled person.

    person: xyxy. others: xyxy + score of a stock detector on the crop (0.2 and up). human_others: xyxy.
    LSPET's box is spanned by the joints, so the detector's outline of the same person replaces it where they agree.
    """
    main, known = from_corners(as_boxes([person])), from_corners(as_boxes(human_others))
    boxes, ignore = [*human_others], []
    for *box, score in others:
        one = from_corners(as_boxes([box]))
        overlap = float(pairwise_iou(one, main)[0, 0])
        inside = float(pairwise_intersection(one, main)[0, 0]) / max(float(areas(one)[0]), 1e-6)
        if overlap > 0.5:
            if source == "lspet" and score >= 0.5 and overlap > 0.6:
                person = box
        elif len(known) and pairwise_iou(one, known).max() > 0.4:
            continue
        elif score < 0.5 or (inside > 0.85 and score < 0.6):
            ignore.append(box)
        else:
            boxes.append(box)
    return as_boxes([person, *boxes]), as_boxes(ignore)


class PackReader:
    """Reads the pictures and boxes of the training pack in `root` (DATA.md describes the format).

    data: which parts and sources serve for what. others: a stock detector's boxes on the crops, see `read_others`.
    """

    def __init__(self, root: Path, data: DetectorData, others: Others | None = None) -> None:
        self._root, self._data = root, data
        self._tars = TarIndex()
        self._indices: dict[str, dict[str, Any]] = {}
        self._others: Others = others or {}

    def training(self) -> tuple[list[Picture], list[Picture], list[Picture]]:
        """(whole pictures, crops, pictures without people) to learn from, none that shares its origin with validation.

        A photograph that several parts hold is taken from the part named first.
        """
        data = self._data
        held = self.origins((*data.whole, *data.crops, *data.validation), "val")
        whole: list[Picture] = []
        crops: list[Picture] = []
        empty: list[Picture] = []
        seen: set[str] = set()
        for part in data.whole:
            mine: set[str] = set()
            for info, people in self._rows(part, "train"):
                if origins_of(info) & (held | seen):
                    continue
                mine |= origins_of(info) if not info["source"].startswith("clip_") else set()
                picture = self._picture(part, info, people)
                (empty if not people and info["source"] in data.backgrounds else whole).append(picture)
            seen |= mine
        for part in data.crops:
            crops += [
                self._picture(part, info, people)
                for info, people in self._rows(part, "train")
                if people and info["source"] not in data.exclude_crops and not origins_of(info) & held
            ]
        return whole, crops, empty

    def validation(self, parts: Sequence[str] | None = None, limit: int | None = None) -> dict[str, list[Picture]]:
        """Validation pictures by part, at most `limit` (else the recipe's) of each, evenly spaced."""
        out = {}
        for part in self._data.validation if parts is None else parts:
            rows = list(self._rows(part, "val"))
            most = limit or self._data.validation_limit
            chosen = sorted({round(i * (len(rows) - 1) / max(most - 1, 1)) for i in range(min(most, len(rows)))})
            if len(rows) <= most:
                chosen = list(range(len(rows)))
            out[part] = [self._picture(part, *rows[i]) for i in chosen]
        return out

    def origins(self, parts: Sequence[str], split: str) -> frozenset[str]:
        """Names of the photographs and clips on one side of the split, to keep them off the other."""
        found: set[str] = set()
        for part in parts:
            for info, _ in self._rows(part, split, every=True):
                found |= origins_of(info)
        return frozenset(found)

    def crops(self) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """File name and picture of every wanted crop."""
        for part in self._data.crops:
            for split in ("train", "val"):
                for info, people in self._rows(part, split):
                    if people and info["source"] not in self._data.exclude_crops:
                        yield info["file_name"], self._file(info).decode()

    def _rows(
        self, part: str, split: str, every: bool = False
    ) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Pictures of one side of the split with their people; unwanted ones too when `every`."""
        content = self._index(part)
        people: dict[int, list[dict[str, Any]]] = {}
        for row in content["annotations"]:
            people.setdefault(row["image_id"], []).append(row)
        for info in content["images"]:
            if info["split"] == split and (every or self._wanted(info)):
                yield info, people.get(info["id"], [])

    def _index(self, part: str) -> dict[str, Any]:
        if part not in self._indices:
            path = self._root / f"{part}.json"
            try:
                content = dict(json.loads(read_file(path)))
            except (OSError, RecursionError, TypeError, ValueError) as error:
                raise InputError(
                    f"cannot be read: {error}", path=path, hint="give the folder of the training pack"
                ) from error
            images = content["images"]
            if part in self._data.validation and images and all(info["split"] == "train" for info in images):
                names = sorted(info.get("origin", info["file_name"]) for info in images)
                last = names[-max(1, round(HELD_SHARE * len(names))) :]
                for info in images:
                    info["split"] = "val" if info.get("origin", info["file_name"]) in last else "train"
            self._indices[part] = content
        return self._indices[part]

    def _wanted(self, info: dict[str, Any]) -> bool:
        source = info["source"]
        excluded = {source, source.removeprefix("clip_")} & set(self._data.exclude)
        return not excluded and info.get("role", "c") == "c"

    def _picture(self, part: str, info: dict[str, Any], people: list[dict[str, Any]]) -> Picture:
        shape = (int(info["height"]), int(info["width"]))
        source, squashed = info["source"], info["source"] in self._data.squashed
        if part not in self._data.crops:
            sure = [p for p in people if not p["ignore"]]
            boxes = as_boxes(_xyxy(p["bbox"]) for p in sure)
            ignore = as_boxes(_xyxy(p["bbox"]) for p in people if p["ignore"])
            complete = source in self._data.complete or (not people and source in self._data.backgrounds)
            return Picture(self._file(info), boxes, ignore, complete, _joints(sure, len(boxes)), shape, squashed)
        row = people[0]
        human = [_xyxy(b) for b in row.get("other_boxes", ())] if row.get("label_kind") == "human" else []
        others = self._others.get(info["file_name"], [])
        boxes, ignore = crop_labels(_xyxy(row["bbox"]), source, others, human)
        return Picture(self._file(info), boxes, ignore, False, _joints([row], len(boxes)), shape, squashed)

    def _file(self, info: dict[str, Any]) -> PictureFile:
        """Where the picture is, which is looked at: what cannot be read is named before the first step."""
        file = self._tars.find(self._root / "images" / info["shard"], info["file_name"])
        file.check()
        return file


def _joints(people: Sequence[dict[str, Any]], count: int) -> NDArray[np.float32] | None:
    """Joints of the first of `count` people, (count, JOINTS, 2), NaN where unknown; None when none has any."""
    if not any(p.get("keypoints") for p in people):
        return None
    out = np.full((count, JOINTS, 2), np.nan, np.float32)
    for row, person in zip(out, people, strict=False):
        known = np.array([*person.get("keypoints", ()), *person.get("ears", ())], np.float32).reshape(-1, 3)[:JOINTS]
        row[: len(known)][known[:, 2] > 0] = known[known[:, 2] > 0, :2]
    return out


def label_files(root: Path, data: DetectorData) -> dict[str, Path]:
    """The label files of the parts that `data` names, by these names, whether they are there or not."""
    return {part: root / f"{part}.json" for part in (*data.whole, *data.crops, *data.validation)}


def label_others(
    reader: PackReader,
    detect: Callable[[Sequence[NDArray[np.uint8]]], Sequence[Detections]],
    target: Path,
    sources: Sources,
) -> None:
    """Writes a stock detector's boxes on the crops for `read_others`. sources: what they are made of."""
    found: Others = {}
    for name, image in reader.crops():
        people = detect([image])[0]
        rows = np.concatenate([people.boxes[:, :2], people.boxes[:, :2] + people.boxes[:, 2:]], 1)
        found[name] = [
            [*(round(float(v), 1) for v in row), round(float(score), 3)]
            for row, score in zip(rows, people.scores, strict=True)
        ]
    write_atomic(target, json.dumps({"sources": dict(sources), "boxes": found}), overwrite=True)


def read_others(path: Path, sources: Sources) -> Others | None:
    """What `label_others` wrote: boxes xyxy and score by file name; None where it is not there, or of other sources.

    Files of version 0.6 do not name their sources and are taken as they are. Raises InputError.
    """
    if not os.path.lexists(path):
        return None
    with named_part(path):
        content: dict[str, Any] = dict(json.loads(read_file(path)))
        if "boxes" not in content:
            return content
        return dict(content["boxes"]) if content["sources"] == dict(sources) else None


def origins_of(info: dict[str, Any]) -> set[str]:
    """Names of the photograph and the clip a picture of the pack comes from."""
    source = info["source"].removeprefix("clip_").removeprefix("pool_")
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
