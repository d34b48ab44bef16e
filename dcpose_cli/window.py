"""A stream of frames -> windows of previous, current and next frame (SPEC 6.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .types import Frame, Window

#: Side of the thumbnails that cuts are looked for in, pixels.
_THUMB: Final = 32
#: A cut changes the picture by more than this on average (grey levels) ...
_CUT_DIFFERENCE: Final = 28.0
#: ... and moves more than this share of its colours to other bins.
_CUT_COLOURS: Final = 0.35


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 -> (<= 32, <= 32, 3) uint8, every n-th pixel."""
    h, w = image.shape[:2]
    rows = np.linspace(0, h - 1, min(h, _THUMB)).astype(int)
    columns = np.linspace(0, w - 1, min(w, _THUMB)).astype(int)
    thumb: NDArray[np.uint8] = image[rows[:, None], columns]
    return thumb


def is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether two successive thumbnails belong to different scenes.

    Motion changes many pixels but few colours, a change of light many colours but moderately; a cut does both.
    """
    if np.abs(before.astype(np.int16) - after.astype(np.int16)).mean() < _CUT_DIFFERENCE:
        return False
    a, b = _colours(before), _colours(after)
    return bool(np.abs(a - b).sum() / 2 > _CUT_COLOURS)


def _colours(thumb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shares of 4 x 4 x 4 colour bins."""
    bins = (thumb // 64).astype(np.int64).reshape(-1, 3) @ np.array([16, 4, 1])
    return np.bincount(bins, minlength=64) / len(bins)


def mark_cuts(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The frames in order; `cut` is set where a new scene begins. Never in the first frame."""
    last = None
    for frame in frames:
        thumb = thumbnail(frame.image)
        cut = last is not None and is_cut(last, thumb)
        last = thumb
        yield replace(frame, cut=True) if cut else frame


def windows(frames: Iterable[Frame], interval: int = 1, reach: int = 1) -> Iterator[Window]:
    """One window per frame, in order, each as soon as its last frame is known.

    frames: with cuts marked. interval: frames between the current frame and its neighbours. reach: neighbours on each
    side, each `interval` frames farther. Towards the ends of the stream and at scene cuts a neighbour is the farthest
    frame of the same scene within its distance; where there is none it is the current frame, with margin 1. At most
    2 * interval * reach + 1 frames are held.
    """
    if interval < 1 or reach < 1:
        raise ValueError(f"interval and reach must be at least 1, got {interval} and {reach}")
    side = interval * reach
    held: deque[tuple[Frame, int]] = deque()
    scene = 0
    ready = 0  # position in `held` of the next current frame
    for frame in frames:
        scene += frame.cut
        held.append((frame, scene))
        if len(held) - ready > side:
            yield _window(held, ready, interval, reach)
            ready += 1
            if ready > side:
                held.popleft()
                ready -= 1
    while ready < len(held):
        yield _window(held, ready, interval, reach)
        ready += 1


def _window(held: deque[tuple[Frame, int]], at: int, interval: int, reach: int) -> Window:
    scene = held[at][1]
    before = next((d for d in range(at, 0, -1) if held[at - d][1] == scene), 0)
    after = next((d for d in range(len(held) - 1 - at, 0, -1) if held[at + d][1] == scene), 0)
    return window_at(lambda place: held[place][0], at, (before, after), interval, reach)


def window_at(
    frame_at: Callable[[int], Frame], place: int, room: tuple[int, int], interval: int = 1, reach: int = 1
) -> Window:
    """The window around the frame at a place. room: frames of the same scene before and after it."""
    distances = [(min(interval * k, room[0]), min(interval * k, room[1])) for k in range(1, reach + 1)]
    pairs = [(frame_at(place - before), frame_at(place + after)) for before, after in distances]
    margin = (max(1, distances[0][0]), max(1, distances[0][1]))
    return Window(pairs[0][0], frame_at(place), pairs[0][1], margin, tuple(pairs[1:]))
