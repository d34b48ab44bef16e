"""Reading DeepLabCut's tables, CSV and HDF5: predictions and labels of one animal or several, with joints of people.

Columns have three levels (scorer, bodyparts, coords) or four (individuals after the scorer); coords are x, y and, in
predictions, likelihood, which becomes the confidence. Rows are frames by number; in labels they are names of pictures,
and the numbers in these count from the first one. Individuals called `track3` or `individual3` have the track id 3,
where all of them have such numbers; else they are numbered in their order. Times are not in the files.

HDF5 is read without pandas and PyTables: these run code that a file holds. Of pickled names, which pandas writes, only
plain lists of text and numbers are taken.
"""

from __future__ import annotations

import csv
import io
import pickle
import pickletools
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from importlib.util import find_spec
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from .._reading import read_file, require_file
from .._text import one_line
from ..types import MOST_PEOPLE
from .hdf5 import array, members
from .named_joints import joints_by_name, person_of, without_times
from .reader import PoseTrackResult
from .validation import whole

_LAST_NUMBER: Final = re.compile(r"(\d{1,15})\D*$")
#: Bytes of a pickled list of names, characters of a name, levels of rows and columns.
_MOST_PICKLED: Final = 1 << 20
_MOST_TEXT: Final = 1_000
_MOST_LEVELS: Final = 8
#: Pairs of individual and part for every column; there are two or three columns for each in full tables.
_MOST_SPREAD: Final = 10

#: Scorer, individual ("" for none), body part, coordinate.
Column = tuple[str, str, str, str]


def read_csv(path: Path, fps: Fraction) -> PoseTrackResult:
    """A table of DeepLabCut as CSV. Raises ValueError, IndexError, KeyError or OSError."""
    lines = _lines(read_file(path).decode("utf-8-sig"))
    first = next(lines, [])
    if not first or first[0].strip() != "scorer":
        raise ValueError("this table (CSV) is none of DeepLabCut: its first row does not begin with 'scorer'")
    heads = {"scorer": first}
    for line in islice(lines, _MOST_LEVELS):
        heads[line[0].strip()] = line
        if line[0].strip() == "coords":
            break
    # Labels have the name of the picture in three cells: folder, video, picture.
    coords = [name.strip() in ("x", "y", "likelihood") for name in heads["coords"]]
    if True not in coords:
        raise ValueError("this table (CSV) is none of DeepLabCut: it has no column x, y or likelihood")
    width = coords.index(True)
    columns = _columns(heads, width)
    names, values = [], []
    for line in lines:
        if line:
            names.append("/".join(line[:width]))
            values.append([float(cell) if cell.strip() else np.nan for cell in line[width:]])
    if not names:
        raise ValueError("this table (CSV) has no rows of frames")
    if any(len(row) != len(columns) for row in values):
        raise ValueError("its rows and columns do not fit its header")
    return _result(names, np.array(values, np.float64), columns, fps)


def _lines(text: str) -> Iterator[list[str]]:
    """The rows of a CSV file. Raises ValueError."""
    try:
        yield from csv.reader(text.splitlines())
    except csv.Error as error:
        raise ValueError(f"this table (CSV) cannot be read: {error}") from error


def read_hdf5(path: Path, fps: Fraction) -> PoseTrackResult:
    """A table of DeepLabCut as HDF5, in either layout of pandas. Raises ValueError, KeyError or OSError."""
    if find_spec("h5py") is None:
        raise ValueError("HDF5 needs the package h5py: pip install 'dcpose[formats]'")
    import h5py

    require_file(path)
    try:
        with h5py.File(path, "r") as file:
            groups = [node for node in members(file) if isinstance(node, h5py.Group) and "pandas_type" in node.attrs]
            if len(groups) != 1:
                raise ValueError("this HDF5 file is none of DeepLabCut: it does not hold one table of pandas")
            return _result(*(_of_table if "table" in groups[0] else _of_fixed)(groups[0]), fps)
    except RuntimeError as error:  # what HDF5 says of a damaged file
        raise ValueError(f"cannot be read as HDF5: {one_line(error)}") from error


