"""DeepLabCut's prediction files of several animals, as CSV or HDF5: what its own tools, `movement` and others open.

A row per frame of the result; four header rows (scorer, individuals, bodyparts, coords). Individual `track3` is track
3. coords are x, y (pixels) and likelihood, our confidence; empty (NaN) where the person or the joint was not found.
Times are not in the file: readers are told the frame rate. Joints that the whole result never predicts are left out.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..results.reader import PoseTrackResult
from ..results.serialization import COORDINATE_DECIMALS, SCORE_DECIMALS
from .format import Cells, Format, by_library, cells, one_file

SCORER: Final = "dcpose"
#: Where DeepLabCut keeps the table in an HDF5 file.
KEY: Final = "df_with_missing"
_COORDS: Final = ("x", "y", "likelihood")


def individual(track: int) -> str:
    """Name of a track."""
    return f"track{track}"


def write_csv(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path` as CSV."""
    data = cells(result)
    columns = _columns(data)
    with path.open("w", encoding="ascii", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        for level, name in enumerate(("scorer", "individuals", "bodyparts", "coords")):
            writer.writerow([name, *(column[level] for column in columns)])
        for index, row in zip(data.index.tolist(), _values(data).tolist(), strict=True):
            writer.writerow([index, *("" if value != value else _text(value, k) for k, value in enumerate(row))])


def write_hdf5(result: PoseTrackResult, path: Path) -> None:
    """The same as HDF5, through pandas and PyTables."""
    import pandas as pd

    data = cells(result)
    names = ["scorer", "individuals", "bodyparts", "coords"]
    columns = pd.MultiIndex.from_tuples(_columns(data), names=names)
    columns = columns.set_levels([level.astype(object) for level in columns.levels])
    pd.DataFrame(_values(data), index=data.index, columns=columns).to_hdf(path, key=KEY, mode="w", format="fixed")


def _columns(data: Cells) -> list[tuple[str, str, str, str]]:
    return [(SCORER, individual(t), name, coord) for t in data.ids for name in data.names for coord in _COORDS]


def _values(data: Cells) -> NDArray[np.float64]:
    """(F, T * J * 3)."""
    points = np.concatenate([data.xy, data.score[..., None]], axis=-1)
    return points.reshape(len(points), -1)


def _text(value: float, column: int) -> str:
    return f"{value:.{SCORE_DECIMALS if column % 3 == 2 else COORDINATE_DECIMALS}f}"


CSV = Format("DeepLabCut predictions (CSV)", ".csv", one_file(write_csv))
HDF5 = Format("DeepLabCut predictions (HDF5)", ".h5", by_library(write_hdf5, ".h5"), needs=("tables", "formats"))
