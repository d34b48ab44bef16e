"""Results as pictures: people drawn over a frame, and earlier results drawn again over their videos."""

from __future__ import annotations

from .people import draw_people, track_palette

__all__ = ["draw_people", "track_palette"]
