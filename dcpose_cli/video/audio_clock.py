"""Where the packets of a sound track lie on the clock of the result, joined recordings included."""

from __future__ import annotations

from collections.abc import Sequence

from dcpose_cli.video.clock import AHEAD_SECONDS, BACK_SECONDS, Clock

#: Sound and pictures of one recording begin within this of each other.
_TOLERANCE_S = 1.0


class AudioClock:
    """Places packets, in the order of the file, on the clock of the pictures.

    Where the stamps of the sound jump, those of the pictures do too; the sound gets the shift of the pictures, so that
    it stays in sync however long the recordings are. pictures: their clock, which may run ahead or behind.
    """

    def __init__(self, pictures: Clock) -> None:
        self._pictures = pictures
        self._section = 0
        #: Seconds added to the stamps.
        self.shift = self._shifts()[0] if pictures.shifts else 0.0
        self._last: float | None = None
        self._end = 0.0

    def place(self, stamp: float, duration: float, until: float) -> float | None:
        """Seconds at which a packet with this stamp (seconds) begins.

        until: how far the pictures are. None where the pictures have not come so far that it could be said: ask again.
        """
        if self._last is not None and self._jumps(stamp - self._last):
            shift = self._shift_behind_jump(stamp, until)
            if shift is None:
                return None
            self.shift = shift
        self._last = stamp
        self._end = stamp + self.shift + duration
        return stamp + self.shift

    def _jumps(self, step: float) -> bool:
        return step < -BACK_SECONDS or (self._pictures.discontinuous and step > AHEAD_SECONDS)

    def _shift_behind_jump(self, stamp: float, until: float) -> float | None:
        following = list(enumerate(self._shifts()))[self._section + 1 :]
        section, shift = min(
            following, key=lambda item: abs(stamp + item[1] - self._end), default=(self._section, float("inf"))
        )
        if abs(stamp + shift - self._end) <= _TOLERANCE_S:
            self._section = section
            return shift
        if self._pictures.ended or until > self._end + _TOLERANCE_S:
            return self._end - stamp  # the sound alone was set anew
        return None

    def _shifts(self) -> Sequence[float]:
        return [float(shift * self._pictures.time_base) for shift in self._pictures.shifts]
