"""Pictures in a row, each with its title."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from .people import OUTLINE, frame_unit


def beside_each_other(panels: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> NDArray[np.uint8]:
    """Pictures of one height in a row, each with its name."""
    return np.hstack([titled(panel, name) for panel, name in zip(panels, names, strict=True)])


def titled(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A copy with a title in its upper left corner."""
    out = np.ascontiguousarray(image.copy())
    unit = frame_unit(out.shape)
    scale, stroke = 0.45 * unit, max(1, round(1.1 * unit))
    plain = text if text.isascii() else ascii(text)[1:-1]
    while len(plain) > 4 and cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)[0][0] > 0.9 * out.shape[1]:
        plain = plain[:-4] + "..."
    (width, height), base = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
    pad = round(5 * unit)
    cv2.rectangle(out, (0, 0), (width + 2 * pad, height + base + pad), OUTLINE, cv2.FILLED)
    place = (pad, height + pad)
    cv2.putText(out, plain, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (235, 235, 235), stroke, cv2.LINE_AA)
    return out
