"""Reading TRC marker files in pixels: those of Sports2D (`NAME_px_person00.trc`), and our own.

Sports2D writes the unit m into all of its files; the name of the file tells pixels from metres. Files in metres are
refused: nothing says where in the picture they are. A file is one person; the number in its name (`_person03`,
`_track3`) becomes the track id. Times are those of the file. There are no confidences: joints get 1.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from .._reading import read_file
from .named_joints import joints_by_name, person_of, with_times
from .reader import PoseTrackResult
from .validation import frame_rate

_PIXELS: Final = frozenset({"px", "pixel", "pixels"})
_PIXEL_NAME: Final = re.compile(r"(^|_)px(_|$)")
_NUMBER: Final = re.compile(r"_(?:person|track)(\d{1,9})(?:\D|$)")


def read_trc(path: Path, fps: Fraction) -> PoseTrackResult:
    """The one person of a TRC file. fps: not used, the file has times. Raises ValueError, IndexError or OSError."""
    lines = [line.split("\t") for line in read_file(path).decode("utf-8", "replace").splitlines()]
    if lines[0][0].strip() != "PathFileType":
        raise ValueError("its first line is not that of a TRC file")
    head = dict(zip([name.strip() for name in lines[1]], [value.strip() for value in lines[2]], strict=False))
    _require_pixels(head.get("Units", ""), path)
    names = [name.strip() for name in lines[3][2:] if name.strip()]
    joints = joints_by_name(names)
    first = 1 if head.get("OrigDataStartFrame", "1").lstrip("+-0.") else 0  # numbers count from 1, Sports2D's from 0
    number = _NUMBER.search(path.stem)
    track = int(number[1]) if number else 0
    rows = []
    for cells in lines[5:]:
        if not any(cell.strip() for cell in cells):
            continue
        values = np.array([_value(cell) for cell in cells[2 : 2 + 3 * len(names)]], np.float64)
        if len(values) < 3 * len(names):  # the last joints are missing
            values = np.concatenate([values, np.full(3 * len(names) - len(values), np.nan)])
        points = values.reshape(-1, 3).copy()
        points[:, 2] = 1
        person = person_of(points, joints, track)
        rows.append((int(float(cells[0])) - first, float(cells[1]), [] if person is None else [person]))
    return with_times(rows, frame_rate(head.get("DataRate", "")))


def _require_pixels(units: str, path: Path) -> None:
    """Raises ValueError for a file that is not in pixels."""
    if units.lower() in _PIXELS or _PIXEL_NAME.search(path.stem):
        return
    raise ValueError(
        f"it is in {units or 'unknown units'}, and only pixels say where in the picture joints are; "
        "Sports2D writes pixels to NAME_px_person00.trc"
    )


def _value(cell: str) -> float:
    return float(cell) if cell.strip() else float("nan")
