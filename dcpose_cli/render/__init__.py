"""Results as pictures: people drawn over a frame, and earlier results drawn again over their videos.

The names below are imported on first use: not everybody who chooses among results draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .people import draw_people, track_palette

__all__ = ["draw_people", "track_palette"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import people

        return getattr(people, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
