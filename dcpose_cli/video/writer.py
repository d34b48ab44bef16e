"""A new video with the input's clock and sound: H.264, whole at its target or not there at all."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dcpose_cli.errors import InputError, OutputError, UsageError
from dcpose_cli.files import AtomicFile, output_error, printable, sha256_of
from dcpose_cli.types import VideoInfo
from dcpose_cli.video.audio import AudioTrack
from dcpose_cli.video.clock import Clock
from dcpose_cli.video.colour import BT709, LIMITED_RANGE
from dcpose_cli.video.painting import Drawn, Painter

#: Output containers by file name ending.
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}

# Fragments of one second while writing, so that a killed run leaves what it had; closing turns them into a plain file.
# delay_moov lets the header wait for the first stamps: without it the clock of the output would start at zero.
_FRAGMENTS = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
# x264's macroblock tree made 1 run in 30 differ by some bytes (small frames, variable rate); without it 0 of 240.
# And no B-frames: with them an MP4 whose sound turns out empty loses its last frame.
_REPEATABLE = {"mbtree": "0", "bf": "0"}
#: Frames of more pixels are encoded with less effort. At 4K with two threads x264's `superfast` takes 45 ms of CPU time
#: a frame (87 where all of it is grainy); without arithmetic coding, positions between pixels and divided blocks 31
#: (47), for a fifth more bytes and 0.2 dB (brightness: 50.3 dB, 42.3). `ultrafast` takes 26 (34) and loses 5 dB (0.6).
_LARGE_PIXELS = 4_000_000
_LESS_EFFORT = {"preset": "superfast", "x264-params": "cabac=0:subme=0:partitions=none"}
_MIN_TIMESCALE = 10_000
_MAX_FPS = 240
_DEFAULT_FPS = Fraction(25)
_KEYFRAME_SECONDS = 2
_MAX_TICKS_PER_SECOND = 2**31 - 1
#: Longest side that x264 takes, pixels.
_MAX_SIDE = 16384


class VideoWriter:
    """Writes frames to `path` (.mp4, .mov or .mkv) as H.264 yuv420p, BT.709.

    info: the input's; its time base, frame rate and pixel shape are kept. audio_from: file whose sound is carried
    over, None for silence. clock: that of the reader of the input, which places the sound; without it the input is one
    recording. start, end: the range of the input being written, seconds from its first frame. cut: the input may go on
    after the last frame written; its sound then ends with that frame, else it goes on to its own end. Frames keep
    their PTS exactly (Matroska: to its millisecond), except that with `start`, or when the first one is negative, the
    output begins at 0: `pts_offset` ticks are taken off. Odd sizes grow by one pixel whose colour repeats the edge.

    As a context manager it publishes the file on success and removes every trace when the block raises. `warnings`
    says what happened to the sound; `sha256` is the finished file's. Raises UsageError for another ending; InputError
    for frames wider or higher than H.264 can be; OutputError when the target exists (without `overwrite`), its folder
    cannot be written, or writing fails.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        info: VideoInfo,
        *,
        audio_from: Path | None,
        start: float | None = None,
        end: float | None = None,
        cut: bool = False,
        clock: Clock | None = None,
        overwrite: bool = False,
        crf: int = 20,
        preset: str | None = None,
        threads: int = 2,
        allow_network: bool = False,
    ) -> None:
        self.path = Path(path)
        self._format = FORMATS.get(self.path.suffix.lower(), "")
        if not self._format:
            raise UsageError(f"must end in {', '.join(FORMATS)}", path=path, hint="choose one of them")
        require_encodable(info)
        self.info = info
        self.warnings: list[str] = []
        self.pts_offset = 0
        self.sha256 = ""
        self._audio_from = audio_from
        self._cut_start = bool(start)
        self._cut_end = cut
        self._latest = float("inf") if end is None else end
        self._clock = clock or _one_recording(info)
        self._allow_network = allow_network
        large = info.width * info.height > _LARGE_PIXELS
        effort = _LESS_EFFORT if large and preset is None else {"preset": preset or "veryfast"}
        self._encoder_options = {"crf": str(crf), "threads": str(threads), **effort, **_REPEATABLE}
        self._shape: tuple[int, int] | None = None
        self._last_pts: int | None = None
        self._painter = Painter()
        self._output: OutputContainer | None = None
        self._audio: AudioTrack | None = None
        self._complete = False
        self._file = AtomicFile(self.path, overwrite=overwrite)

    @property
    def temp(self) -> Path:
        """Where the video is while it is being written; what is there can be decoded even after a crash."""
        return self._file.temp

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, image: NDArray[np.uint8] | Drawn, pts: int) -> None:
        """Append a frame. image: (H, W, 3) uint8 RGB, or a frame that something is drawn on, one size throughout; pts:
        later than the one before."""
        shape = image.pixels.shape if isinstance(image, Drawn) else image.shape
        kind = np.dtype(np.uint8) if isinstance(image, Drawn) else image.dtype
        try:
            if self._output is None:
                self._begin(shape, pts)
            self._check(shape, kind, pts)
            frame = self._painter(image) if isinstance(image, Drawn) else self._painter.whole(image)
            frame.pts, frame.time_base = pts - self.pts_offset, self.info.time_base
            self._mux(frame)
            if self._audio is not None:
                self._audio.pump(min(self._seconds(pts), self._latest))
            self._last_pts = pts
        except (av.FFmpegError, OSError) as exc:
            raise output_error(exc, self.path) from exc

    def close(self) -> None:
        """Finish the file and put it at its target. Raises OutputError; then nothing is left behind."""
        try:
            if not self._complete:
                self.finish().commit()
        finally:
            self.abort()

    def finish(self) -> AtomicFile:
        """Finish the file, which is to be published with others. Raises OutputError; then nothing is left behind."""
        if self._output is None or self._last_pts is None:
            self.abort()
            raise OutputError("no frames were written: the input gave none", path=self.path)
        try:
            self._finish(self._output, self._last_pts)
            self._release()
            self.sha256 = sha256_of(self._file.temp)
        except BaseException as exc:
            self.abort()
            if isinstance(exc, av.FFmpegError | OSError):
                raise output_error(exc, self.path) from exc
            raise
        self._complete = True
        return self._file

    def abort(self) -> None:
        """Stop writing and remove the temporary file; does nothing once the file is at its target."""
        self._release()
        self._file.discard()

    def _begin(self, shape: tuple[int, ...], pts: int) -> None:
        self._shape = (shape[0], shape[1])
        self.pts_offset = pts if self._cut_start or pts < 0 else 0
        try:
            self._open(pts, self._audio_from)
        except (av.FFmpegError, ValueError) as exc:
            if isinstance(exc, OSError) or self._audio is None or not self._audio.present:
                raise
            self._release()
            self.warnings.append(
                f"sound of {printable(self._audio_from or '')} was left out: it does not fit the output"
            )
            self._open(pts, None)

    def _open(self, pts: int, audio_from: Path | None) -> None:
        # The second option: where the sound has a hole or an early end, pictures wait for it one second, not ten.
        options = {"flush_packets": "1", "max_interleave_delta": "1000000"}
        if self._format != "matroska":
            options |= self._mp4_options()
        # "file:": else what stands before a colon in the name is taken for a protocol.
        self._output = av.open(f"file:{self._file.temp}", "w", format=self._format, container_options=options)
        self._stream = self._add_video(self._output)
        if audio_from is not None:
            since = self._seconds(pts) if self._cut_start else None
            self._audio = AudioTrack(
                audio_from,
                self._output,
                pictures=self._clock,
                since=since,
                offset=self._seconds(self.pts_offset),
                allow_network=self._allow_network,
            )
        self._output.start_encoding()

    def _add_video(self, output: OutputContainer) -> VideoStream:
        height, width = self._shape or (0, 0)
        fps = self.info.fps if self.info.fps and self.info.fps <= _MAX_FPS else _DEFAULT_FPS
        stream = output.add_stream("libx264", rate=fps.limit_denominator(1001), options=self._encoder_options)
        context = stream.codec_context
        context.width, context.height = width + width % 2, height + height % 2
        context.pix_fmt = "yuv420p"
        context.time_base = self._ticks()
        context.gop_size = max(1, round(fps * _KEYFRAME_SECONDS))
        context.sample_aspect_ratio = self.info.sample_aspect_ratio.limit_denominator(2**15)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
        stream.time_base = self._ticks()
        return stream

    def _ticks(self) -> Fraction:
        """The clock of the output: the input's, which every container here can hold, or microseconds if too fine."""
        return self.info.time_base if self.info.time_base.denominator <= _MAX_TICKS_PER_SECOND else Fraction(1, 10**6)

    def _frame_ticks(self) -> int:
        """Length of a frame at the average rate, at least one tick."""
        return max(1, round(1 / ((self.info.fps or _DEFAULT_FPS) * self.info.time_base)))

    def _mp4_options(self) -> dict[str, str]:
        """Fragments, and one clock for tracks and movie: a late start is stored in the movie's, else milliseconds."""
        scale = self._ticks().denominator
        while scale < _MIN_TIMESCALE:
            scale *= 2
        return {**_FRAGMENTS, "video_track_timescale": str(scale), "movie_timescale": str(scale)}

    def _check(self, shape: tuple[int, ...], kind: np.dtype[Any], pts: int) -> None:
        if kind != np.uint8 or shape != (*(self._shape or ()), 3):
            raise UsageError(f"a frame has shape {shape}, {kind}", path=self.path, hint="keep one size")
        if self._last_pts is not None and pts <= self._last_pts:
            raise UsageError(f"frames go back in time ({self._last_pts} to {pts})", path=self.path, hint="sort them")

    def _mux(self, frame: av.VideoFrame | None) -> None:
        if self._output is None:
            return
        for packet in self._stream.encode(frame):
            # Tells the muxer how long the last frame lasts.
            packet.duration = packet.duration or self._frame_ticks()
            self._output.mux(packet)

    def _finish(self, output: OutputContainer, last_pts: int) -> None:
        self._mux(None)
        if self._audio is not None:
            stop = self._seconds(last_pts + self._frame_ticks()) if self._cut_end else float("inf")
            self._audio.finish(min(stop, self._latest))
        output.close()

    def _release(self) -> None:
        if self._audio is not None:
            self.warnings += self._audio.warnings
            self._audio.close()
            self._audio = None
        output, self._output = self._output, None
        if output is not None:
            # Its trailer may fail as the packets did; the first error is the one to report.
            with contextlib.suppress(av.FFmpegError, ValueError):
                output.close()

    def _seconds(self, pts: int) -> float:
        return float(pts * self.info.time_base)


def _one_recording(info: VideoInfo) -> Clock:
    clock = Clock(info.time_base, info.fps)
    clock.next(info.start_pts)
    clock.ended = True
    return clock


def require_encodable(info: VideoInfo) -> None:
    """Raise InputError for a video whose frames are too wide or too high to be written again."""
    if max(info.width, info.height) > _MAX_SIDE:
        raise InputError(
            f"frames are {info.width}x{info.height}, and H.264 takes {_MAX_SIDE} pixels a side at most",
            path=info.path,
            hint="scale it down, or use dcpose export-json",
        )
