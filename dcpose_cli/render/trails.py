"""Where joints have been: fading lines behind hands, feet and head."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from ..skeleton import JOINT_NAMES
from ..smooth import GAP_SECONDS
from ..types import FrameResult
from .people import drawn_joints, frame_unit, track_palette

#: Slots that leave a trail: nose, wrists, ankles.
TRAIL_SLOTS: Final = (0, 9, 10, 15, 16)
_SHIFT: Final = 4
#: Weakest trail that is still drawn.
_FAINTEST: Final = 0.05

_Point = tuple[float, float, float]  # seconds, x, y


class Trails:
    """Trails of one video, frame by frame in order. seconds: how long they last; kpt_thr: as in `draw_people`."""

    def __init__(self, seconds: float, kpt_thr: float) -> None:
        self._seconds, self._kpt_thr = seconds, kpt_thr
        self._points: dict[tuple[int, int], deque[_Point]] = {}

    def __call__(self, image: NDArray[np.uint8], result: FrameResult) -> NDArray[np.uint8]:
        """A copy of the frame, (H, W, 3) uint8 RGB, with the trails up to now."""
        self._remember(result)
        out = image.copy()
        unit = frame_unit(image.shape)
        for (track, slot), points in self._points.items():
            colour = np.array(track_palette(track).of_joint(JOINT_NAMES[slot]), np.float32)
            _draw(out, list(points), result.time, self._seconds, colour, unit)
        return out

    def _remember(self, result: FrameResult) -> None:
        for person in result.people:
            shown = drawn_joints(person.keypoints, self._kpt_thr)
            for slot in TRAIL_SLOTS:
                if shown[slot]:
                    x, y = (float(v) for v in person.keypoints[slot, :2])
                    self._points.setdefault((person.track_id, slot), deque()).append((result.time, x, y))
        for points in self._points.values():
            while points and result.time - points[0][0] > self._seconds:
                points.popleft()
        self._points = {key: points for key, points in self._points.items() if points}


def _draw(
    image: NDArray[np.uint8], points: list[_Point], now: float, seconds: float, colour: NDArray[np.float32], unit: float
) -> None:
    for (before, x0, y0), (time, x1, y1) in pairwise(points):
        strength = 1 - (now - time) / seconds
        if time - before > GAP_SECONDS or strength < _FAINTEST:
            continue
        _blend_line(image, (x0, y0), (x1, y1), colour, strength, max(1, round(1.5 * unit + strength * unit)))


def _blend_line(
    image: NDArray[np.uint8],
    start: tuple[float, float],
    end: tuple[float, float],
    colour: NDArray[np.float32],
    strength: float,
    width: int,
) -> None:
    """A line mixed into the picture; only its surroundings are touched."""
    height, columns = image.shape[:2]
    margin = width + 2
    left, top = max(0, int(min(start[0], end[0])) - margin), max(0, int(min(start[1], end[1])) - margin)
    right, bottom = (
        min(columns, int(max(start[0], end[0])) + margin + 1),
        min(height, int(max(start[1], end[1])) + margin + 1),
    )
    if right <= left or bottom <= top:
        return
    mask = np.zeros((bottom - top, right - left), np.uint8)
    one = 1 << _SHIFT
    first = (round((start[0] - left) * one), round((start[1] - top) * one))
    last = (round((end[0] - left) * one), round((end[1] - top) * one))
    cv2.line(mask, first, last, 255, width, cv2.LINE_AA, _SHIFT)
    share = (mask.astype(np.float32) * (strength / 255))[..., None]
    patch = image[top:bottom, left:right]
    patch[:] = np.rint(patch * (1 - share) + colour * share).astype(np.uint8)
