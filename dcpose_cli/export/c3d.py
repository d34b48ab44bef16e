"""C3D, the marker files of motion capture, written by ezc3d: one file per person, as for TRC.

Points are named as the joints; X and Y as in space.py (pixels with Y down, or metres with Y up), Z 0. A point that
was not found has the residual -1, as C3D says it. The file has one frame rate and no confidences; its first frame has
the number of the first frame in which the person was seen, from 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from ..results.reader import PoseTrackResult
from ..results.serialization import written
from ._outputs import Write
from .format import Format, Options, Track, elsewhere
from .trc import Markers, require_each_free, write_each

#: The frame numbers of a C3D header end here.
_LAST_FRAME: Final = 65_535


def write_c3d(markers: Markers, track: Track, path: Path) -> None:
    """Write one track to `path`."""
    import ezc3d

    first, last = min(track), max(track)
    points = np.zeros((4, len(markers.slots), last - first + 1))
    points[:3], points[3] = np.nan, 1
    for position, person in track.items():
        joints = written(person).joints
        for row, slot in enumerate(markers.slots):
            joint = joints[slot]
            if joint is not None:
                points[:2, row, position - first] = markers.space.place(np.array(joint[:2], np.float64))
                points[2, row, position - first] = 0
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [markers.rate]
    file["parameters"]["POINT"]["UNITS"]["value"] = [markers.space.unit]
    file["parameters"]["POINT"]["LABELS"]["value"] = [markers.joints[slot] for slot in markers.slots]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y" if markers.space.metres is not None else "-Y"])
    number = markers.frames[first].index
    file["header"]["points"]["first_frame"] = number if number + points.shape[2] <= _LAST_FRAME else 0
    file["data"]["points"] = points
    residuals = np.where(np.isnan(points[0]), -1.0, 0.0)[None]
    file["data"]["meta_points"]["residuals"] = residuals
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, *points.shape[1:]), bool)
    file.write(str(path))


def _writer(markers: Markers, track: Track, _: Path) -> Write:
    return lambda path: elsewhere(lambda place: write_c3d(markers, track, place), path, ".c3d")


def _write(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    return write_each(result, out, options, _writer)


FORMAT = Format(
    "C3D marker files, one per person", ".c3d", _write, require_each_free,
    needs=("ezc3d", "formats"), measures=True, fixed_rate=True,
)  # fmt: skip