def _columns(heads: dict[str, list[str]], width: int) -> list[Column]:
    """The columns of a CSV file behind the first `width` cells."""
    nobody = [""] * len(heads["coords"])
    levels = [heads["scorer"], heads.get("individuals", nobody), heads["bodyparts"], heads["coords"]]
    return [_column(names) for names in zip(*(level[width:] for level in levels), strict=True)]


def _of_fixed(group: Any) -> tuple[list[str], NDArray[np.float64], list[Column]]:
    """pandas' layout "fixed": levels of the columns and their places, the index, the values."""
    count = int(group.attrs.get("axis0_nlevels", 0))
    if count not in (3, 4) or "block0_values" not in group or "block1_values" in group:
        raise ValueError("this HDF5 file is none of DeepLabCut: its columns have not three or four levels")
    return (
        _index_of(group),
        _values(array(group, "block0_values")),
        [_column(c) for c in _levels(group, "axis0", count)],
    )


def _levels(group: Any, axis: str, count: int) -> Iterator[tuple[str, ...]]:
    """The names of every column, or row, by their levels."""
    levels = [[_text(name) for name in array(group, f"{axis}_level{level}").tolist()] for level in range(count)]
    places = [array(group, f"{axis}_label{level}").tolist() for level in range(count)]
    for row in zip(*places, strict=True):
        yield tuple(levels[level][place] for level, place in enumerate(row))


def _index_of(group: Any) -> list[str]:
    """Numbers of the frames, or names of the pictures, of the layout "fixed"."""
    if "axis1" in group:
        return [_text(value) for value in array(group, "axis1").tolist()]
    count = int(group.attrs.get("axis1_nlevels", 0))
    if not 0 < count <= _MOST_LEVELS:
        raise ValueError(f"this HDF5 file is none of DeepLabCut: its rows have {count} levels")
    return ["/".join(names) for names in _levels(group, "axis1", count)]


def _of_table(group: Any) -> tuple[list[str], NDArray[np.float64], list[Column]]:
    """pandas' layout "table": rows of an index and a block of values; the columns are a pickled list."""
    data = array(group, "table")
    fields = data.dtype.names or ()
    if "index" not in fields or "values_block_0" not in fields or "values_block_1" in fields:
        raise ValueError("this HDF5 file is none of DeepLabCut: its table has not one block of values")
    ((_, columns),) = _plain(group.attrs["non_index_axes"])
    return (
        [_text(value) for value in data["index"].tolist()],
        _values(data["values_block_0"]),
        [_column(c) for c in columns],
    )


