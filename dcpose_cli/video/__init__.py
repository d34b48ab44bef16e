"""The only rooms that know how video files work: what is in one, its frames, and how a new one is written."""

from __future__ import annotations

from dcpose_cli.video.probe import probe
from dcpose_cli.video.reader import VideoReader
from dcpose_cli.video.writer import VideoWriter

__all__ = ["VideoReader", "VideoWriter", "probe"]
