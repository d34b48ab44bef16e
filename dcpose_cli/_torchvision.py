"""The one door to torchvision, imported where it is used: it loads torch's compiler and takes as long as torch itself.

Networks on the CPU need nothing of it. The compiler's folder stays empty (_inductor.py).
"""

from __future__ import annotations

import functools
from typing import Any

from dcpose_cli._inductor import compiler_folder


@functools.cache
def torchvision() -> Any:
    """The package, with its `models` and `ops`. Raises RuntimeError when it was built for another torch."""
    with compiler_folder():
        import torchvision as package
        import torchvision.models
        import torchvision.ops
    return package
