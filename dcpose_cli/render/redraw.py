"""A result drawn again over its video, without the network: other styles, fewer people, hidden faces, two results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._threads import ReadAhead, WriteBehind
from ..chunks import chunk_frames
from ..config import DEFAULTS, EVERYBODY, Selection
from ..errors import InputError, UsageError
from ..files import printable
from ..filters import Filter, filtered, require_filter
from ..outputs import require_video
from ..results.foreign import read_result
from ..results.identities import require_distinct_ids
from ..results.measures import frame_rate_of
from ..results.reader import PoseTrackResult
from ..results.selected import selected
from ..selection import require_threshold
from ..sequences import input_hash
from ..types import Frame, FrameResult, Progress, Report, VideoInfo
from ..video.deinterlace import MODES
from ..video.opening import open_file
from ..video.reader import VideoReader
from ..video.writer import VideoWriter
from .faces import FaceBlur, coverage_warnings
from .panels import beside_each_other
from .people import STYLES, draw_people
from .trails import Trails

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderConfig:
    """How a result is drawn; every default of `dcpose render` is here.

    style: one of people.STYLES. black: on black instead of the video. trails: seconds, 0 for none. blur_faces: hide
    the faces of everybody in the result, chosen or not. smooth, kpt_thr, audio, overwrite: as in EstimateConfig.
    choice: whom to draw.
    """

    style: str = "limbs"
    boxes: bool = True
    ids: bool = True
    black: bool = False
    trails: float = 0.0
    blur_faces: bool = False
    smooth: str = DEFAULTS.smooth
    kpt_thr: float = DEFAULTS.kpt_thr
    choice: Selection = EVERYBODY
    audio: bool = True
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class RenderSummary:
    """What a finished rendering produced. warnings: one line each."""

    video: Path
    frames: int
    seconds: float
    warnings: tuple[str, ...]


def render(
    video: Path,
    result: Path,
    out: Path,
    *,
    config: RenderConfig | None = None,
    beside: Path | None = None,
    progress: Report | None = None,
) -> RenderSummary:
    """Draw a result over its video; clock, rotation and sound are kept as `estimate` keeps them.

    result: of dcpose or of another tool (results/foreign.py). out: .mp4, .mov or .mkv. beside: a second result of the
    same video, drawn to the right of the first.
    Raises UsageError, InputError or OutputError; then no output is left.
    """
    settings = config or RenderConfig()
    require_settings(settings)
    started = time.monotonic()
    require_video(out, [video, result, *([beside] if beside else [])], overwrite=settings.overwrite)
    results = [read_result(path) for path in (result, beside) if path is not None]
    painters = [_Painter(one, settings) for one in results]
    names = [path.stem for path in (result, beside) if path is not None] if beside else []

    def draw(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Image]]:
        for frame in frames:
            panels = [painter(frame) for painter in painters]
            yield frame, beside_each_other(panels, names) if names else panels[0]

    with open_again(video, results[0]) as reader:
        warnings = [w for one in results for w in differences(video, reader.info, one)]
        if settings.blur_faces and not settings.black:
            warnings += coverage_warnings(results[0].frames, (reader.info.width, reader.info.height))
        frames, said = write_video(reader, results[0], out, draw, settings, progress=progress)
    return RenderSummary(out, frames, time.monotonic() - started, (*dict.fromkeys(warnings), *said))


def require_settings(settings: RenderConfig) -> None:
    """Raises UsageError for what cannot be meant."""
    require_filter(Filter(method=settings.smooth))
    require_threshold(settings.kpt_thr)
    if settings.style not in STYLES:
        raise UsageError(f"unknown style {settings.style!r}", hint=f"use {', '.join(STYLES)}")
    if not 0 <= settings.trails <= 60:
        raise UsageError(f"--trails must lie between 0 and 60 seconds, got {settings.trails}")


@dataclass(frozen=True, slots=True)
class Part:
    """The part of its video that a result covers; fields as in EstimateConfig."""

    start: float | None
    end: float | None
    max_frames: int | None
    deinterlace: str = DEFAULTS.deinterlace


def part_of(result: PoseTrackResult) -> Part:
    """What the header says; anything that is no number counts as unset."""
    settings = result.header.get("settings")
    made = settings if isinstance(settings, dict) else {}
    start, end = (made.get(key) if type(made.get(key)) in (int, float) else None for key in ("start", "end"))
    limit, mode = made.get("max_frames"), made.get("deinterlace")
    return Part(start, end, limit if type(limit) is int else None, mode if mode in MODES else DEFAULTS.deinterlace)


def open_again(video: Path, result: PoseTrackResult) -> VideoReader:
    """The frames that the result was made from. Raises as VideoReader; InputError for another picture size."""
    part = part_of(result)
    reader = open_file(
        video,
        start=part.start,
        end=part.end,
        max_frames=part.max_frames,
        deinterlace=part.deinterlace,
        fps=frame_rate_of(result.header),
    )
    size = (result.header.get("width"), result.header.get("height"))
    if None not in size and size != (reader.info.width, reader.info.height):
        reader.close()
        raise InputError(
            f"{reader.info.width}x{reader.info.height}, the result is of a video of {size[0]}x{size[1]}",
            path=video,
            hint="give the video it was made from",
        )
    return reader


def differences(video: Path, info: VideoInfo, result: PoseTrackResult) -> Iterator[str]:
    """What tells that the result was made from another file."""
    source = result.header.get("input")
    expected = source.get("sha256") if isinstance(source, dict) else None
    if expected is not None and input_hash(info.path) != expected:
        yield f"{printable(video)} is not the file the result was made from; poses may lie beside the people"


def write_video(
    reader: VideoReader,
    result: PoseTrackResult,
    out: Path,
    pictures: Callable[[Iterable[Frame]], Iterator[tuple[Frame, Image]]],
    settings: RenderConfig,
    *,
    progress: Report | None = None,
) -> tuple[int, list[str]]:
    """What `pictures` makes of the reader's frames as a new video; its frames and the warnings about it."""
    part = part_of(result)
    report = progress or (lambda state: None)
    total, done = len(result.frames), 0
    output = VideoWriter(
        out,
        reader.info,
        audio_from=reader.info.path if settings.audio and reader.info.has_audio else None,
        start=part.start,
        end=part.end,
        cut=part.max_frames is not None,
        clock=reader.clock,
        overwrite=settings.overwrite,
    )
    report(Progress(0, total, 0))

    def write(item: tuple[Frame, Image]) -> None:
        output.write(item[1], item[0].pts)

    depth = chunk_frames(reader.info.width, reader.info.height)
    with output, WriteBehind(write, depth) as behind, ReadAhead(reader, depth) as ahead:
        for item in pictures(ahead):
            behind.put(item)
            done += 1
            report(Progress(done, total, 0))
    return done, output.warnings


