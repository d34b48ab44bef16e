"""The one door to torchvision, imported where it is used: it loads torch's compiler and takes as long as torch itself.

Networks on the CPU need nothing of it. The compiler's folder stays empty (_inductor.py).
"""

from __future__ import annotations

import functools
import os
import tempfile
from typing import Any

from dcpose_cli._inductor import compiler_folder


@functools.cache
def torchvision() -> Any:
    """The package, with its `models` and `ops`. Raises RuntimeError when it was built for another torch."""
    with compiler_folder(_existing()):
        import torchvision as package
        import torchvision.models
        import torchvision.ops
    return package


def _existing() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # there is no temporary folder
        return os.curdir
