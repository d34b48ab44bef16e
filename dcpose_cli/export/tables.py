"""Tidy tables for data analysis, as CSV or Parquet: joints, and beside them joint angles and the quality by second.

joints   frame (index in the video, from 0), time (seconds; of reality where the result is of slow motion), track_id,
         person (number within the frame), joint (name), x, y (pixels of the frame; empty where the joint was not
         predicted), score (confidence)
angles   frame, time, track_id, person, angle (its name; angles.py defines each), degrees (empty where a joint is
         missing), score (the lowest of its joints')
quality  second (of the video, as in `time`: 3 is from 3.0 to 4.0 s), track_id, frames (in which the track is),
         confidence (mean), low_confidence, leg_swap, arm_swap, person_swap, filled_gap (true or false;
         results/quality.py)

One row per frame, person and joint or angle, and per second and track; frames without people have no rows.
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
from ..results.quality import Reason, per_second
from ..results.reader import PoseTrackResult
from ..results.serialization import COORDINATE_DECIMALS, SCORE_DECIMALS, present
from ._outputs import Write, write_files
from .angles import all_angles, angle_names, facing_of
from .format import Format, Options

if TYPE_CHECKING:
    import polars as pl

_ANGLE_DECIMALS: Final = 2
_TIME_DECIMALS: Final = 6


def table_paths(path: Path) -> dict[str, Path]:
    """Where the tables go: joints result.csv, angles result_angles.csv, quality result_quality.csv."""
    beside = {name: path.with_name(f"{path.stem}_{name}{path.suffix}") for name in ("angles", "quality")}
    return {"joints": path, **beside}


def write_tables(result: PoseTrackResult, path: Path, *, overwrite: bool = False) -> list[Path]:
    """Write all tables; the ending of `path`, .csv or .parquet, says how. Raises OutputError."""
    parquet = path.suffix.lower() == ".parquet"
    make = {"joints": joints_table, "angles": angles_table, "quality": quality_table}
    files = {p: _writer(make[name](result), p, parquet=parquet) for name, p in table_paths(path).items()}
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
    degrees, score = all_angles(_keypoints(result), facing, pixel_aspect(result.header), result.joints)
    columns = {"degrees": (degrees, _ANGLE_DECIMALS), "score": (score, SCORE_DECIMALS)}
    return _tidy(result, "angle", angle_names(result.joints), columns)


def quality_table(result: PoseTrackResult) -> pl.DataFrame:
    """One row per second and track."""
    import polars as pl

    seconds = per_second(result.frames)
    columns: dict[str, tuple[Any, Any]] = {
        "second": (pl.Int64, [s.second for s in seconds]),
        "track_id": (pl.Int64, [s.track_id for s in seconds]),
        "frames": (pl.Int64, [s.frames for s in seconds]),
        "confidence": (pl.Float64, [round(s.confidence, SCORE_DECIMALS) for s in seconds]),
        **{reason.name.lower(): (pl.Boolean, [reason in s.reasons for s in seconds]) for reason in Reason},
    }
    return pl.DataFrame({name: pl.Series(name, values, dtype=kind) for name, (kind, values) in columns.items()})


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
    for path in table_paths(out).values():
        require_free_target(path, overwrite=overwrite)


CSV = Format("tidy tables of joints, angles and quality", ".csv", _write, _require_free)
PARQUET = Format("the same as Parquet", ".parquet", _write, _require_free)
