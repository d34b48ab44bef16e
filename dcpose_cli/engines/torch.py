"""torch itself: networks are computed as they are, with the steps of nets/fused.py on x86 CPUs."""

from __future__ import annotations

from typing import Final

from .base import Engine

ENGINE: Final = Engine(name="torch")
