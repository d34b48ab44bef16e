"""Presentation times that can be relied on: they begin at 0, and every frame's is later than the one before."""

from __future__ import annotations

from fractions import Fraction

_DEFAULT_FPS = Fraction(25)
#: A time this far from zero is damage, not a clock: more than 100 days.
_MAX_SECONDS = 10_000_000
#: A step back by more than this, and by more than three frames, is a clock that was set anew (joined recordings);
#: less is two frames out of order.
BACK_SECONDS = Fraction(1, 10)
_BACK_FRAMES = 3
#: The same for a step ahead, in containers whose clocks may be set anew (MPEG-TS, DVD).
AHEAD_SECONDS = 10


class Clock:
    """Turns the stamps that decoded frames carry into strictly increasing PTS from 0, in ticks of `time_base`.

    Differences between stamps are kept. Where the stamps jump back, the next frame follows the last one after the
    length of a frame. discontinuous: they may also jump ahead; without it a jump ahead is a pause.
    shifts: what is added to the stamps, in ticks, an entry for each recording of a joined file; empty before the first
    stamp. ended: no further frame will come.
    """

    def __init__(self, time_base: Fraction, fps: Fraction | None, *, discontinuous: bool = False) -> None:
        self.time_base = time_base
        self.discontinuous = discontinuous
        self.shifts: list[int] = []
        self.ended = False
        self._step = max(1, round(1 / ((fps or _DEFAULT_FPS) * time_base)))
        self._limit = round(_MAX_SECONDS / time_base)
        self._back = max(2, round(BACK_SECONDS / time_base), _BACK_FRAMES * self._step)
        self._ahead = round(AHEAD_SECONDS / time_base)
        self._last: int | None = None

    def next(self, stamp: int | None) -> int:
        """The PTS to use for a frame with this stamp; one step after the last frame when the stamp is missing."""
        follow = 0 if self._last is None else self._last + self._step
        if stamp is None or abs(stamp) > self._limit:
            result = follow
        elif not self.shifts or self._last is None or self._is_set_anew(stamp + self.shifts[-1] - self._last):
            result = follow
            self.shifts.append(follow - stamp)
        else:
            result = max(stamp + self.shifts[-1], self._last + 1)
        self._last = result
        return result

    def _is_set_anew(self, step: int) -> bool:
        return step <= -self._back or (self.discontinuous and step > self._ahead)
