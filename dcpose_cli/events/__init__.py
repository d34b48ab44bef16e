"""Events of movement in a result: repetitions of a joint or angle, heel strikes."""

from __future__ import annotations

from .gait import heel_strikes
from .repetitions import repetitions
from .table import EventSummary, write_events

__all__ = ["EventSummary", "heel_strikes", "repetitions", "write_events"]
