"""Frames that are looked at together. Chunks are cut at fixed frame numbers, so that results never depend on timing."""

from __future__ import annotations

from typing import Final

from .types import Frame

#: Frames that are detected, and whose people are estimated, together; fewer where frames are large, so that memory
#: does not depend on their size.
CHUNK_FRAMES: Final = 16
CHUNK_PIXELS: Final = 32_000_000


def chunk_frames(width: int, height: int, most: int = CHUNK_FRAMES) -> int:
    """Frames in a chunk, for frames of this size in pixels."""
    return max(1, min(most, CHUNK_PIXELS // (height * width)))


def chunk_of(frame: Frame, most: int = CHUNK_FRAMES) -> int:
    """Number of the chunk a frame belongs to."""
    return frame.index // chunk_frames(frame.image.shape[1], frame.image.shape[0], most)
