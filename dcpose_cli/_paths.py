"""Folders: of the shipped models, of downloaded models, and of what older versions downloaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path, user_data_path

#: Ends the name of a model whose backbone alone is meant, the network of single frames: `dcpose-s:single`.
SINGLE: Final = ":single"


def models_dir() -> Path:
    """The folder of the shipped models: inside an installed package, or the repository's `models/` beside it."""
    package = Path(__file__).resolve().parent
    installed = package / "_models"
    return installed if installed.is_dir() else package.parent / "models"


def shipped_model(model: str | Path, file: str, root: Path) -> Path | None:
    """The weights file of a shipped model that is named; None for other names, and for paths.

    file: name of weights files. root: folder of the shipped models. A name is text without a separator: "person-n" is
    the shipped model, whatever the working folder holds, and "./person-n", or any Path, the folder.
    """
    if not isinstance(model, str) or model in ("", ".", "..") or Path(model).name != model:
        return None
    found = root / model / file
    try:
        return found if found.is_file() else None
    except (OSError, ValueError):  # a name that no file system takes
        return None


def data_dir() -> Path:
    """The user's folder for downloaded models, which may not exist yet.

    $XDG_DATA_HOME/dcpose where that variable is set. Else ~/.local/share/dcpose on Linux, ~/Library/Application
    Support/dcpose on macOS, and %LOCALAPPDATA%/dcpose on Windows.
    """
    base = os.environ.get("XDG_DATA_HOME")
    return Path(base) / "dcpose" if base else user_data_path("dcpose", appauthor=False)


def cache_dir() -> Path:
    """The folder in which versions before 0.7 kept stock detectors; those found there are used.

    $XDG_CACHE_HOME/dcpose where that variable is set. Else ~/.cache/dcpose on Linux, ~/Library/Caches/dcpose on macOS,
    and %LOCALAPPDATA%/dcpose/Cache on Windows.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "dcpose" if base else user_cache_path("dcpose", appauthor=False)
