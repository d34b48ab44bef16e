"""The work of networks: how much one does, and limits on what the detector of a file may ask for.

The limits are found out on torch's meta device, before the detector has any memory.
"""

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
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

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
#: Longest range of numbers that is made on the CPU while a network is only described.
_SHORT_RANGE: Final = 4096


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


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what is computed inside. multiply_adds: of convolutions, products and attention.

    Not for inference mode, which passes operators that are made of others as one. torch's own counter of operations
    would load torch's compiler, which takes as long as torch itself.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False leaves `__torch_dispatch__` as it is; the wrapper that torch puts around it imports the compiler."""
        return False

    @property
    def multiply_adds(self) -> int:
        return self._operations // 2

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        self._operations += formula(*args, **kwargs, out_val=output) if formula is not None else 0
        return output


class LimitedWork(OperationCounter):  # type: ignore[no-untyped-call]
    """WeightsError as soon as what is computed inside needs more memory or time than a detector does.

    The values that operators return count, those inside of layers too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = super().__torch_dispatch__(func, types, args, kwargs)
        for part in output if isinstance(output, list | tuple) else (output,):
            if isinstance(part, torch.Tensor):
                self._values += part.numel()
                if part.numel() > _MAX_ACTIVATION:
                    raise _refusal("memory than a detector needs")
        if self._values > _MAX_VALUES or self.multiply_adds > _MAX_MULTIPLY_ADDS:
            raise _refusal("work than a detector is")
        return output


class ShortRanges(TorchFunctionMode):
    """Within it short ranges are made on the CPU: on "meta" torch up to 2.14 loads its compiler for one (2 s)."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See the class."""
        given = dict(kwargs or {})
        if func is torch.arange and all(isinstance(end, int) and abs(end) <= _SHORT_RANGE for end in args):
            given.setdefault("device", torch.device("cpu"))
        return func(*args, **given)
