"""Ground truth files of a data set, as far as predictions need them: their names, and their frames in order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._reading import read_file
from .._text import reason_of
from ..errors import InputError


@dataclass(frozen=True, slots=True)
class TruthFrame:
    """name: of the picture, as the file writes it. image_id, frame_id: None in PoseTrack17's style."""

    name: str
    image_id: int | None
    frame_id: int | None = None


@dataclass(frozen=True, slots=True)
class TruthFile:
    """One video's ground truth."""

    path: Path
    frames: list[TruthFrame]


def read_truth_files(path: Path) -> list[TruthFile]:
    """The ground truth in a file, or in every .json of a folder. Raises InputError."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise InputError("holds no .json file", path=path, hint="give the folder of the ground truth")
    return [_read(file) for file in files]


def names_by_id(files: Iterable[TruthFile]) -> dict[int, str]:
    """The names of pictures by their `id` and `frame_id`."""
    frames = [frame for file in files for frame in file.frames]
    names = {frame.frame_id: frame.name for frame in frames} | {frame.image_id: frame.name for frame in frames}
    return {number: name for number, name in names.items() if number is not None}


def _read(path: Path) -> TruthFile:
    try:
        data = json.loads(read_file(path))
        frames = _frames(data)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path, hint="check the file") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        reason = reason_of(error)
        raise InputError(f"not a PoseTrack annotation file: {reason}", path=path, hint="check the file") from error
    if not frames:
        raise InputError("has no frames", path=path, hint="check the file")
    return TruthFile(path, frames)


def _frames(data: Any) -> list[TruthFrame]:
    if "annolist" in data:
        images = [frame["image"] for frame in data["annolist"]]
        return [TruthFrame(str((i[0] if isinstance(i, list) else i)["name"]), None) for i in images]
    return [
        TruthFrame(str(image["file_name"]), int(image["id"]), int(image.get("frame_id", image["id"])))
        for image in data["images"]
    ]
