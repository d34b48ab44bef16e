"""Boxes that suddenly are far too high or low for a moment: a detection that also reaches over somebody or something.

Nobody grows by a third and shrinks again within a few frames. Between the good boxes before and after, such boxes are
replaced by interpolated ones (gaps.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Longest time for which boxes are replaced, seconds.
SECONDS: Final = 0.15
#: How far the height is from that between the good boxes: in some frame at least so far, and theirs differ by less.
HEIGHT_CHANGE: Final = 1.35
#: In the other frames at least so far.
HEIGHT_ASIDE: Final = 1.25


def spike_frames(fps: float) -> int:
    """Most frames that are replaced in a row."""
    return round(SECONDS * fps)


def spike_start(heights: Sequence[tuple[int, float]], longest: int) -> int | None:
    """Place of the last good box before a spike that the last of these boxes ends; None where there is none.

    heights: number of the frame and height of the box, of the successive detections of somebody. longest: most frames
    between the two good ones.
    """
    last, after = heights[-1]
    for place in range(len(heights) - 3, -1, -1):
        first, before = heights[place]
        if last - first > longest + 1:
            return None
        if max(before, after) >= HEIGHT_CHANGE * min(before, after):
            continue
        between = [
            height / (before + (after - before) * (number - first) / (last - first))
            for number, height in heights[place + 1 : -1]
        ]
        if max(between) >= HEIGHT_CHANGE and min(between) >= HEIGHT_ASIDE:
            return place
        if min(between) <= 1 / HEIGHT_CHANGE and max(between) <= 1 / HEIGHT_ASIDE:
            return place
    return None
