"""Presentation times that can be relied on: every frame has one, and it is later than the one before."""

from __future__ import annotations

from fractions import Fraction

_DEFAULT_FPS = Fraction(25)
#: A time this far from zero is damage, not a clock: more than 100 days.
_MAX_SECONDS = 10_000_000
#: A step back by more than this is a clock that was set anew (joined recordings), not two frames out of order.
_RESET_SECONDS = 1


class Clock:
    """Turns the stamps decoded frames carry into strictly increasing PTS in ticks of `time_base`."""

    def __init__(self, time_base: Fraction, fps: Fraction | None) -> None:
        self._step = max(1, round(1 / ((fps or _DEFAULT_FPS) * time_base)))
        self._limit = round(_MAX_SECONDS / time_base)
        self._reset = max(2, round(_RESET_SECONDS / time_base))
        self._last: int | None = None
        self._shift = 0

    def next(self, pts: int | None) -> int:
        """The PTS to use for a frame stamped `pts`; one step after the last frame when the stamp is missing."""
        last = self._last
        stamp = None if pts is None or abs(pts) > self._limit else pts + self._shift
        if last is None:
            result = stamp or 0
        elif stamp is None:
            result = last + self._step
        elif stamp > last:
            result = stamp
        elif last - stamp < self._reset:
            result = last + 1
        else:
            result = last + self._step
            self._shift += result - stamp
        self._last = result
        return result
