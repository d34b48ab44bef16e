"""The input of a run as its settings ask for it: opened, and some frames of it for automatic choices."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike

from .config import EstimateConfig
from .results.measures import shot_rate
from .video.live import LiveReader, StopRequest
from .video.opening import open_video
from .video.reader import VideoReader
from .video.sample import VideoSample


def open_source(
    path: str | PathLike[str], config: EstimateConfig, stop: StopRequest | None
) -> VideoReader | LiveReader:
    """The input of a run, open with the reader it needs. Raises as open_video."""
    return open_video(
        path,
        start=config.start,
        end=config.end,
        max_frames=config.max_frames,
        allow_network=config.allow_network,
        stop=stop,
        hwaccel=config.hwaccel,
        device=config.device,
        deinterlace=config.deinterlace,
        fps=None if config.fps is None else shot_rate(config.fps),
    )


def settled(config: EstimateConfig, reader: VideoReader | LiveReader) -> EstimateConfig:
    """The settings whose defaults depend on whether the source is live, decided."""
    if config.fix_swaps is None:
        return replace(config, fix_swaps=not isinstance(reader, LiveReader))
    return config


def sample_of(
    path: str | PathLike[str], reader: VideoReader | LiveReader, config: EstimateConfig
) -> VideoSample | None:
    """Frames for automatic choices; a live source has none to spare."""
    if isinstance(reader, LiveReader):
        return None
    return VideoSample.of(
        path,
        reader.info,
        start=config.start,
        end=config.end,
        max_frames=config.max_frames,
        allow_network=config.allow_network,
        probed=reader.probed,
    )
