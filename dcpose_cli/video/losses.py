"""Frames that a damaged file no longer holds, counted by its clock where the container keeps no list of them.

A gap in the presentation times is a loss only where there is damage beside it: variable frame rates leave gaps too.
Damage is a packet marked corrupt, a failed read or decode, or bytes of the file that belong to no packet. What is lost
at the end is known where the header states a length, and where the file goes on without packets; a transport or program
stream that is cut off is a shorter stream, and nothing tells how long it was.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from statistics import median
from typing import Any, Final

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from dcpose_cli.video.clock import AHEAD_SECONDS

#: Containers whose header states the length of what was written.
_STATED: Final = ("matroska", "flv")
#: Containers that are packets to their last byte.
_PACKETS_ONLY: Final = ("mpegts", "mpeg")
#: Share of a file that may follow its last packet without being a loss.
_END_SHARE: Final = 0.02
#: Intervals that decide what the usual one is.
_INTERVALS: Final = 256
#: Damage so far before a gap still explains it: decoders hold frames back, and wait for the next key frame.
_NEAR_S: Final = 0.25
#: Bytes without a packet that mean nothing: tables and headers of the container, at once and for each second.
_OVERHEAD_BYTES: Final = 2048
_OVERHEAD_PER_S: Final = 4096
#: A file that ends so many frames before its stated length is as long as it says.
_TOLERANCE_FRAMES: Final = 3
#: A longer gap is a clock that was set anew; where clocks may be set anew, the reader's clock says from where on.
_MAX_STEP_S: Final = 3600.0


class Losses:
    """Counts the frames that are missing between those that come. `frames`: so far."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._names = container.format.name.split(",")
        self._duration = container.duration
        self._bytes = container.size
        self._seconds = float(stream.time_base or Fraction(1, 90_000))
        self._longest = AHEAD_SECONDS if any(name in _PACKETS_ONLY for name in self._names) else _MAX_STEP_S
        self._covered = -1
        self._first = 0
        self._pictures = 0
        self._last_packet = self._latest = 0.0
        self._damage_at: float | None = None
        self._shown: float | None = None
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self.frames = 0

    def packet(self, packet: Packet[Any]) -> None:
        """A packet of any stream, as it was read."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        seconds = float(stamp * packet.time_base) if stamp is not None and packet.time_base else self._last_packet
        if packet.pos is not None and packet.pos >= 0:
            self._cover(packet.pos, packet.size, seconds)
        if packet.stream.type == "video":
            self._pictures += 1
        if packet.is_corrupt:
            self.damage(seconds)
        self._last_packet = seconds
        if packet.pts is not None and packet.time_base:
            self._latest = max(self._latest, float((packet.pts + (packet.duration or 0)) * packet.time_base))

    def damage(self, seconds: float | None = None) -> None:
        """Something failed; seconds: where, at the packet read last when not given."""
        self._damage_at = max(self._damage_at or 0.0, self._last_packet if seconds is None else seconds)

    def frame(self, pts: int | None) -> None:
        """A decoded frame, in the order of presentation."""
        if pts is None:
            return
        last, seconds = self._shown, pts * self._seconds
        step = 0.0 if last is None else seconds - last
        if last is None or not 0 < step <= self._longest:
            # A stamp that jumps far ahead is damage of the stamp; one that goes back fills no gap twice.
            self._shown = seconds if last is None or abs(step) > self._longest else last
            return
        self._shown = seconds
        if self._intervals and self._damage_at is not None and self._damage_at >= last - _NEAR_S:
            self.frames += self._missing(step)
        self._intervals.append(step)

    def end(self) -> None:
        """The file has ended: what its header promised beyond that is lost."""
        usual = median(self._intervals) if self._intervals else 0.0
        if not usual or not self._pictures:
            return
        if any(name in _STATED for name in self._names) and self._duration:
            short = self._duration / 1_000_000 - self._latest
            if short > _TOLERANCE_FRAMES * usual:
                self.frames += round(short / usual)
        elif any(name in _PACKETS_ONLY for name in self._names) and self._covered > 0:
            rest, picture = self._bytes - self._covered, self._bytes_per_picture()
            if rest > _OVERHEAD_BYTES + 2 * picture + _END_SHARE * self._covered:
                self.frames += round(rest / picture)

    def _missing(self, step: float) -> int:
        usual = median(self._intervals)
        return round(step / usual) - 1 if step > 1.5 * usual else 0

    def _cover(self, pos: int, size: int, seconds: float) -> None:
        hole = pos - max(self._covered, 0)
        if self._covered < 0:
            self._first = pos
        elif hole > _OVERHEAD_BYTES + 2 * self._bytes_per_picture() + _OVERHEAD_PER_S * (seconds - self._last_packet):
            self.damage(seconds)
        self._covered = max(self._covered, pos + size)

    def _bytes_per_picture(self) -> float:
        return max(1.0, (self._covered - self._first) / max(1, self._pictures))
