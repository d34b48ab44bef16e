"""A video, whatever it is: a file is read frame by frame; of a camera or stream, the newest frames count."""

from __future__ import annotations

import os

from dcpose_cli.video.hwaccel import NONE
from dcpose_cli.video.live import LiveReader, StopRequest
from dcpose_cli.video.reader import VideoReader
from dcpose_cli.video.source import is_address, is_live


def open_video(
    path: str | os.PathLike[str],
    *,
    start: float | None = None,
    end: float | None = None,
    max_frames: int | None = None,
    allow_network: bool = False,
    stop: StopRequest | None = None,
    hwaccel: str = NONE,
    device: str = "cpu",
    deinterlace: str = "auto",
) -> VideoReader | LiveReader:
    """Open a file, camera or address with the reader it needs; arguments and errors are those of the readers.

    stop: ends a live source. device: of the networks, where hardware decoding (`hwaccel`) belongs when it is a GPU.
    """
    if allow_network and is_live(path):
        return LiveReader(path, start=start, end=end, max_frames=max_frames, stop=stop)
    kind, _, number = device.partition(":")
    gpu = int(number) if kind == "cuda" and number.isdecimal() else None
    reader = VideoReader(
        path,
        start=start,
        end=end,
        max_frames=max_frames,
        allow_network=allow_network,
        hwaccel=hwaccel,
        gpu=gpu,
        deinterlace=deinterlace,
    )
    if is_address(path) and reader.info.duration is None:
        return LiveReader(path, start=start, end=end, max_frames=max_frames, stop=stop)
    return reader
