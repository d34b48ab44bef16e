"""torch's compiler is loaded by libraries that compile nothing, and makes a folder in the temporary folder then.

A folder that exists is named to it instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_VARIABLE: Final = "TORCHINDUCTOR_CACHE_DIR"


@contextmanager
def compiler_folder(folder: str | Path) -> Iterator[None]:
    """What torch's compiler makes goes into `folder`; the user's own choice of a folder is left alone."""
    if os.environ.get(_VARIABLE):
        yield
        return
    os.environ[_VARIABLE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)
