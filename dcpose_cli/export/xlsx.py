"""An Excel workbook (Office Open XML) of three sheets; written by the standard library, read by every spreadsheet.

angles   one row per frame and person: frame, time (seconds), track_id, then a column per angle in degrees
joints   one row per frame and person: frame, time, track_id, score (of the detector), then x, y (pixels) and confidence
         of every joint: nose_x, nose_y, nose_score ...
about    what made the result: a row per entry of its header

An empty cell stands where a joint was not found, or an angle could not be computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np

from ..errors import OutputError
from ..results.measures import pixel_aspect
from ..results.reader import PoseTrackResult
from ..results.serialization import compact_json, written
from .angles import all_angles, angle_names, facing_of
from .format import Format, one_file

#: Rows of a sheet; Excel reads no more.
MOST_ROWS: Final = 1_048_576
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)  # of files in a ZIP: the same result gives the same bytes
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_SHEET_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

_Cell: TypeAlias = str | int | float | None


def write_xlsx(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path`. Raises OutputError when it has more rows than a sheet can hold."""
    rows = sum(len(frame.people) for frame in result.frames)
    if rows >= MOST_ROWS:
        raise OutputError(f"{rows} rows are more than a sheet holds", path=path, hint="use the format csv or parquet")
    sheets = {"angles": _angles(result), "joints": _joints(result), "about": _about(result)}
    with ZipFile(path, "w", ZIP_DEFLATED) as book:
        for name, text in _frame_of(list(sheets)).items():
            book.writestr(_entry(name), text)
        for number, cells in enumerate(sheets.values(), start=1):
            with book.open(_entry(f"xl/worksheets/sheet{number}.xml"), "w") as out:
                for text in _sheet(cells):
                    out.write(text.encode())


def _angles(result: PoseTrackResult) -> Iterator[Sequence[_Cell]]:
    yield ["frame", "time", "track_id", *angle_names(result.joints)]
    aspect, sides = pixel_aspect(result.header), facing_of(result)
    for frame in result.frames:
        for person in frame.people:
            facing = np.array([sides.get(person.track_id, 1.0)])
            degrees, _ = all_angles(person.keypoints[None], facing, aspect, result.joints)
            yield [frame.index, round(frame.time, 6), person.track_id, *(np.round(degrees[0], 2) + 0.0).tolist()]


def _joints(result: PoseTrackResult) -> Iterator[Sequence[_Cell]]:
    names = [f"{name}_{part}" for name in result.joints for part in ("x", "y", "score")]
    yield ["frame", "time", "track_id", "score", *names]
    for frame in result.frames:
        for person in frame.people:
            numbers = written(person)
            cells: list[_Cell] = [frame.index, round(frame.time, 6), numbers.track_id, numbers.score]
            for joint in numbers.joints:
                cells += (None, None, None) if joint is None else joint
            yield cells


def _about(result: PoseTrackResult) -> Iterator[Sequence[_Cell]]:
    yield ["key", "value"]
    for key, value in result.header.items():
        if key not in ("pts", "damaged_frames"):
            yield [str(key), value if isinstance(value, str) else compact_json(value)]


def _sheet(rows: Iterable[Sequence[_Cell]]) -> Iterator[str]:
    """The XML of a sheet, whose first row stays in sight."""
    pane = '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    yield f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">{pane}</sheetView></sheetViews>'
    yield "<sheetData>"
    for number, cells in enumerate(rows, start=1):
        parts = [_cell(cell, f"{_letters(place)}{number}") for place, cell in enumerate(cells)]
        yield f'<row r="{number}">{"".join(parts)}</row>'
    yield "</sheetData></worksheet>"


def _cell(value: _Cell, place: str) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, str):
        # XML knows no control characters, and Excel no more than 32,767 characters in a cell.
        text = "".join(c if c.isprintable() else " " for c in value)[:32_000]
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'
    return f'<c r="{place}"><v>{value!r}</v></c>'


def _letters(place: int) -> str:
    """Name of a column, from 0: A, B ... Z, AA ..."""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def _frame_of(names: Sequence[str]) -> dict[str, str]:
    """The files around the sheets."""
    numbers = range(1, len(names) + 1)
    parts = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_SHEET_TYPE}.worksheet+xml"/>' for n in numbers
    )
    sheets = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in zip(numbers, names, strict=True)
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    return {
        "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET_TYPE}.sheet.main+xml"/>{parts}</Types>',
        "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}">'
        f"<sheets>{sheets}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>',
    }


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, _EARLIEST)
    entry.compress_type = ZIP_DEFLATED
    return entry


FORMAT = Format("Excel workbook: angles and joints, one row per person and frame", ".xlsx", one_file(write_xlsx))
