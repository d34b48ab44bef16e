"""A video, whatever it is: a file is read frame by frame; of a camera or stream, the newest frames count."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TypedDict, Unpack

from dcpose_cli.files import printable
from dcpose_cli.sequences import sequence_of
from dcpose_cli.types import VideoInfo
from dcpose_cli.video.hwaccel import NONE
from dcpose_cli.video.live import LiveReader, StopRequest
from dcpose_cli.video.picture_reader import PictureReader, named_sequence
from dcpose_cli.video.probe import Probe, probe
from dcpose_cli.video.reader import VideoReader
from dcpose_cli.video.source import is_address, is_live


class RangeOptions(TypedDict, total=False):
    """Which frames are read: arguments that every reader has."""

    start: float | None
    end: float | None
    max_frames: int | None


class ReadOptions(RangeOptions, total=False):
    """Arguments of VideoReader that `open_video` and `open_file` pass on."""

    allow_network: bool
    deinterlace: str


def open_video(
    path: str | os.PathLike[str],
    *,
    stop: StopRequest | None = None,
    hwaccel: str = NONE,
    device: str = "cpu",
    fps: Fraction | None = None,
    **options: Unpack[ReadOptions],
) -> VideoReader | LiveReader:
    """Open a file, camera or address with the reader it needs; options and errors are those of the readers.

    Pictures (sequences.py) are read as a video of `fps` frames per second. stop: ends a live source. device: of the
    networks, where hardware decoding (`hwaccel`) belongs when it is a GPU.
    """
    if options.get("allow_network") and is_live(path):
        return LiveReader(path, stop=stop, **_range_of(options))
    if not is_address(path) and (found := sequence_of(path)) is not None:
        return PictureReader(found, fps=fps, **_range_of(options))
    kind, _, number = device.partition(":")
    gpu = int(number) if kind == "cuda" and number.isdecimal() else None
    reader = VideoReader(path, hwaccel=hwaccel, gpu=gpu, **options)
    if is_address(path) and reader.info.duration is None:
        return LiveReader(path, stop=stop, **_range_of(options))
    return reader


def open_file(
    path: str | os.PathLike[str],
    *,
    first: int = 0,
    last: int | None = None,
    fps: Fraction | None = None,
    probed: Probe | None = None,
    **options: Unpack[ReadOptions],
) -> VideoReader:
    """A file, or pictures, read frame by frame by software; arguments and errors are those of the readers. probed: what
    another reader has found out."""
    found = None if is_address(path) else sequence_of(path)
    if found is not None:
        return PictureReader(found, fps=fps, first=first, last=last, **_range_of(options))
    return VideoReader(path, first=first, last=last, probed=probed, **options)


def _range_of(options: ReadOptions) -> RangeOptions:
    return {"start": options.get("start"), "end": options.get("end"), "max_frames": options.get("max_frames")}


def describe_input(
    path: str | os.PathLike[str], *, allow_network: bool = False, fps: Fraction | None = None
) -> VideoInfo:
    """`probe` of a file, or of pictures. Raises InputError or UsageError."""
    found = None if is_address(path) else named_sequence(path, fps)
    return found or probe(path, allow_network=allow_network)


def picture_warnings(reader: VideoReader | LiveReader, *, given: bool) -> list[str]:
    """What to say of pictures that were read, of their frame rate, and of video streams that were not read. given: the
    user named a rate."""
    source = printable(reader.info.path)
    if not isinstance(reader, PictureReader):
        hint = "for slow motion give --shot-fps, the rate the camera recorded with"
        said = [f"--fps is not used: {source} has times of its own; {hint}"] if given else []
        if isinstance(reader, VideoReader) and reader.probed.others:
            count, info = reader.probed.others + 1, reader.info
            which = f"number {info.stream_index}, {info.width}x{info.height}"
            said.append(f"{source}: 1 of {count} video streams is read ({which})")
        return said
    if given or reader.info.frame_count == 1:
        return reader.warnings
    return [*reader.warnings, f"{source} has no frame rate: {reader.info.fps} frames/s are assumed, set --fps"]
