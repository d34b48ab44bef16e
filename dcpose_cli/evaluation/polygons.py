"""Whether a point lies inside a polygon, its border not included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def strictly_inside(point: NDArray[np.float64], polygon: NDArray[np.float64]) -> bool:
    """point: (2,). polygon: (K, 2) corners in order, closed by itself. Even-odd rule; on the border is outside."""
    if len(polygon) < 3:
        return False
    start = np.asarray(polygon, np.float64) - point
    end = np.roll(start, -1, axis=0)
    cross = start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0]
    dot = (start * end).sum(axis=1)
    if ((cross == 0) & (dot <= 0)).any():  # between the two ends of an edge, or on a corner
        return False
    # A ray to the right crosses an edge that changes the sign of y, where the edge passes right of the point.
    upward = (start[:, 1] <= 0) & (end[:, 1] > 0) & (cross > 0)
    downward = (start[:, 1] > 0) & (end[:, 1] <= 0) & (cross < 0)
    return bool((upward | downward).sum() % 2)
