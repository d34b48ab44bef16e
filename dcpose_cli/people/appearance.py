"""How people look: colours of their clothes, for recognizing them when motion does not say who is who."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2
from dcpose_cli.pixels import Pixels, pixels_of

#: Parts of the box, as shares of its height, whose colours count: chest, hips and thighs.
_BANDS: Final = ((0.12, 0.37), (0.37, 0.62), (0.62, 0.9))
#: Share of the width around the middle.
_COLUMNS: Final = (0.25, 0.75)
#: Bins of hue, saturation and value.
_BINS: Final = (12, 4, 4)
#: Numbers in an appearance.
APPEARANCE_SIZE: Final = len(_BANDS) * 12 * 4 * 4

Appearance = NDArray[np.float32]


def appearances_of(boxes: NDArray[np.float32], image: NDArray[np.uint8] | Pixels | None) -> list[Appearance | None]:
    """Appearance of the people in the (N, 4) xywh `boxes` of a frame.

    image: (H, W, 3) uint8 RGB. An appearance is (APPEARANCE_SIZE,) float32: a histogram of colours per band of the
    body, which together sum to 1. None where there is nothing to see.
    """
    if image is None:
        return [None for _ in boxes]
    pixels = pixels_of(image)
    return [_appearance(box, pixels) for box in boxes]


def likeness(first: Appearance | None, second: Appearance | None) -> float | None:
    """Bhattacharyya coefficient of two appearances, 0..1; None where one is unknown."""
    return None if first is None or second is None else float(np.sqrt(first * second).sum())


def likenesses(first: Sequence[Appearance | None], second: Sequence[Appearance | None]) -> NDArray[np.float32]:
    """`likeness` of every pair: (N, M), NaN where one is unknown."""
    roots = [
        np.sqrt([np.full(APPEARANCE_SIZE, np.nan, np.float32) if a is None else a for a in side]).reshape(
            len(side), APPEARANCE_SIZE
        )
        for side in (first, second)
    ]
    return np.asarray(roots[0] @ roots[1].T, np.float32)


def _appearance(box: NDArray[np.float32], pixels: Pixels) -> Appearance | None:
    x, y, w, h = (float(v) for v in box)
    columns = int(x + _COLUMNS[0] * w), int(x + _COLUMNS[1] * w)
    rows = int(y + _BANDS[0][0] * h), int(y + _BANDS[-1][1] * h)
    x0, y0, x1, y1 = shown = pixels.clipped((columns[0], rows[0], columns[1], rows[1]))
    if x1 - x0 < 4 or y1 - y0 < 4:
        return None
    hsv = cv2.cvtColor(pixels.averaged(shown, 16, 48), cv2.COLOR_RGB2HSV)
    parts = [cv2.calcHist([band], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256]) for band in np.split(hsv, 3)]
    counts = np.concatenate([part.ravel() for part in parts])
    return np.asarray(counts / counts.sum(), np.float32)
