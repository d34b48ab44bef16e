"""What a foreign checkpoint may hold, beyond that no code of it runs: no bomb, no tensor larger than its bytes,
and real, finite numbers."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from .errors import WeightsError

#: torch stores tensors as they are: what is unpacked is about as long as the file. Names and padding come on top.
_MOST_UNPACKED: Final = 2
_SLACK_BYTES: Final = 1 << 20
#: Values in the containers of a checkpoint; a tensor is one.
_MOST_VALUES: Final = 1_000_000


def require_unpacked(path: Path) -> None:
    """Raise WeightsError for an archive whose parts are compressed to much less than they unpack to."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return  # no archive: torch's reader says what it is
    if size > _most_bytes(path):
        raise WeightsError(f"it unpacks to {size:,} bytes, which no checkpoint of torch does", path=path)


def require_honest(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise WeightsError for tensors that take more memory than the file has bytes: strides of 0, shared, sparse."""
    total = 0
    for name, tensor in state.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise WeightsError(f"the tensor {name!r:.80} is not stored plainly", path=path, hint="save dense tensors")
        size = tensor.numel() * tensor.element_size()
        if size > tensor.untyped_storage().nbytes():
            raise WeightsError(
                f"the tensor {name!r:.80} claims more elements than the file has", path=path, hint="fetch it again"
            )
        total += size
    if total > _most_bytes(path):
        raise WeightsError(f"its tensors claim {total:,} bytes, more than the file has", path=path)


def require_finite(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise WeightsError for tensors with numbers that are complex, infinite or none at all: such a network finds
    nobody, and says nothing."""
    for name, tensor in state.items():
        if tensor.is_complex():
            raise WeightsError(f"the tensor {name!r:.80} holds complex numbers", path=path, hint="use another file")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise WeightsError(
                f"the tensor {name!r:.80} holds numbers that are not finite", path=path, hint="use another file"
            )


def require_tree(data: object) -> None:
    """Raise ValueError for containers that hold each other so often that whoever walks through them never ends."""
    stack, left = [data], _MOST_VALUES
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            inner = [*value.values()]
        elif isinstance(value, list | tuple):
            inner = [*value]
        else:
            continue
        left -= len(inner)
        if left < 0:
            raise ValueError(f"it holds more than {_MOST_VALUES:,} values")
        stack += inner


def _most_bytes(path: Path) -> int:
    return _MOST_UNPACKED * path.stat().st_size + _SLACK_BYTES
