"""Checkpoints of a stage: written atomically, with the settings of the recipe that they belong to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import IO, Any, Final

import torch

from ..._pickles import require_tree, require_unpacked
from ...errors import UsageError, WeightsError
from ...files import output_error, sync_folder

#: Settings of the stage under way that a resumed training may change: its length, and when it is validated.
_LENGTH: Final = ("steps", "epochs", "decay", "validation_seconds")
#: Settings of a recipe that never change what is trained.
_HARMLESS: Final = frozenset({"name", "data.memory_gib", "data.measure", "data.validation_limit"})

#: Settings by dotted key, as a checkpoint holds them; lists of tables are one value.
Settings = Mapping[str, Any]


def settings_of(recipe: Any, stage: int) -> Settings:
    """The settings of a recipe (a dataclass) that decide stage `stage`: all but those of later stages."""
    later = tuple(f"stage{number}" for number in range(stage + 1, 10))
    flat = flatten(recipe)
    return {key: value for key, value in flat.items() if key.split(".")[0] not in later}


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """A dataclass -> its values by dotted key, tuples as lists."""
    table = asdict(config) if is_dataclass(config) and not isinstance(config, type) else config
    out: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            out |= flatten(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = _plain(value)
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return value


def require_same(path: Path, stage: str, stored: Settings, wanted: Settings) -> None:
    """UsageError names the first setting in which a checkpoint and the recipe differ and may not."""
    free = {f"{stage}.{key}" for key in _LENGTH} | _HARMLESS
    for key in [*wanted, *(key for key in stored if key not in wanted)]:
        if key not in free and stored.get(key) != wanted.get(key):
            was, now = (_brief(settings.get(key)) for settings in (stored, wanted))
            raise UsageError(
                f"was trained with {key} = {was}, the recipe says {now}",
                path=path,
                hint="restore it, or train in another --work",
            )


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def write_checkpoint(path: Path, data: Mapping[str, Any]) -> None:
    """Write a checkpoint, replacing the one before at once. Raises OutputError."""
    part = path.with_suffix(".part")
    noted: list[OSError] = []
    try:
        part.unlink(missing_ok=True)  # of a run that was killed, or a link or pipe of somebody
        with part.open("xb") as file:
            torch.save(dict(data), _Noting(file, noted))  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch turns some write errors into the latter
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise output_error(noted[0] if noted else error, path) from error


class _Noting:
    """A file that torch writes to; it notes why a write failed, which torch's own error does not say."""

    def __init__(self, file: IO[bytes], noted: list[OSError]) -> None:
        self._file, self._noted = file, noted

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self._noted.append(error)
            raise

    def flush(self) -> None:
        self._file.flush()


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """What `write_checkpoint` wrote; no code of the file is run. Raises WeightsError."""
    require_unpacked(path)
    try:
        data: dict[str, Any] = dict(torch.load(path, map_location=device, weights_only=True))
        require_tree(data)
    except Exception as error:  # a damaged zip raises whatever its reader meets
        raise unusable(path, error) from error
    return data


def unusable(path: Path, error: BaseException) -> WeightsError:
    """The WeightsError of a checkpoint that cannot be resumed from."""
    reason = (str(error).strip() or type(error).__name__).split("\n")[0][:160]
    return WeightsError(f"cannot resume: {reason}", path=path, hint="delete it to start over")
