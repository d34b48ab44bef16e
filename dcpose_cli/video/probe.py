"""What a video is, before it is processed: the right stream, its upright size, its clock."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from dcpose_cli.errors import InputError
from dcpose_cli.types import VideoInfo
from dcpose_cli.video.decoding import FrameDecoder
from dcpose_cli.video.orientation import Orientation
from dcpose_cli.video.source import MAX_PIXELS, open_input

_STILLS = Disposition.attached_pic | Disposition.timed_thumbnails
#: Codecs of single pictures: beside another video stream they are its cover, whatever the container says.
_PICTURES = frozenset({"mjpeg", "png", "apng", "bmp", "gif", "webp", "tiff"})
_MICROSECONDS = 1_000_000
_TS_DISCONT = 0x200  # AVFMT_TS_DISCONT


@dataclass(frozen=True, slots=True)
class Probe:
    """VideoInfo and what the reader needs besides.

    stored_width, stored_height: pixels before turning upright. discontinuous: the container allows clocks to jump.
    others: video streams that are not read. first: the first frame as it was decoded, where that is at hand and whole.
    """

    info: VideoInfo
    orientation: Orientation
    stored_width: int
    stored_height: int
    discontinuous: bool = False
    others: int = 0
    first: av.VideoFrame | None = field(default=None, repr=False, compare=False)


def probe(path: str | os.PathLike[str], *, allow_network: bool = False) -> VideoInfo:
    """Describe the video in `path`; its first frame is decoded to learn what headers do not say.

    Raises InputError when the file is missing, empty, not a video, larger than MAX_PIXELS per frame, or when not one
    frame of it decodes; UsageError for a folder, and for URLs unless `allow_network`.
    """
    return probe_fully(path, allow_network=allow_network).info


def container_start(path: str | os.PathLike[str], *, allow_network: bool = False) -> float:
    """Seconds at which the file's clock begins: what players call 0. Raises as `open_input`."""
    with open_input(path, allow_network=allow_network) as container:
        return (container.start_time or 0) / _MICROSECONDS


def probe_fully(path: str | os.PathLike[str], *, allow_network: bool = False) -> Probe:
    """As `probe`, with the orientation and stored size the reader applies."""
    with open_input(path, allow_network=allow_network) as container:
        stream = choose_stream(container, path)
        first, damaged = _first_frame(container, stream, path)
        return replace(describe(path, container, stream, first), first=None if damaged else first)


def choose_stream(container: InputContainer, path: str | os.PathLike[str]) -> VideoStream:
    """The video stream to process: no cover art, pictures only where there is nothing else, the default one if marked,
    then the largest, then the first.

    Raises InputError when there is none that can be decoded, or its frames are too large.
    """
    videos = _videos(container)
    if not videos:
        raise InputError("no video stream", path=path, hint="give a file with moving pictures")
    decodable = [s for s in videos if s.codec_context is not None and s.codec_context.width and s.codec_context.height]
    if not decodable:
        raise InputError("the video stream cannot be decoded", path=path, hint="convert it to H.264 first")
    best = max(decodable, key=_worth)
    if _area(best) > MAX_PIXELS:
        size = f"{best.codec_context.width}x{best.codec_context.height}"
        raise InputError(f"frames are too large ({size} pixels)", path=path, hint="scale it down to 8K or less")
    return best


def _videos(container: InputContainer) -> list[VideoStream]:
    return [stream for stream in container.streams.video if not stream.disposition & _STILLS]


def _worth(stream: VideoStream) -> tuple[bool, bool, int, int]:
    moving = stream.codec_context.name not in _PICTURES
    return moving, bool(stream.disposition & Disposition.default), _area(stream), -stream.index


def _area(stream: VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height


def _first_frame(
    container: InputContainer, stream: VideoStream, path: str | os.PathLike[str]
) -> tuple[av.VideoFrame, bool]:
    """The first frame that decodes, and whether it is damaged."""
    for frame, damaged in FrameDecoder(container, stream).frames():
        return frame, damaged
    raise InputError("not a single frame can be decoded: the file is damaged", path=path)


def describe(
    path: str | os.PathLike[str], container: InputContainer, stream: VideoStream, first: av.VideoFrame
) -> Probe:
    """What an open file or stream is, from its headers and its first frame."""
    orientation = Orientation.of_frame(first)
    width, height = first.width, first.height
    aspect = _positive(stream.sample_aspect_ratio) or Fraction(1)
    if orientation.transpose:
        width, height, aspect = height, width, 1 / aspect
    time_base = _positive(stream.time_base) or Fraction(1, _MICROSECONDS)
    first_pts = first.pts if first.pts is not None else (stream.start_time or 0)
    info = VideoInfo(
        path=Path(path),
        width=width,
        height=height,
        rotation=orientation.rotation,
        mirrored=orientation.mirrored,
        sample_aspect_ratio=aspect,
        time_base=time_base,
        fps=_positive(stream.average_rate) or _positive(stream.guessed_rate),
        frame_count=stream.frames if stream.frames > 0 else None,
        duration=_duration(container, stream, time_base),
        start_time=float(first_pts * time_base),
        codec=stream.codec_context.name,
        pix_fmt=first.format.name,
        stream_index=stream.index,
        has_audio=bool(container.streams.audio),
        start_pts=first_pts,
    )
    jumps = bool(container.format.flags & _TS_DISCONT)
    return Probe(info, orientation, first.width, first.height, jumps, len(_videos(container)) - 1)


def _positive(value: Fraction | None) -> Fraction | None:
    return value if value is not None and value > 0 else None


def _duration(container: InputContainer, stream: VideoStream, time_base: Fraction) -> float | None:
    if stream.duration is not None and stream.duration > 0:
        return float(stream.duration * time_base)
    if container.duration is not None and container.duration > 0:
        return container.duration / _MICROSECONDS
    return None
