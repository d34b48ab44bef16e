"""Where the shipped models are."""

from __future__ import annotations

from pathlib import Path


def models_dir() -> Path:
    """The folder of the shipped models: inside an installed package, or the repository's `models/` beside it."""
    package = Path(__file__).resolve().parent
    installed = package / "_models"
    return installed if installed.is_dir() else package.parent / "models"
