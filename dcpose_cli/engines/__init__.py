"""What computes a network: torch, or a runtime of an optional package. One file and one line in the registry each.

Of a pose network an engine gets the parts that make one tensor of one tensor: backbones and chains of convolutions.
What lies between them, the deformable step above all, stays in torch. A detector goes to the engine as a whole.
"""

from __future__ import annotations

from .base import Engine
from .registry import AUTO, ENGINES, TORCH, engine_named, require_engine

__all__ = ["AUTO", "ENGINES", "TORCH", "Engine", "engine_named", "require_engine"]
