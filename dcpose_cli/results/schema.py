"""The schema of a result's header (its `dcpose` object): which values its keys may have.

Keys that this version does not know are left alone, at every level: a later version may have written them. They may
hold anything that JSON has in plain numbers, texts and levels (`_schema.require_plain`). `time_base`, `format` and
`schema_version` are read before the rest (reader.py), as messages about them say more. `frames` and `people` are not
trusted: readers count again, so that a result from which somebody took people or frames can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from .._schema import Text, Within, build, require_plain
from .._text import printable
from ..errors import InputError

_INT64: Final = 2**63
#: One value per frame or per damaged frame: not part of the plain values.
_LISTS: Final = ("pts", "damaged_frames")
_MOST_LIBRARIES: Final = 100
#: Keys of a header, and values of a key; a header of ours has about a hundred in all.
_MOST_KEYS: Final = 1_000
_MOST_VALUES: Final = 1_000_000

_Count = Annotated[int, Within(0, _INT64)]
_Side = Annotated[int, Within(1, 1_000_000)]
_Word = Annotated[str, Text(1_000)]
#: Of a file, where control characters may stand: whoever shows it escapes them.
_Name = Annotated[str, Text(1_000, control=True)]
_Rate = Annotated[str, Text(40, pattern=r"[0-9]*[1-9][0-9]*/[0-9]*[1-9][0-9]*")]
_Seconds = Annotated[float, Within(0.0, 1e300)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    name: _Name | None = None
    sha256: _Word | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A model or detector."""

    name: _Name | None = None
    sha256: _Word | None = None
    ensemble: tuple[_Single, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Single:
    name: _Name | None = None
    sha256: _Word | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decode:
    frames: _Count | None = None
    damaged: _Count | None = None
    errors: _Count | None = None
    hardware: _Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """Those that a later command works with; the others are plain values."""

    start: _Seconds | None = None
    end: _Seconds | None = None
    max_frames: Annotated[int, Within(1, _INT64)] | None = None
    deinterlace: _Word | None = None
    interval: Annotated[int, Within(1, 1_000_000)] | None = None
    hwaccel: _Word | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pictures:
    tone_mapped: _Word | None = None
    deinterlaced: _Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Smoothing:
    method: _Word | None = None
    fix_swaps: bool = False
    of_sha256: _Word | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edited:
    of_sha256: _Word | None = None
    script: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    dcpose: _Word | None = None
    frames: _Count | None = None
    people: _Count | None = None
    input: _Input | None = None
    model: _Made | None = None
    detector: _Made | None = None
    libraries: dict[str, Any] | None = None
    fps: _Rate | None = None
    shot_fps: _Rate | None = None
    start_pts: Annotated[int, Within(-_INT64, _INT64)] | None = None
    pixel_aspect: _Rate | None = None
    width: _Side | None = None
    height: _Side | None = None
    settings: _Settings | None = None
    decode: _Decode | None = None
    smoothing: _Smoothing | None = None
    pictures: _Pictures | None = None
    video: _Word | None = None
    edits: tuple[_Edited, ...] = ()


def require_header(header: Mapping[str, Any], frames: int) -> None:
    """Raise InputError, which names the key, unless the header fits the schema and the `frames` of its file."""
    scalars = {key: value for key, value in header.items() if key not in _LISTS}
    try:
        known: _Header = build(_Header, scalars, unknown="keep")
        require_plain(list(scalars), "the header", most=_MOST_KEYS)
        for key, value in scalars.items():
            require_plain(value, printable(key, 60), most=_MOST_VALUES)
    except TypeError as error:
        raise InputError(f"its header does not fit: {error}") from error
    _require_libraries(known.libraries)
    for key in _LISTS:
        if not isinstance(header.get(key), list):
            raise InputError(f"the header has no list {key!r}")
        if not all(type(value) is int and -_INT64 <= value < _INT64 for value in header[key]):
            raise InputError(f"{key} holds something that is not a whole number")
    if len(header["pts"]) != frames:
        raise InputError(f"{len(header['pts'])} pts for {frames} images")


def _require_libraries(libraries: Any) -> None:
    if libraries is None:
        return
    texts = isinstance(libraries, dict) and all(isinstance(v, str | None) for v in libraries.values())
    if not texts or len(libraries) > _MOST_LIBRARIES:
        raise InputError("libraries is not a table of versions")
