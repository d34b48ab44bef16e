"""Models on disk: our files, import of published checkpoints, export to ONNX."""

from __future__ import annotations

import warnings
from typing import Any

#: Public names of the former module `dcpose_cli.checkpoints`, which are in `importing` now.
_MOVED = ("import_checkpoint", "load_pickle", "read_checkpoint", "recognise", "strip_openmmlab")


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        from . import importing

        text = f"dcpose_cli.checkpoints.{name} is in dcpose_cli.checkpoints.importing now; this name goes in 1.0"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return getattr(importing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
