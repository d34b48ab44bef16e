"""Limits on what the detector of a file may ask for: found out on torch's meta device, before it has any memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from dcpose_cli.errors import WeightsError

#: Side of the picture for which work is counted, pixels.
SIDE: Final = 640
#: Modules in a detector, counted as they are put into others; the largest stock ones have 2,500.
_MAX_MODULES: Final = 20_000
#: Some layers make parts that they replace at once: parameters are made more often than they are kept.
_REPLACED: Final = 4
#: Values of one activation, of all together, and multiply-adds. The stock detectors need at most 39 million, 1.6
#: thousand million and 141 thousand million.
_MAX_ACTIVATION: Final = 1 << 27
_MAX_VALUES: Final = 1 << 33
_MAX_MULTIPLY_ADDS: Final = 1 << 41


def _refusal(what: str) -> WeightsError:
    return WeightsError(f"the detector's architecture asks for more {what}", hint="use another file")


@contextlib.contextmanager
def limited_parts(most: int) -> Iterator[None]:
    """WeightsError as soon as networks of this thread make many more parameters than `most`, or too many modules."""
    thread, modules, parameters = threading.get_ident(), 0, 0

    def on_module(_module: nn.Module, _name: str, _child: nn.Module | None) -> None:
        nonlocal modules
        modules += threading.get_ident() == thread
        if modules > _MAX_MODULES:
            raise _refusal("modules than a detector has")

    def on_parameter(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        nonlocal parameters
        parameters += parameter.numel() if parameter is not None and threading.get_ident() == thread else 0
        if parameters > _REPLACED * most:
            raise _refusal("parameters than its file holds")

    hooks = (
        register_module_module_registration_hook(on_module),
        register_module_parameter_registration_hook(on_parameter),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def limited_work() -> Iterator[None]:
    """WeightsError as soon as what is computed inside needs more memory or time than a detector does."""
    counter = FlopCounterMode(display=False)
    with _Meter(), counter:
        yield
    if counter.get_total_flops() > 2 * _MAX_MULTIPLY_ADDS:
        raise _refusal("work than a detector is")


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the values that operators return, those inside of layers too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for part in output if isinstance(output, list | tuple) else (output,):
            if isinstance(part, torch.Tensor):
                self._values += part.numel()
                if part.numel() > _MAX_ACTIVATION:
                    raise _refusal("memory than a detector needs")
        if self._values > _MAX_VALUES:
            raise _refusal("work than a detector is")
        return output
