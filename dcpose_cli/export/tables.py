"""Tidy tables for data analysis, as CSV or Parquet: joints, and joint angles as a second table beside it.

joints   frame (index in the video, from 0), time (seconds; of reality where the result is of slow motion), track_id,
         person (number within the frame), joint (name), x, y (pixels of the frame; empty where the joint was not
         predicted), score (confidence)
angles   frame, time, track_id, person, angle (its name; angles.py defines each), degrees (empty where a joint is
         missing), score (the lowest of its joints')

One row per frame, person and joint or angle; frames without people have no rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..files import require_free_target
from ..results.measures import pixel_aspect
from ..results.reader import PoseTrackResult
from ..results.serialization import COORDINATE_DECIMALS, SCORE_DECIMALS, present
from ._outputs import Write, write_files
from .angles import ALL_ANGLES, all_angles, facing_of
from .format import Format, Options

if TYPE_CHECKING:
    import polars as pl

_ANGLE_DECIMALS: Final = 2
_TIME_DECIMALS: Final = 6


def angles_path(path: Path) -> Path:
    """Where the second table goes: result.csv -> result_angles.csv."""
    return path.with_name(f"{path.stem}_angles{path.suffix}")


def write_tables(result: PoseTrackResult, path: Path, *, overwrite: bool = False) -> list[Path]:
    """Write both tables; the ending of `path`, .csv or .parquet, says how. Raises OutputError."""
    parquet = path.suffix.lower() == ".parquet"
    tables = {path: joints_table(result), angles_path(path): angles_table(result)}
    files = {p: _writer(table, p, parquet=parquet) for p, table in tables.items()}
    return write_files(files, overwrite=overwrite, of=path)


def _writer(table: pl.DataFrame, target: Path, *, parquet: bool) -> Write:
    from polars.exceptions import PolarsError

    def write(path: Path) -> None:
        try:
            if parquet:
                table.write_parquet(path)
            else:
                table.write_csv(path)
        except PolarsError as error:
            raise OutputError(f"cannot write {target}: {error}", hint="free some space or write elsewhere") from error

    return write


def joints_table(result: PoseTrackResult) -> pl.DataFrame:
    """One row per frame, person and joint."""
    keypoints = _keypoints(result)
    there = present(keypoints)
    x, y, score = (np.where(there, keypoints[..., axis], empty) for axis, empty in ((0, np.nan), (1, np.nan), (2, 0)))
    columns = {"x": (x, COORDINATE_DECIMALS), "y": (y, COORDINATE_DECIMALS), "score": (score, SCORE_DECIMALS)}
    return _tidy(result, "joint", result.joints, columns)


def angles_table(result: PoseTrackResult) -> pl.DataFrame:
    """One row per frame, person and angle."""
    sides = facing_of(result)
    facing = np.array([sides.get(person.track_id, 1.0) for frame in result.frames for person in frame.people])
    degrees, score = all_angles(_keypoints(result), facing, pixel_aspect(result.header))
    columns = {"degrees": (degrees, _ANGLE_DECIMALS), "score": (score, SCORE_DECIMALS)}
    return _tidy(result, "angle", ALL_ANGLES, columns)


def _keypoints(result: PoseTrackResult) -> NDArray[np.float64]:
    """(P, joints, 3) of all people in order."""
    arrays = [person.keypoints for frame in result.frames for person in frame.people]
    return np.stack(arrays).astype(np.float64) if arrays else np.zeros((0, len(result.joints), 3))


def _tidy(
    result: PoseTrackResult, what: str, names: Sequence[str], columns: dict[str, tuple[NDArray[np.float64], int]]
) -> pl.DataFrame:
    """A long table from (P, len(names)) arrays, each with its number of decimals; NaN becomes an empty cell."""
    import polars as pl

    rows = [(f.index, f.time, p.track_id, n) for f in result.frames for n, p in enumerate(f.people)]
    each = len(names)
    keys = {"frame": np.int64, "time": np.float64, "track_id": np.int64, "person": np.int64}
    data: dict[str, Any] = {}
    for place, (key, dtype) in enumerate(keys.items()):
        data[key] = pl.Series(key, np.repeat(np.array([row[place] for row in rows], dtype), each))
    data["time"] = data["time"].round(_TIME_DECIMALS)
    data[what] = pl.Series(what, list(names), dtype=pl.String)[np.tile(np.arange(each), len(rows))]
    for key, (cells, decimals) in columns.items():
        # Plus zero: no minus before a zero.
        data[key] = pl.Series(key, np.round(cells.reshape(-1), decimals) + 0.0, nan_to_null=True)
    return pl.DataFrame(data)


def _write(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    return write_tables(result, out, overwrite=options.overwrite)


def _require_free(out: Path, *, overwrite: bool) -> None:
    for path in (out, angles_path(out)):
        require_free_target(path, overwrite=overwrite)


CSV = Format("tidy tables of joints and angles", ".csv", _write, _require_free, eyes=True)
PARQUET = Format("the same as Parquet", ".parquet", _write, _require_free, eyes=True)
