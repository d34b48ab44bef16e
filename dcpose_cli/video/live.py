"""Cameras and network streams: the newest frames, however slow whoever takes them is.

A thread of its own receives and decodes all the time. At most QUEUE_FRAMES frames wait; when another comes, the oldest
is dropped and counted. When decoding itself falls behind the stream's clock, packets are dropped undecoded up to the
next key frame. So the delay stays bounded, and memory too.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from dcpose_cli.errors import InputError
from dcpose_cli.files import printable
from dcpose_cli.types import DecodeReport, Frame, VideoInfo
from dcpose_cli.video.clock import Clock
from dcpose_cli.video.colour import ToRgb
from dcpose_cli.video.decoding import FrameDecoder
from dcpose_cli.video.planes import upright_pixels
from dcpose_cli.video.probe import choose_stream, describe
from dcpose_cli.video.source import open_input

#: Frames that wait to be taken.
QUEUE_FRAMES: Final = 2
#: Seconds behind the stream's clock from which packets are dropped undecoded.
LATE_SECONDS: Final = 1.5
#: Reads in a row that may fail before a stream counts as broken off.
_MAX_FAILED_READS: Final = 2
_POLL_S: Final = 0.1
#: How long `close` waits for the receiving thread, which may be inside a read; it ends with that read at the latest.
_JOIN_S: Final = 1.0


class StopRequest:
    """Asks a live run to end as if its source had ended: what came in is finished and kept.

    `listening` is True while there is a run that would hear it.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.listening = False

    def set(self) -> None:
        """End the run."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A decoded frame that waits. arrived: on this machine's clock, seconds."""

    index: int
    pts: int
    decoded: av.VideoFrame
    damaged: bool
    arrived: float


