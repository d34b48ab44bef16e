"""The box file of a data set: a list of people, each in a picture (SPEC 7.2).

[{"image_name", "bbox": [x, y, width, height], "score", "category_id": 1, "nframes", "frame_id"}, ...]

Detections of mmpose for PoseTrack18 have `image_id` instead of `image_name`: an id of the ground truth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._reading import read_file
from .._text import reason_of
from ..errors import InputError
from ..results.validation import scalar

#: Boxes with a lower score are dropped (IMAGE_THRE of the published settings).
LEAST_SCORE: Final = 0.2
_PERSON: Final = 1
_LARGEST: Final = 1e6  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class ScoredBoxes:
    """The boxes of one picture. boxes: (N, 4) float32 xywh in pixels, as given. scores: (N,) float64."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BoxFile:
    """pictures: by image name with forward slashes. lengths: folder of the pictures -> frames in its video, where said.

    dropped: boxes without an area.
    """

    pictures: dict[PurePosixPath, ScoredBoxes]
    lengths: dict[PurePosixPath, int]
    dropped: int


def read_boxes(path: Path, least_score: float = LEAST_SCORE, *, names: Mapping[int, str] | None = None) -> BoxFile:
    """Boxes of people that score at least `least_score`, in file order.

    names: of the pictures by their id in the ground truth, where there is one. Raises InputError.
    """
    try:
        data = json.loads(read_file(path))
    except OSError as error:
        raise InputError(
            f"cannot read the boxes: {error.strerror or error}", path=path, hint="check the file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError("the boxes are not valid JSON", path=path, hint="check the file") from error
    if not isinstance(data, list):
        raise InputError("the boxes are not a list of {image_name, bbox, score}", path=path, hint="check the file")
    rows: dict[PurePosixPath, list[tuple[list[float], float]]] = {}
    lengths: dict[PurePosixPath, int] = {}
    dropped = 0
    for number, entry in enumerate(data):
        try:
            name, box, score = _entry(entry if "image_name" in entry else _named(entry, names))
            frames = entry.get("nframes")
            if isinstance(frames, int) and not isinstance(frames, bool) and 0 < frames < 1_000_000:
                lengths[name.parent] = max(frames, lengths.get(name.parent, 0))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = reason_of(error)
            raise InputError(
                f"entry {number} of the boxes is wrong: {reason}", path=path, hint="check the file"
            ) from error
        if entry.get("category_id", _PERSON) != _PERSON:
            continue
        if min(box[2:]) <= 0:
            dropped += 1
        elif score >= least_score:
            rows.setdefault(name, []).append((box, score))
        else:
            rows.setdefault(name, [])  # a picture without people
    if not rows:
        raise InputError("the boxes contain no people", path=path, hint="check the file")
    return BoxFile({name: _arrays(people) for name, people in rows.items()}, lengths, dropped)


def _named(entry: Mapping[str, Any], names: Mapping[int, str] | None) -> Mapping[str, Any]:
    """An entry with the name of its picture. Raises KeyError or ValueError."""
    identity = entry["image_id"]
    if names is None:
        raise ValueError("it has an image_id and no image_name: give the ground truth with --gt")
    if identity not in names:
        raise ValueError(f"no picture of the ground truth has the id {identity!r:.40}")
    return {**entry, "image_name": names[identity]}


def _entry(entry: Mapping[str, Any]) -> tuple[PurePosixPath, list[float], float]:
    text = entry["image_name"]
    if not isinstance(text, str):
        raise ValueError("image_name must be text")
    name = PurePosixPath(text.replace("\\", "/"))
    if ".." in name.parts or "\0" in str(name) or not name.stem.isascii() or not name.stem.isdigit():
        raise ValueError(f"{str(name)!r:.80} is not the name of a numbered picture")
    box, score = [scalar(value) for value in entry["bbox"]], scalar(entry["score"])
    if len(box) != 4 or max(map(abs, box)) > _LARGEST:
        raise ValueError("bbox must be four numbers, in pixels")
    return name, box, score


def _arrays(people: list[tuple[list[float], float]]) -> ScoredBoxes:
    boxes = np.array([box for box, _ in people], np.float32).reshape(-1, 4)
    return ScoredBoxes(boxes, np.array([score for _, score in people], np.float64))
