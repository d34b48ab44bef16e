"""torch's compiler is loaded by libraries that compile nothing, and makes a folder in the temporary folder then.

A folder that exists is named to it instead.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_VARIABLE: Final = "TORCHINDUCTOR_CACHE_DIR"


@contextmanager
def compiler_folder(folder: str | Path | None = None) -> Iterator[None]:
    """What torch's compiler makes goes into `folder`; the user's own choice of a folder is left alone.

    folder: by default the one for temporary files, in which nothing is made for the compiler's import.
    """
    folder = _existing() if folder is None else folder
    if os.environ.get(_VARIABLE):
        yield
        return
    os.environ[_VARIABLE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)


def load_compiler() -> None:
    """Imports torch's compiler before torch does so by itself: at the first step of an optimiser, or where layers run
    without memory (the device "meta")."""
    with compiler_folder():
        import torch._dynamo  # noqa: F401


def _existing() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # there is no temporary folder
        return os.curdir