class LiveReader:
    """Frames of a live source, the newest ones; read once. Used as VideoReader is.

    Times begin at 0 with the first frame delivered; Frame.index counts every frame received, dropped ones too.
    start, end: seconds from the first one received (with a start, all times are); max_frames: deliver at most so many.
    dropped, report: live counts. Raises, at construction: as `probe`. While iterating: InputError when not a single
    frame came.
    """

    def __init__(
        self,
        address: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        max_frames: int | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        self._address, self._start, self._end, self._limit = address, start or 0.0, end, max_frames
        self._stop = stop or StopRequest()
        self.dropped = 0
        self._received = self._taken = self._damaged = self._zero = 0
        self._error: BaseException | None = None
        self._arrived: dict[int, float] = {}
        self._waiting: deque[_Picture] = deque()
        self._to_rgb = ToRgb()
        self._change = threading.Condition()
        self._ended = self._closed = False
        self._pace = _Pace()
        container = open_input(address, allow_network=True, live=True)
        try:
            self._begin(container)
        except BaseException:
            container.close()
            raise
        self._thread = threading.Thread(target=self._receive, args=(container,), name="dcpose-live", daemon=True)
        self._thread.start()

    def _begin(self, container: InputContainer) -> None:
        """Everything the first frame is needed for."""
        stream = choose_stream(container, self._address)
        self._decoder = FrameDecoder(container, stream, skip=self._skip, max_failed_reads=_MAX_FAILED_READS)
        self._pictures = self._decoder.frames()
        first = next(self._pictures, None)
        if first is None:
            raise InputError("not a single frame came", path=self._address, hint="check the address")
        found = describe(self._address, container, stream, first[0])
        self._orientation = found.orientation
        self._size = (found.stored_width, found.stored_height)
        self.info: VideoInfo = replace(found.info, frame_count=None, duration=None, start_time=0.0, has_audio=False)
        self._first: tuple[av.VideoFrame, bool] | None = first
        # Whoever joins a stream in its middle misses what came before the next key frame: that is no damage.
        self._errors_before = self._decoder.errors

    @property
    def report(self) -> DecodeReport:
        """Frames delivered, flagged as damaged, and places lost, up to now."""
        return DecodeReport(self._taken, self._damaged, self._decoder.errors - self._errors_before)

    @property
    def broke_off(self) -> bool:
        """Whether the stream ended by an error."""
        return self._decoder.gave_up

    @property
    def ending(self) -> str:
        """How the stream ended, where not as it should: a line for the user; "" otherwise."""
        if not self.broke_off:
            return ""
        how = "stalled: nothing more was sent" if self._decoder.stalled else "broke off"
        return f"{printable(self._address)} {how} after {self._received} frames"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop receiving."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()
        self._thread.join(_JOIN_S)

    def age(self, frame: Frame) -> float:
        """Seconds since a frame that was taken had been decoded; forgets all frames up to it."""
        came = self._arrived.get(frame.index)
        self._arrived = {index: moment for index, moment in self._arrived.items() if index > frame.index}
        return 0.0 if came is None else time.monotonic() - came

    def __iter__(self) -> Iterator[Frame]:
        """The newest frames, as they come, until the source ends or the end is asked for."""
        self._stop.listening = True
        try:
            while (picture := self._next()) is not None:
                frame = self._upright(picture)
                self._taken += 1
                self._damaged += frame.damaged
                self._arrived[frame.index] = picture.arrived
                yield frame
                if self._taken == self._limit:
                    return
        finally:
            self._stop.listening = False
            with self._change:  # from now on nothing is received, and nothing counts as dropped
                self._closed = True
        if self._error is not None:
            raise self._error
        if not self._taken:
            what = self.ending or f"{printable(self._address)} ended after {self._received} frames"
            raise InputError(f"{what}, none of them in the range asked for", hint="check the address and --start")

    def _next(self) -> _Picture | None:
        with self._change:
            while not self._waiting and not self._ended and not self._closed and not self._stop.is_set():
                self._change.wait(_POLL_S)
            if self._closed or self._stop.is_set() or not self._waiting:
                return None
            return self._waiting.popleft()

    def _upright(self, picture: _Picture) -> Frame:
        """Converted only now: what is dropped costs nothing more than its decoding."""
        if not self._taken and not self._start:
            self._zero = picture.pts
        pixels = upright_pixels(picture.decoded, self._size, self._orientation, self._to_rgb)
        pts = picture.pts - self._zero
        return Frame(picture.index, pts, float(pts * self.info.time_base), pixels, picture.damaged)

    def _skip(self, packet: Packet[VideoStream]) -> bool:
        """Whether to drop a packet undecoded, because decoding is late."""
        late = self._pace.late(packet)
        with self._change:
            self.dropped += late and not self._closed
        return late

    def _receive(self, container: InputContainer) -> None:
        """The thread's work: decode what comes and keep the newest."""
        try:
            clock, zero = Clock(self.info.time_base, self.info.fps), 0
            while (item := self._first or next(self._pictures, None)) is not None and not self._closed:
                self._first = None
                picture, damaged = item
                pts = clock.next(picture.pts)
                index, self._received = self._received, self._received + 1
                zero = pts if index == 0 else zero
                moment = float((pts - zero) * self.info.time_base)
                if self._end is not None and moment >= self._end:
                    break
                if moment < self._start:
                    continue
                self._offer(_Picture(index, pts - zero, picture, damaged, time.monotonic()))
        except BaseException as error:  # handed to whoever iterates
            self._error = error
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()
            container.close()

    def _offer(self, picture: _Picture) -> None:
        with self._change:
            if self._closed:
                return
            if len(self._waiting) >= QUEUE_FRAMES:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(picture)
            self._change.notify_all()


class _Pace:
    """How far decoding is behind the stream's own clock."""

    def __init__(self) -> None:
        self._least = float("inf")
        self._skipping = False

    def late(self, packet: Packet[VideoStream]) -> bool:
        """Whether to skip this packet. Whole groups of pictures go: what follows a gap could not be decoded."""
        if packet.dts is None or not packet.size:
            return False
        behind = time.monotonic() - float(packet.dts * packet.time_base)
        # A clock that was set anew looks like being very late or very early: begin again.
        if abs(behind - self._least) > 60:
            self._least = behind
        self._least = min(self._least, behind)
        if packet.is_keyframe:
            self._skipping = False
        elif behind - self._least > LATE_SECONDS:
            self._skipping = True
        return self._skipping
