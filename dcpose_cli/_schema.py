"""Nested dicts and lists (from TOML or JSON) -> frozen dataclasses, with errors that name the key.

A field's type may carry what its values are limited to: `Annotated[int, Within(1, 64)]`, `Annotated[str, Text(255)]`.
Unknown keys are refused in what a user writes or a model is built from. In headers that a later version may extend
they are left alone (`unknown="keep"`), as long as `require_plain` finds nothing in them that nobody writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from ._text import printable

_INT64: Final = 2**63
_LONGEST_TEXT: Final = 10_000
_MOST_ENTRIES: Final = 100_000
_SHOWN: Final = 60

#: What happens to keys that a dataclass has no field for.
Unknown = Literal["refuse", "keep"]


@dataclass(frozen=True, slots=True)
class Within:
    """Limits of a number, both included."""

    least: float
    most: float

    def check(self, value: Any, where: str) -> None:
        """Raises TypeError, which names the key `where`."""
        if not self.least <= value <= self.most:
            raise TypeError(f"{where} is {value!r:.40}, {self.least:g} to {self.most:g} can be")


@dataclass(frozen=True, slots=True)
class Text:
    """Limits of a text. most: characters. pattern: of the whole text. control: whether control characters may be in it,
    as in names of files."""

    most: int = _LONGEST_TEXT
    pattern: str = ""
    control: bool = False

    def check(self, value: str, where: str) -> None:
        """Raises TypeError, which names the key `where`."""
        if len(value) > self.most:
            raise TypeError(f"{where} is a text of {len(value)} characters, {self.most} are the most")
        if not self.control and not value.isprintable():
            raise TypeError(f"{where} holds control characters")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise TypeError(f"{where} is {printable(value, _SHOWN)}, which it cannot be")


def build(cls: Any, data: Any, where: str = "", *, unknown: Unknown = "refuse") -> Any:
    """Turn nested dicts and lists (TOML, JSON) into the dataclass `cls`; TypeError names what does not fit."""
    if isinstance(cls, type) and is_dataclass(cls):
        return _dataclass(cls, data, where, unknown)
    origin, args = get_origin(cls), get_args(cls)
    if origin is Annotated:
        value = build(args[0], data, where, unknown=unknown)
        for limit in args[1:]:
            limit.check(value, where.rstrip("."))
        return value
    if origin in (UnionType, Union):
        if data is None and type(None) in args:
            return None
        chosen = _choose([a for a in args if a is not type(None)], data, where)
        return build(chosen, data, where, unknown=unknown)
    if origin is tuple:
        return _tuple(args, data, where, unknown)
    _require_sane(data, where.rstrip("."))
    if cls is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(cls, type) and (not isinstance(data, cls) or (isinstance(data, bool) and cls is not bool)):
        raise TypeError(f"{where.rstrip('.')} must be {cls.__name__}")
    return data


def _dataclass(cls: Any, data: Any, where: str, unknown: Unknown) -> Any:
    if not isinstance(data, dict):
        raise TypeError(f"{where.rstrip('.') or 'it'} must be a table")
    hints = get_type_hints(cls, include_extras=True)
    known = {f.name for f in fields(cls)}
    others = sorted(set(data) - known)
    if others and unknown == "refuse":
        raise TypeError(f"unknown key {where}{printable(others[0], _SHOWN)}")
    needed = (f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)
    missing = [name for name in needed if name not in data]
    if missing:
        raise TypeError(f"missing key {where}{missing[0]}")
    return cls(**{key: build(hints[key], data[key], f"{where}{key}.", unknown=unknown) for key in data if key in known})


def _tuple(args: Sequence[Any], data: Any, where: str, unknown: Unknown) -> tuple[Any, ...]:
    name = where.rstrip(".")
    if not isinstance(data, (list, tuple)):
        raise TypeError(f"{name} must be a list")
    if len(data) > _MOST_ENTRIES:
        raise TypeError(f"{name} has {len(data)} entries, {_MOST_ENTRIES} are the most")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(build(args[0], v, where, unknown=unknown) for v in data)
    if len(args) != len(data):
        raise TypeError(f"{name} must have {len(args)} entries")
    return tuple(build(a, v, where, unknown=unknown) for a, v in zip(args, data, strict=True))


def require_plain(data: Any, where: str = "it", *, depth: int = 32, most: int = _MOST_ENTRIES) -> None:
    """Raises TypeError for a tree that nobody writes: too deep, too many values, endless numbers or texts.

    depth: levels of lists and tables. most: values, keys included.
    """
    level, left = [data], most
    for _ in range(depth + 1):
        left -= len(level)
        if left < 0:
            raise TypeError(f"{where} holds more than {most} values")
        for value in level:
            _require_sane(value, where)
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise TypeError(f"{where} is nested too deeply")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return list(value) if isinstance(value, list | tuple) else []


def _require_sane(data: Any, where: str) -> None:
    """TypeError for numbers that no computer's arithmetic holds, and texts that nobody wrote."""
    if isinstance(data, int) and not -_INT64 <= data < _INT64:
        raise TypeError(f"{where} is a number out of range")
    if isinstance(data, float) and not math.isfinite(data):
        raise TypeError(f"{where} is {data}, not a finite number")
    if isinstance(data, str) and len(data) > _LONGEST_TEXT:
        raise TypeError(f"{where} is a text of {len(data)} characters, {_LONGEST_TEXT} are the most")


def _choose(classes: list[Any], data: Any, where: str) -> Any:
    """The one of several dataclasses whose field `kind` has the value in `data`; without that key, the one without
    such a field."""
    if len(classes) == 1:
        return classes[0]
    wanted = data.get("kind") if isinstance(data, dict) else None
    kinds = {next((f.default for f in fields(c) if f.name == "kind"), None): c for c in classes}
    if not isinstance(wanted, str | None) or wanted not in kinds:
        known = ", ".join(repr(kind) for kind in kinds if kind is not None)
        shown = printable(wanted, _SHOWN) if isinstance(wanted, str) else "no text"
        raise TypeError(f"{where}kind is {shown!r}, known are {known} or none at all")
    return kinds[wanted]
