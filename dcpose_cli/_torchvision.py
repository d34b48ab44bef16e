"""The one door to torchvision: its import loads torch's compiler, which makes a folder in the temporary folder.

The folder stays empty, because nothing is compiled here. A folder that exists already is named for the import instead.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_VARIABLE: Final = "TORCHINDUCTOR_CACHE_DIR"


@contextmanager
def _no_new_folder() -> Iterator[None]:
    """The user's own choice of a folder is left alone."""
    if os.environ.get(_VARIABLE):
        yield
        return
    folder = os.curdir
    with contextlib.suppress(FileNotFoundError):  # there is no temporary folder
        folder = tempfile.gettempdir()
    os.environ[_VARIABLE] = folder
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)


with _no_new_folder():
    from torchvision import models as models
    from torchvision import ops as ops
    from torchvision.models.resnet import BasicBlock as BasicBlock
    from torchvision.models.resnet import Bottleneck as Bottleneck
