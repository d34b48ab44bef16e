"""What this installation of PyAV can read and write."""

from __future__ import annotations

from typing import Literal

import av
import av.codec
from av.codec.codec import UnknownCodecError

_NEEDED: tuple[tuple[str, Literal["r", "w"]], ...] = (
    ("h264", "r"),
    ("hevc", "r"),
    ("vp9", "r"),
    ("av1", "r"),
    ("libx264", "w"),
    ("aac", "w"),
)


def codec_summary() -> str:
    """One line: FFmpeg's libraries and the codecs we rely on, missing ones marked."""
    parts = []
    for name, mode in _NEEDED:
        try:
            av.codec.Codec(name, mode)
            parts.append(name)
        except UnknownCodecError:
            parts.append(f"{name} MISSING")
    libavcodec = ".".join(str(n) for n in av.library_versions["libavcodec"])
    return f"FFmpeg (libavcodec {libavcodec}): {', '.join(parts)}"
