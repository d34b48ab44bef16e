"""Nested dicts and lists (from TOML or JSON) -> frozen dataclasses, with errors that name the key."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

_INT64: Final = 2**63
_LONGEST_TEXT: Final = 10_000
_MOST_ENTRIES: Final = 100_000


def build(cls: Any, data: Any, where: str = "") -> Any:
    """Turn nested dicts and lists (TOML, JSON) into the dataclass `cls`; TypeError names what does not fit."""
    if isinstance(cls, type) and is_dataclass(cls):
        if not isinstance(data, dict):
            raise TypeError(f"{where.rstrip('.') or 'it'} must be a table")
        hints = get_type_hints(cls)
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise TypeError(f"unknown key {where}{unknown[0]}")
        needed = (f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)
        missing = [name for name in needed if name not in data]
        if missing:
            raise TypeError(f"missing key {where}{missing[0]}")
        return cls(**{key: build(hints[key], value, f"{where}{key}.") for key, value in data.items()})
    origin, args = get_origin(cls), get_args(cls)
    if origin in (UnionType, Union):
        if data is None and type(None) in args:
            return None
        return build(_choose([a for a in args if a is not type(None)], data, where), data, where)
    if origin is tuple:
        if not isinstance(data, (list, tuple)):
            raise TypeError(f"{where.rstrip('.')} must be a list")
        if len(data) > _MOST_ENTRIES:
            raise TypeError(f"{where.rstrip('.')} has {len(data)} entries, {_MOST_ENTRIES} are the most")
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(build(args[0], v, where) for v in data)
        if len(args) != len(data):
            raise TypeError(f"{where.rstrip('.')} must have {len(args)} entries")
        return tuple(build(a, v, where) for a, v in zip(args, data, strict=True))
    _require_sane(data, where.rstrip("."))
    if cls is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(cls, type) and (not isinstance(data, cls) or (isinstance(data, bool) and cls is not bool)):
        raise TypeError(f"{where.rstrip('.')} must be {cls.__name__}")
    return data


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
    if wanted not in kinds:
        known = ", ".join(repr(kind) for kind in kinds if kind is not None)
        raise TypeError(f"{where}kind is {wanted!r}, known are {known} or none at all")
    return kinds[wanted]
