"""A video, whatever it is: a file is read frame by frame; of a camera or stream, the newest frames count."""

from __future__ import annotations

import os
from fractions import Fraction

from dcpose_cli._text import whole_number
from dcpose_cli.files import printable
from dcpose_cli.sequences import sequence_of
from dcpose_cli.types import VideoInfo
from dcpose_cli.video.hwaccel import NONE
from dcpose_cli.video.live import LiveReader, StopRequest
from dcpose_cli.video.picture_reader import PictureReader, named_sequence
from dcpose_cli.video.probe import probe
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
    fps: Fraction | None = None,
) -> VideoReader | LiveReader:
    """Open a file, camera or address with the reader it needs; arguments and errors are those of the readers.

    Pictures (sequences.py) are read as a video of `fps` frames per second. stop: ends a live source. device: of the
    networks, where hardware decoding (`hwaccel`) belongs when it is a GPU.
    """
    if allow_network and is_live(path):
        return LiveReader(path, start=start, end=end, max_frames=max_frames, stop=stop)
    if not is_address(path) and (found := sequence_of(path)) is not None:
        return PictureReader(found, fps=fps, start=start, end=end, max_frames=max_frames)
    kind, _, number = device.partition(":")
    gpu = whole_number(number) if kind == "cuda" else None
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


def open_file(
    path: str | os.PathLike[str],
    *,
    start: float | None = None,
    end: float | None = None,
    max_frames: int | None = None,
    first: int = 0,
    last: int | None = None,
    allow_network: bool = False,
    deinterlace: str = "auto",
    fps: Fraction | None = None,
) -> VideoReader:
    """A file, or pictures, read frame by frame by software; arguments and errors are those of the readers."""
    found = None if is_address(path) else sequence_of(path)
    if found is not None:
        return PictureReader(found, fps=fps, start=start, end=end, max_frames=max_frames, first=first, last=last)
    return VideoReader(
        path,
        start=start,
        end=end,
        max_frames=max_frames,
        first=first,
        last=last,
        allow_network=allow_network,
        deinterlace=deinterlace,
    )


def describe_input(
    path: str | os.PathLike[str], *, allow_network: bool = False, fps: Fraction | None = None
) -> VideoInfo:
    """`probe` of a file, or of pictures. Raises InputError or UsageError."""
    found = None if is_address(path) else named_sequence(path, fps)
    return found or probe(path, allow_network=allow_network)


def rate_warnings(reader: VideoReader | LiveReader, *, given: bool) -> list[str]:
    """What to say of the frame rate of pictures. given: the user named one."""
    source = printable(reader.info.path)
    if not isinstance(reader, PictureReader):
        hint = "for slow motion give --shot-fps, the rate the camera recorded with"
        return [f"--fps is not used: {source} has times of its own; {hint}"] if given else []
    if given or reader.info.frame_count == 1:
        return []
    return [f"{source} has no frame rate: {reader.info.fps} frames/s are assumed, set --fps"]
