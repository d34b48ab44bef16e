"""Networks whose parts are computed by an engine, and the files that it makes of them.

The files lie in the user's data folder, `engines/`. A file's name is the hash of the weights and of everything else
that decides what is in it, so that it is never out of date; all of them may be deleted.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from .. import __version__
from .._inductor import compiler_folder
from .._locks import byte_of, locked
from .._memory import is_out_of_memory
from .._paths import data_dir
from .._scratch import scratch_folder
from .._text import one_line
from ..errors import DCPoseError, UsageError
from ..files import make_folder, output_error, write_atomic
from ..nets.fused import available, parts_of, with_parts, with_warps_fused
from .base import Engine, Run, quietly

_LOCK_NAME: Final = ".lock"
_MOST_BATCH: Final = 4096
_STRIDE: Final = 32
_MOST_STRIDES: Final = 256
_MAKING: Final = threading.Lock()


class Computed(nn.Module):
    """A part that an engine computes. (B, ...) of any float type on the CPU -> (B, ...) float32."""

    def __init__(self, run: Run, part: nn.Module) -> None:
        super().__init__()
        self._run = run
        self.config = getattr(part, "config", None)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.from_numpy(self._run(x.detach().float().contiguous().numpy()))


@dataclass(frozen=True, slots=True)
class Setup:
    """An engine as a run uses it. precision, where: as base.Engine has them."""

    engine: Engine
    precision: str
    where: str


def with_engine(
    net: nn.Module,
    setup: Setup,
    example: Callable[[nn.Module], object],
    *,
    dtype: torch.dtype,
    cores: int,
    any_size: bool = False,
) -> nn.Module:
    """A folded pose network on the CPU -> the same with its parts computed by an engine; `net` is used up.

    example: runs the network on anything of the right shapes. dtype: what torch computes
    offsets of the deformable step in. cores: threads that call it at a time. any_size: whether crops of other sizes
    than the example's will come.
    Raises UsageError for a network that the engine does not take, OutputError where a file cannot be stored.
    """
    shapes = _shapes(net, example)

    def made(name: str, part: nn.Module) -> nn.Module:
        if name not in shapes:  # it is not used
            return part
        shape = torch.zeros(2, *shapes[name][1:])
        return computed(part, setup, shape, free=(0, 2, 3) if any_size else (0,), stride=None, cores=cores)

    out = with_parts(net, made)
    return with_warps_fused(out, dtype) if available() else out


def record(net: nn.Module, names: Sequence[str], work: Callable[[], object]) -> dict[str, list[Tensor]]:
    """The inputs of some modules of a network, by their names in it, while `work` runs it."""
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    hooks = [
        net.get_submodule(name).register_forward_pre_hook(
            lambda _, given, name=name: found[name].append(given[0].detach().clone())
        )
        for name in names
    ]
    try:
        work()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _shapes(net: nn.Module, example: Callable[[nn.Module], object]) -> dict[str, torch.Size]:
    with torch.inference_mode():
        found = record(net, list(parts_of(net)), lambda: example(net))
    return {name: inputs[0].shape for name, inputs in found.items() if inputs}


def computed(
    net: nn.Module,
    setup: Setup,
    example: Tensor,
    *,
    free: tuple[int, ...],
    cores: int,
    stride: int | None = _STRIDE,
) -> Computed:
    """A network of one tensor, computed by an engine.

    example: an input. free: its sides that may change: the batch (0), height and width (2, 3) in steps of `stride`,
    or any that the network takes. Others and errors as in `with_engine`.
    """
    engine = setup.engine
    assert engine.loaded is not None
    shape = tuple(None if side in free else size for side, size in enumerate(example.shape))
    path = data_dir() / "engines" / f"{_fingerprint(net, engine, shape)}.{engine.name}"

    def convert() -> bytes:
        return _converted(net, engine, example, shape, stride)

    try:
        with _MAKING:
            data = _made(path, convert)
        return Computed(engine.loaded(data, setup.precision, cores, setup.where), net)
    except DCPoseError:
        raise
    except Exception as error:  # the packages raise whatever they like
        if is_out_of_memory(error):
            raise
        raise UsageError(
            f"the engine {engine.name} does not take this network: {one_line(error, 200)}",
            hint="use --engine torch, or another version of its package",
        ) from error


def _made(path: Path, make: Callable[[], bytes]) -> bytes:
    """What a file holds. It is made where it is missing or damaged; one process at a time makes it, others wait."""
    found = _read(path)
    if found is not None:
        return found
    make_folder(path.parent)
    lock = path.parent / _LOCK_NAME
    try:
        handle = lock.open("ab")
    except OSError as error:
        raise output_error(error, lock) from error
    with handle, locked(handle.fileno(), byte_of(path.name)):
        found = _read(path)
        if found is None:
            found = make()
            write_atomic(path, hashlib.sha256(found).digest() + found, overwrite=True)
    return found


def _read(path: Path) -> bytes | None:
    """What a file holds behind the hash of it; None where it is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    return data[size:] if hashlib.sha256(data[size:]).digest() == data[:size] else None


def _converted(
    net: nn.Module, engine: Engine, example: Tensor, shape: tuple[int | None, ...], stride: int | None
) -> bytes:
    sides = {side: _side(side, stride) for side, size in enumerate(shape) if size is None}

    def convert() -> bytes:
        assert engine.converted is not None
        with torch.no_grad(), scratch_folder() as scratch, compiler_folder(scratch):
            program = torch.export.export(net, (example,), dynamic_shapes=(sides,), strict=False)
            return engine.converted(program, shape)

    data: bytes = quietly(convert)
    return data


def _side(number: int, stride: int | None) -> object:
    if number == 0:
        return torch.export.Dim("batch", min=1, max=_MOST_BATCH)
    if stride is None:
        return torch.export.Dim.DYNAMIC
    return stride * torch.export.Dim(f"side{number}", min=1, max=_MOST_STRIDES)


def _fingerprint(net: nn.Module, engine: Engine, shape: tuple[int | None, ...]) -> str:
    """The SHA-256 of the weights, and of what else decides the bytes of the file."""
    versions = {"recipe": engine.recipe, "dcpose": __version__, "torch": torch.__version__, **engine.versions()}
    digest = hashlib.sha256(f"{shape} {sorted(versions.items())} {net}".encode())
    for name, value in net.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()[:40]