def _values(block: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(block, np.float64)


def _text(value: Any) -> str:
    """Raises ValueError for what is neither a short text nor a number."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str | int | float) or (isinstance(text, str) and len(text) > _MOST_TEXT):
        raise ValueError("one of its names is neither a short text nor a number")
    return str(text)


def _column(names: Any) -> Column:
    texts = [_text(name) for name in names] if isinstance(names, list | tuple) and len(names) <= _MOST_LEVELS else []
    if len(texts) not in (3, 4):
        raise ValueError("this HDF5 file is none of DeepLabCut: its columns have not three or four levels")
    scorer, *individual, part, coord = texts
    return scorer, "".join(individual), part, coord


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles lists, tuples, text and numbers; whatever would call or import something is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ValueError(f"its list of columns names {module[:40]}.{name[:40]}, and code of files is not run")


def _plain(pickled: Any) -> Any:
    data = bytes(pickled)
    if len(data) > _MOST_PICKLED:
        raise ValueError(f"its list of columns has {len(data):,} bytes, {_MOST_PICKLED:,} are the most")
    _require_modest(data)
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, IndexError, AttributeError) as error:
        raise ValueError("its list of columns cannot be read") from error


def _require_modest(data: bytes) -> None:
    """Raises ValueError for a pickle that makes its reader take memory for more values than it has bytes."""
    for opcode, argument, _ in pickletools.genops(data):
        places = "PUT" in opcode.name or opcode.name == "BYTEARRAY8"  # memory for as many as the number says
        if places and isinstance(argument, int) and argument > len(data):
            raise ValueError("its list of columns claims more values than it has")


def _result(names: list[str], values: NDArray[np.float64], columns: Sequence[Column], fps: Fraction) -> PoseTrackResult:
    """names: of the rows. values: (rows, columns)."""
    if values.shape != (len(names), len(columns)):
        raise ValueError("its rows and columns do not fit its header")
    parts = list(dict.fromkeys(part for _, _, part, _ in columns))
    joints = joints_by_name(parts)
    individuals = list(dict.fromkeys(individual for _, individual, _, _ in columns))
    _require_filled(len(individuals), len(parts), len(columns))
    tracks = _tracks_of(individuals)
    places = {(b, c, d): place for place, (_, b, c, d) in enumerate(columns)}
    cubes = [_cube(values, places, individual, parts) for individual in individuals]
    people = {
        number: [
            person
            for cube, track in zip(cubes, tracks, strict=True)
            if (person := person_of(cube[row], joints, track)) is not None
        ]
        for row, number in enumerate(_numbers(names))
    }
    return without_times(people, fps)


def _require_filled(individuals: int, parts: int, columns: int) -> None:
    """Raises ValueError for a table in which most individuals lack most parts: it would be laid out for all of them."""
    if individuals > MOST_PEOPLE:
        raise ValueError(f"it has {individuals:,} individuals, {MOST_PEOPLE:,} are the most")
    if individuals * parts > _MOST_SPREAD * columns:
        raise ValueError(f"its {columns:,} columns are too few for {individuals:,} individuals with {parts:,} parts")


def _cube(
    values: NDArray[np.float64], places: dict[tuple[str, str, str], int], individual: str, parts: Sequence[str]
) -> NDArray[np.float64]:
    """(rows, parts, 3) x, y, confidence of an individual; NaN for a part that it has no columns for."""
    cube = np.full((len(values), len(parts), 3), np.nan)
    for number, part in enumerate(parts):
        if (individual, part, "x") not in places:
            continue
        cube[:, number, 2] = 1
        for axis, coord in enumerate(("x", "y", "likelihood")):
            place = places.get((individual, part, coord))
            if place is not None:
                cube[:, number, axis] = values[:, place]
            elif axis < 2:
                raise ValueError(f"{part[:40]} has no column {coord}")
    return cube


def _tracks_of(individuals: Sequence[str]) -> list[int]:
    """Numbers in the names, where all have different ones; else the order."""
    found = [_LAST_NUMBER.search(name) for name in individuals]
    numbers = [whole(int(match[1])) for match in found if match]
    return numbers if len(set(numbers)) == len(individuals) else list(range(len(individuals)))


def _numbers(names: Sequence[str]) -> list[int]:
    """The frames of the rows, ascending numbers. Raises ValueError."""
    if all(_is_number(name) for name in names):
        numbers = [int(float(name)) for name in names]
    else:
        found = [_LAST_NUMBER.search(PurePosixPath(name.replace("\\", "/")).stem) for name in names]
        if not all(found):
            raise ValueError("its rows are neither numbers nor names of numbered pictures")
        numbers = [int(match[1]) for match in found if match]
        numbers = [number - min(numbers) for number in numbers]
    if len(set(numbers)) != len(numbers):
        raise ValueError("two of its rows are of one frame")
    return numbers


def _is_number(name: str) -> bool:
    return name.removesuffix(".0").isascii() and name.removesuffix(".0").isdigit()
