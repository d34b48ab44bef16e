"""Where the shipped models are, and what names of models may end in."""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: Ends the name of a model whose backbone alone is meant, the network of single frames: `dcpose-s:single`.
SINGLE: Final = ":single"


def models_dir() -> Path:
    """The folder of the shipped models: inside an installed package, or the repository's `models/` beside it."""
    package = Path(__file__).resolve().parent
    installed = package / "_models"
    return installed if installed.is_dir() else package.parent / "models"
