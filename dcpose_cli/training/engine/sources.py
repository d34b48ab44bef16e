"""What a training learns from besides its recipe, as fingerprints: labels, weights to start from, a teacher."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import nn

from ...errors import UsageError
from ...files import sha256_of

#: Hexadecimal SHA-256 by what it is of: "labels NAME" for each file or folder that the recipe names, INIT, TEACHER.
Sources = Mapping[str, str]

INIT: Final = "--init"
TEACHER: Final = "--teacher"
_LABELS: Final = "labels "


def sources_of(labels: Mapping[str, Path], init: nn.Module | None, teacher: str = "") -> dict[str, str]:
    """The fingerprints of label files (or folders of them) by name, of weights, and that of a teacher.

    Pictures are left out: reading them all would take long. So is a label file that is not there, which its reader
    reports. Raises InputError.
    """
    found = {f"{_LABELS}{name}": _sha256_of_labels(path) for name, path in labels.items() if os.path.exists(path)}  # noqa: PTH110
    if init is not None:
        found[INIT] = sha256_of_weights(init)
    if teacher:
        found[TEACHER] = teacher
    return found


def _sha256_of_labels(path: Path) -> str:
    """Of a file, or of the JSON files in a folder with their names."""
    if not path.is_dir():
        return sha256_of(path)
    lines = [f"{sha256_of(file)} {file.name}\n" for file in sorted(path.glob("*.json"))]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def sha256_of_weights(net: nn.Module) -> str:
    """Of the names, types, shapes and values of a network's weights and buffers."""
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def difference(stored: Sources, wanted: Sources) -> str:
    """In words, the first thing that a checkpoint was trained on and that is different now; "" where nothing is."""
    for key in [*wanted, *(key for key in stored if key not in wanted)]:
        was, now = stored.get(key), wanted.get(key)
        if was == now:
            continue
        if key.startswith(_LABELS):
            return f"was trained on other labels: {key.removeprefix(_LABELS)} has changed since"
        if was is None:
            return f"was trained without {key}"
        return f"was trained with {key}, which is missing now" if now is None else f"was trained with another {key}"
    return ""


def require_same_sources(path: Path, stored: Sources, wanted: Sources) -> None:
    """UsageError names the first thing in which the sources of a checkpoint differ from those of the training."""
    if found := difference(stored, wanted):
        raise UsageError(
            found, path=path, hint="restore it, train in another --work, or continue all the same with --accept-changes"
        )
