"""Packets to frames, past damage: an error costs the packets it concerns, never the rest of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from dcpose_cli.video.losses import Losses
from dcpose_cli.video.source import MAX_PIXELS

#: Packets in a row that may fail to decode before the rest is given up (several lost groups of pictures).
MAX_FAILED_PACKETS = 1000
# Decoders whose threads work inside a frame and change nothing in its pixels, damaged or not.
_PARALLEL_DECODERS = frozenset({"hevc", "vp9", "libdav1d", "libvpx-vp9", "prores", "dnxhd", "ffv1"})
#: Reads in a row that may fail before the file counts as ended.
MAX_FAILED_READS = 10


class FrameDecoder:
    """The decoded frames of one stream in presentation order; iterate `frames()` once.

    skip: packets it is True for are not decoded. errors: packets and reads that failed so far, or frames that are
    missing between those that came, whichever are more (nothing is missing where packets are skipped on purpose).
    gave_up: True once too many failed in a row. stalled: the last read that failed had waited in vain.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        *,
        threads: int = 2,
        skip: Callable[[Packet[VideoStream]], bool] | None = None,
        max_failed_reads: int = MAX_FAILED_READS,
    ) -> None:
        self.gave_up = self.stalled = False
        self._failed = 0
        self._container = container
        self._stream = stream
        self._skip = skip
        self._losses = Losses(container, stream) if skip is None else None
        self._max_failed_reads = max_failed_reads
        self._damaged_pts: set[int] = set()
        context = stream.codec_context
        # Measured on H.264 with flipped bytes: with frame threads two runs differ, with slice threads damage is not
        # concealed, and at the end of a cut file frame threads lose pictures that one thread delivers.
        context.thread_type = "SLICE"
        context.thread_count = threads if context.name in _PARALLEL_DECODERS else 1
        # The size may change mid-stream: the decoder itself must refuse what probing would.
        context.options = {**context.options, "max_pixels": str(MAX_PIXELS)}

    @property
    def errors(self) -> int:
        """Frames lost so far."""
        return max(self._failed, self._losses.frames if self._losses is not None else 0)

    def frames(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Yield (frame, damaged). Errors of the media are counted; anything else is raised."""
        failed_in_a_row = 0
        for packet in self._packets():
            if packet is not None and self._skip is not None and self._skip(packet):
                continue
            try:
                frames = self._stream.decode(packet)
            except av.EOFError:
                continue  # flushed twice after a failed read
            except av.FFmpegError:
                self._fail()
                failed_in_a_row += 1
                if failed_in_a_row > MAX_FAILED_PACKETS:
                    self.gave_up = True
                    return
                continue
            if frames:
                failed_in_a_row = 0
            for frame in frames:
                if self._losses is not None:
                    self._losses.frame(frame.pts)
                yield frame, self._is_damaged(frame)
        if self._losses is not None:
            self._losses.end()

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """The stream's packets; a failed read is counted and reading goes on behind it. Ends with a flush."""
        failed_in_a_row = 0
        while failed_in_a_row <= self._max_failed_reads:
            try:
                for packet in self._read():
                    failed_in_a_row = 0
                    if packet.is_corrupt and packet.pts is not None:
                        self._damaged_pts.add(packet.pts)
                    yield packet
                return
            except (av.FFmpegError, IndexError) as error:  # the latter: a stream that damage makes appear midway
                self.stalled = isinstance(error, (av.error.ExitError, TimeoutError))
            self._fail()
            failed_in_a_row += 1
        self.gave_up = True
        yield None

    def _read(self) -> Iterator[Packet[VideoStream]]:
        """The stream's packets; those of other streams show which bytes of the file are accounted for."""
        if self._losses is None:
            yield from self._container.demux(self._stream)
            return
        for packet in self._container.demux(*self._container.streams):
            if packet.size:
                self._losses.packet(packet)
            if packet.stream.index == self._stream.index:
                yield packet  # type: ignore[misc]

    def _fail(self) -> None:
        self._failed += 1
        if self._losses is not None:
            self._losses.damage()

    def _is_damaged(self, frame: av.VideoFrame) -> bool:
        flagged = frame.pts in self._damaged_pts
        if flagged and frame.pts is not None:
            self._damaged_pts.discard(frame.pts)
        return flagged or frame.is_corrupt