class _Painter:
    """Draws the frames of one result, in order."""

    def __init__(self, result: PoseTrackResult, settings: RenderConfig) -> None:
        self._settings = settings
        self._everybody = {frame.index: frame for frame in result.frames}
        chosen = selected(result, settings.choice)
        if settings.smooth != "none" or settings.trails:
            require_distinct_ids(chosen)
        self._chosen = iter(filtered(chosen.frames, Filter(method=settings.smooth)))
        self._next = next(self._chosen, None)
        self._blur = FaceBlur(result.frames) if settings.blur_faces else None
        self._trails = Trails(settings.trails, settings.kpt_thr) if settings.trails else None

    def __call__(self, frame: Frame) -> Image:
        settings, nobody = self._settings, FrameResult(frame.index, frame.pts, frame.time)
        canvas = np.zeros_like(frame.image) if settings.black else frame.image
        if self._blur is not None and not settings.black:
            canvas = self._blur(canvas, self._everybody.get(frame.index, nobody))
        people = self._people(frame.index) or nobody
        if self._trails is not None:
            canvas = self._trails(canvas, people)
        return draw_people(
            canvas,
            people.people,
            kpt_thr=settings.kpt_thr,
            boxes=settings.boxes,
            ids=settings.ids,
            style=settings.style,
        )

    def _people(self, index: int) -> FrameResult | None:
        while self._next is not None and self._next.index < index:
            self._next = next(self._chosen, None)
        return self._next if self._next is not None and self._next.index == index else None
