"""The engines that `--engine` names. A new one is a file with an ENGINE as base.py says, and a line here. No torch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from ..errors import UsageError
from . import onnx, openvino, torch
from .base import Engine

AUTO: Final = "auto"
TORCH: Final = torch.ENGINE.name
ENGINES: Final[dict[str, Engine]] = {TORCH: torch.ENGINE, "openvino": openvino.ENGINE, "onnx": onnx.ENGINE}


def engine_named(name: str) -> Engine:
    """The engine of a name; "auto" is torch. Raises UsageError for another name, or where a package is missing."""
    if name != AUTO and name not in ENGINES:
        raise UsageError(f"there is no engine {name!r:.40}", hint=f"use {AUTO}, {', '.join(ENGINES)}")
    engine = ENGINES[TORCH if name == AUTO else name]
    missing = [package for package in engine.packages if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"the engine {name} needs {' and '.join(missing)}", hint=f"pip install 'dcpose[{engine.extra}]'"
        )
    return engine


def require_engine(name: str, *, device: str = AUTO, precision: str = AUTO) -> None:
    """Raises UsageError for an engine that is unknown or not installed, or cannot do what else was asked for."""
    engine = engine_named(name)
    if engine.is_torch:
        return
    if device not in (AUTO, "cpu"):
        raise UsageError(f"the engine {name} works on the CPU, not on {device}", hint="leave out --device")
    if precision not in (AUTO, *engine.precisions):
        raise UsageError(
            f"the engine {name} does not compute in {precision}", hint=f"use {', '.join(engine.precisions)}"
        )
