"""Frames that go through the networks together (chunks), and stretches of a video that are stored together (segments).

Both are cut at fixed frame numbers, so that results depend neither on timing nor on where a run was interrupted.
"""

from __future__ import annotations

from typing import Final

from .types import Frame

#: Frames that are detected, and whose people are estimated, together; fewer where frames are large, so that memory
#: does not depend on their size.
CHUNK_FRAMES: Final = 16
CHUNK_PIXELS: Final = 32_000_000
#: Frames that wait, decoded, for the chunk before them to be detected: so many are decoded meanwhile at least.
DECODED_AHEAD: Final = 8
#: Frames that wait, detected, for the pose network: with a chunk of them the chunk behind it would be detected too
#: early, and held.
DETECTED_AHEAD: Final = 8
#: Chunks in a segment.
SEGMENT_CHUNKS: Final = 32


def chunk_frames(width: int, height: int, most: int = CHUNK_FRAMES) -> int:
    """Frames in a chunk, for frames of this size in pixels."""
    return max(1, min(most, CHUNK_PIXELS // (height * width)))


def decoded_ahead(width: int, height: int) -> int:
    """Frames that are decoded ahead of those that are looked at, for frames of this size in pixels."""
    return min(DECODED_AHEAD, chunk_frames(width, height))


def detected_ahead(width: int, height: int) -> int:
    """Frames that wait, detected, for the pose network, for frames of this size in pixels.

    Of large frames, whose chunks are short, two chunks: with one the stages often wait for each other (4K on two cores:
    4 % of the time).
    """
    return min(DETECTED_AHEAD, 2 * chunk_frames(width, height))


def chunk_of(frame: Frame, most: int = CHUNK_FRAMES) -> int:
    """Number of the chunk a frame belongs to."""
    return frame.index // chunk_frames(frame.pixels.shape[1], frame.pixels.shape[0], most)


def segment_frames(width: int, height: int) -> int:
    """Frames in a segment, for frames of this size in pixels."""
    return chunk_frames(width, height) * SEGMENT_CHUNKS


def segment_of(frame: Frame) -> int:
    """Number of the segment a frame belongs to."""
    return chunk_of(frame) // SEGMENT_CHUNKS
