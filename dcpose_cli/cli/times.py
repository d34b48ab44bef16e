"""Times as users write and read them."""

from __future__ import annotations

import re
from typing import Final

import typer

#: [[hours:]minutes:]seconds
_CLOCK: Final = re.compile(r"(?:(?:(\d{1,6}):)?(\d{1,6}):)(\d{1,6}(?:[.,]\d+)?)")


def seconds_of(text: str) -> float:
    """Seconds from "12.5", "1:30" or "00:01:30.5". Raises typer.BadParameter."""
    found = _CLOCK.fullmatch(text.strip())
    if found is not None:
        hours, minutes, seconds = found.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r:.40} is not a time: write 90, 1:30 or 00:01:30.5") from None


def time_left(seconds: float) -> str:
    """ "1:05 left", with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}") + " left"
