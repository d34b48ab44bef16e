"""Faces made unrecognisable, from the head keypoints of a result.

What is blurred is what the result knows: everybody in it, at any confidence, and for HOLD_SECONDS after somebody was
last seen. A person whom the detector never found stays as filmed.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ..types import FrameResult, Person

#: Slots of the head: nose, head_bottom, head_top, ears.
_HEAD: Final = (0, 1, 2, 3, 4)
_HEAD_BOTTOM, _HEAD_TOP = 1, 2
#: Radius as a share of the distance from head_bottom to head_top, and its bounds as shares of the person's height.
_RADIUS_SHARE: Final = 0.75
_LEAST_SHARE, _MOST_SHARE = 0.07, 0.2
#: Where no head joint was predicted: this share of the box, from its top, is taken for the head.
_TOP_SHARE: Final = 0.25
#: Cells across a blurred head.
_CELLS: Final = 5
#: Somebody who is missing stays blurred where they were for so long.
HOLD_SECONDS: Final = 0.5

_Circle = tuple[float, float, float]


def head_circle(person: Person) -> _Circle:
    """Centre x, y and radius, in pixels, of a circle that covers the person's head."""
    x, y, width, height = (float(v) for v in person.bbox)
    size = max(width, height)
    points = person.keypoints[list(_HEAD)]
    known = points[(points[:, 2] > 0) & np.isfinite(points).all(axis=1), :2].astype(np.float64)
    if not len(known):
        return x + width / 2, y + _TOP_SHARE * height / 2, _TOP_SHARE * size / 2
    centre = (known.min(axis=0) + known.max(axis=0)) / 2
    reach = float(np.hypot(*(known - centre).T).max())
    neck, top = person.keypoints[_HEAD_BOTTOM], person.keypoints[_HEAD_TOP]
    span = float(np.hypot(*(neck - top)[:2])) if min(neck[2], top[2]) > 0 else 0.0
    radius = min(max(_RADIUS_SHARE * span, 1.2 * reach, _LEAST_SHARE * size), _MOST_SHARE * size)
    # However far the joints lie apart, none of them may be left out.
    return float(centre[0]), float(centre[1]), max(radius, 1.1 * reach)


class FaceBlur:
    """Blurs the heads of one video, frame by frame in order."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, _Circle]] = {}

    def __call__(self, image: NDArray[np.uint8], result: FrameResult) -> NDArray[np.uint8]:
        """A copy of the frame, (H, W, 3) uint8 RGB, without faces."""
        self._last |= {p.track_id: (result.time, head_circle(p)) for p in result.people}
        self._last = {i: seen for i, seen in self._last.items() if result.time - seen[0] <= HOLD_SECONDS}
        out = image.copy()
        for _, circle in self._last.values():
            _blur(out, circle)
        return out


def _blur(image: NDArray[np.uint8], circle: _Circle) -> None:
    """Mosaic of a few smooth cells, which no sharpening brings back; written into `image`."""
    height, width = image.shape[:2]
    if not np.isfinite(circle).all() or max(abs(v) for v in circle) > 1e6:
        return
    x, y, radius = circle
    left, top = max(0, int(x - radius)), max(0, int(y - radius))
    right, bottom = min(width, int(x + radius) + 2), min(height, int(y + radius) + 2)
    if right - left < 1 or bottom - top < 1:
        return
    patch = image[top:bottom, left:right]
    cells = (min(_CELLS, patch.shape[1]), min(_CELLS, patch.shape[0]))
    coarse = cv2.resize(cv2.resize(patch, cells, interpolation=cv2.INTER_AREA), patch.shape[1::-1])
    rows, columns = np.ogrid[top:bottom, left:right]
    inside = (columns - x) ** 2 + (rows - y) ** 2 <= (radius + 0.5) ** 2
    patch[inside] = coarse[inside]
