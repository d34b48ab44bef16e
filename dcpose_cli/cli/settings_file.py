"""`--config FILE`: the options of a command from a TOML file, or from the result that they made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import time
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args

import typer

from .._reading import read_toml
from ..config import DEFAULTS
from ..devices import PRECISIONS
from ..errors import InputError, UsageError
from ..files import printable
from .options import CONFIG_OPTIONS, MEASURE_OPTIONS, SELECTION_OPTIONS
from .terminal import message

#: Precision in the header of a result -> the option.
_PRECISIONS: Final = {number_type: name for name, number_type in PRECISIONS.items()}
#: Settings of a header that are options of the same name; an older result lacks some.
_SETTINGS: Final = (
    *("conf", "keep_conf", "interval", "share_crops", "detect_every", "detect_size", "tracker", "track_iou"),
    *("track_memory", "fill", "flip_test", "fix_swaps", "start", "end", "max_frames", "deinterlace", "engine"),
    *("fps", "shot_fps"),
)
#: Settings of a header that are not taken from it: those of the machine.
_OF_MACHINE: Final = frozenset({"device", "hwaccel", "precision"})


def with_file(values: dict[str, Any], path: Path, context: typer.Context) -> None:
    """Put the settings of a file in the place of the options that the command line does not give.

    values: of the command's parameters, by name. context: of the call. A file may serve several commands: settings of
    the others are said and passed over. Raises InputError for a file that cannot be read, UsageError for a setting that
    no command has or that cannot be meant.
    """
    every = CONFIG_OPTIONS | SELECTION_OPTIONS | MEASURE_OPTIONS
    kinds = {name: kind for name, kind in every.items() if name in values}
    passed: list[str] = []
    given: dict[str, str] = {}
    settings = _of_result(path) if path.suffix.lower() == ".json" else _of_toml(path)
    for key, value in settings.items():
        name = {"track": "tracks"}.get(key, key).replace("-", "_")
        if name in given:
            raise UsageError(f"{given[name]} and {printable(key)} are one setting", path=path, hint="keep one of them")
        given[name] = printable(key)
        if name in every and name not in kinds:
            passed.append(printable(key))
            continue
        if name not in kinds:
            options = ", ".join(sorted("track" if known == "tracks" else known.replace("_", "-") for known in kinds))
            raise UsageError(f"unknown setting {printable(key)!r:.60}", path=path, hint=f"known are {options}")
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            continue
        try:
            values[name] = _value(value, kinds[name])
        except TypeError as error:
            raise UsageError(f"{printable(key)} cannot be {value!r:.40}", path=path) from error
        except typer.BadParameter as error:
            raise UsageError(f"{printable(key)}: {error.message}", path=path) from error
    if passed and not values.get("quiet"):
        message(f"dcpose: warning: {printable(path)}: {', '.join(passed)}: not a setting of this command, passed over")


def _value(value: Any, option: Any) -> Any:
    """A value of a file for an option; text as on the command line. Raises TypeError or typer.BadParameter."""
    if isinstance(value, time):  # TOML's own, without quotation marks
        value = value.isoformat()
    (info,) = option.__metadata__
    if isinstance(value, str) and info.parser is not None:
        return info.parser(value)
    return _as_kind(value, option.__origin__)


def _as_kind(value: Any, kind: Any) -> Any:
    """A value of a file as the option's type. Raises TypeError."""
    one = next((part for part in get_args(kind) if part is not NoneType), kind) if NoneType in get_args(kind) else kind
    if one == list[int] and all(type(part) is int for part in (value if isinstance(value, list) else [value])):
        return value if isinstance(value, list) else [value]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if one is float and number:
        return float(value)
    if one is str and (number or isinstance(value, str)):
        return str(value)
    if one is Path and isinstance(value, str):
        return Path(value)
    if one in (int, bool) and type(value) is one:
        return value
    raise TypeError


def _of_toml(path: Path) -> dict[str, Any]:
    try:
        data = read_toml(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path, hint="check the file") from error
    except ValueError as error:
        raise InputError(f"not valid TOML: {printable(str(error))}", path=path, hint="write option = value") from error
    for key, value in data.items():
        if isinstance(value, dict):
            raise UsageError(f"{printable(key)} is a table, settings stand alone", path=path, hint="option = value")
    return data


def _of_result(path: Path) -> dict[str, Any]:
    """The options that made a result, as far as its header tells; the device is that of this machine."""
    from ..results.posetrack import read_posetrack

    header = read_posetrack(path).header
    made = _table(header, "settings")
    if not made:
        raise InputError("it does not say which options made it", path=path, hint="use a result of dcpose, or TOML")
    defaults = asdict(DEFAULTS)
    unknown = made.keys() - {*_SETTINGS, *_OF_MACHINE}
    lost = [printable(name) for name in sorted(unknown) if made[name] != defaults.get(name)]
    if lost:
        message(f"dcpose: warning: {printable(path)}: {', '.join(lost)}: not an option of this version, passed over")
    settings = {name: made[name] for name in _SETTINGS if made.get(name) is not None}
    if "detect_size" in settings:
        settings["detect_size"] = str(settings["detect_size"] or "auto")
    if made.get("precision") in _PRECISIONS:
        settings["precision"] = _PRECISIONS[made["precision"]]
    for key in ("model", "detector"):
        name = _table(header, key).get("name")
        if isinstance(name, str):
            settings[key] = name
    others = _table(header, "model").get("ensemble")
    if isinstance(others, list):
        settings["ensemble"] = ",".join(str(other.get("name")) for other in others if isinstance(other, dict))
    chosen = _table(header, "selection")
    settings |= {"track" if name == "tracks" else name: value for name, value in chosen.items() if name != "roi"}
    if isinstance(chosen.get("roi"), list):
        settings["roi"] = ",".join(f"{value:g}" for value in chosen["roi"])
    if header.get("shot_fps") is not None:
        settings.setdefault("shot_fps", header["shot_fps"])
    return settings


def _table(header: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = header.get(key)
    return value if isinstance(value, dict) else {}
