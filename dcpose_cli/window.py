"""A stream of frames -> scene cuts, and windows of previous, current and next frame (SPEC 6.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .pixels import Pixels, pixels_of
from .types import Frame, Window

#: A cut changes the picture by more than this on average (grey levels) ...
_CUT_DIFFERENCE: Final = 28.0
#: ... and moves more than this share of its colours to other bins.
_CUT_COLOURS: Final = 0.35
#: A scene that is lit up, darkened or damaged for at most so many frames goes on; another picture in between does not.
FLASH_FRAMES: Final = 3
#: Side of the means of grey levels that show whether a frame is such a flash: little contrast (standard deviation, grey
#: levels), or edges where the scene has its own (correlation of the gradients, whatever their sign).
_FLASH_SIDE: Final = 16
_FLASH_CONTRAST: Final = 10.0
_FLASH_LIKENESS: Final = 0.2
#: Frames before and after a frame that decide whether a scene begins with it.
CUT_REACH: Final = FLASH_FRAMES + 1


def thumbnail(image: NDArray[np.uint8] | Pixels) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB -> (<= 32, <= 32, 3) uint8, every n-th pixel, in which cuts are looked for."""
    return pixels_of(image).thumbnail()


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
    """The frames in order, with `cut` set where a new scene begins; the first frame of the stream never has it.

    A scene begins where two successive frames differ as `is_cut` says, unless a frame before and a frame after the
    change, at most FLASH_FRAMES + 1 apart, belong together, and those between are flashes (`is_flash`) or damaged. The
    answer depends on at most CUT_REACH frames on either side, so that parts of a video agree on it. A frame is held
    back only while it may be a cut, at most FLASH_FRAMES frames long.
    """
    before: deque[_Look] = deque(maxlen=FLASH_FRAMES + 1)
    waiting: deque[tuple[Frame, _Look, bool]] = deque()
    last: _Look | None = None

    def first() -> Frame:
        looks = [look for _, look, _ in waiting]
        frame, look, differs = waiting.popleft()
        cut = differs and not _comes_back(before, looks)
        before.append(look)
        return frame if frame.cut == cut else replace(frame, cut=cut)

    for frame in frames:
        look = _Look(thumbnail(frame.pixels), frame.damaged)
        waiting.append((frame, look, last is not None and is_cut(last.thumb, look.thumb)))
        last = look
        while waiting and (not waiting[0][2] or len(waiting) > FLASH_FRAMES):
            yield first()
    while waiting:
        yield first()


class _Look(NamedTuple):
    """What is kept of a frame. thumb: its thumbnail; damaged: as in Frame."""

    thumb: NDArray[np.uint8]
    damaged: bool


def _comes_back(before: Sequence[_Look], after: Sequence[_Look]) -> bool:
    """Whether a frame before a change, last one nearest, and one after it show the same scene, with flashes between."""
    return any(
        not is_cut(before[-back].thumb, after[ahead].thumb)
        and all(_goes_on(before[-back], look) for look in (*list(before)[len(before) - back + 1 :], *after[:ahead]))
        for back in range(1, len(before) + 1)
        for ahead in range(min(len(after), FLASH_FRAMES + 2 - back))
    )


def _goes_on(scene: _Look, look: _Look) -> bool:
    """Whether a frame does not interrupt a scene."""
    return look.damaged or not is_cut(scene.thumb, look.thumb) or is_flash(scene.thumb, look.thumb)


def is_flash(scene: NDArray[np.uint8], thumb: NDArray[np.uint8]) -> bool:
    """Whether a thumbnail may be a scene in another light: it shows next to nothing, or the edges of that scene."""
    grey, other = _grey(thumb), _grey(scene)
    if grey.std() < _FLASH_CONTRAST:
        return True
    first, second = (np.concatenate([np.diff(g, axis=axis).ravel() for axis in (0, 1)]) for g in (grey, other))
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return bool(abs(float(first @ second)) > _FLASH_LIKENESS * scale)


def _grey(thumb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Means of the grey levels of neighbouring pixels, at most _FLASH_SIDE on a side, so that small motion is none."""
    grey = thumb.mean(axis=2)
    rows, columns = (max(1, side // _FLASH_SIDE) for side in grey.shape)
    height, width = grey.shape[0] // rows, grey.shape[1] // columns
    means: NDArray[np.float64] = (
        grey[: height * rows, : width * columns].reshape(height, rows, width, columns).mean((1, 3))
    )
    return means


def windows(frames: Iterable[Frame], interval: int = 1, reach: int = 1) -> Iterator[Window]:
    """One window per frame, in order, each as soon as its last frame is known.

    frames: with `cut` set, see `mark_cuts`.
    interval: frames between the current frame and its neighbours. reach: neighbours on each side, each `interval`
    frames farther. Towards the ends of the stream and at scene cuts a neighbour is the farthest frame of the same scene
    within its distance; where there is none it is the current frame, with margin 1. At most 2 * interval * reach + 1
    frames are held.
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
