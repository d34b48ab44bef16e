"""Motion of a person's box: a Kalman filter with constant, slowly fading velocity (as in SORT, Bewley et al. 2016).

Centre, width and height are filtered independently and with the same noise, which is proportional to the size of the
person. So one 2 x 2 covariance, in units of that size, serves all four.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .boxes import pairwise_iou

#: Standard deviation of a detected box, in heights of the person.
_BOX_NOISE: Final = 0.05
#: Standard deviation of the velocity of somebody new, and its change in a second; heights per second.
_FIRST_VELOCITY: Final = 2.0
_VELOCITY_NOISE: Final = 3.0
#: Seconds in which the velocity of the centre, and of width and height, falls to 1 / e without detections.
_FADE_SECONDS: Final[NDArray[np.float64]] = np.array([[3.0], [3.0], [0.2], [0.2]])

#: The camera turned where so many people, whose detections overlap their predictions this much, are all beside them.
_SHIFT_PEOPLE: Final = 5
_SHIFT_IOU: Final = 0.3


class Motion:
    """Where a person is and goes. time: of the last detection, seconds."""

    __slots__ = ("_cov", "_state", "time")

    def __init__(self, box: NDArray[np.float32], time: float) -> None:
        self._state = np.zeros((4, 2))
        self._state[:, 0] = _centred(box)
        self._cov = np.array([[_BOX_NOISE**2, 0.0], [0.0, _FIRST_VELOCITY**2]])
        self.time = time

    def predict(self, time: float) -> NDArray[np.float64]:
        """The box, xywh, expected at a time not before the last detection."""
        x, y, w, h = self._state[:, 0] + self._travel(time - self.time)
        w, h = max(w, 1.0), max(h, 1.0)
        return np.array([x - w / 2, y - h / 2, w, h])

    def update(self, box: NDArray[np.float32], time: float, noise: float = 1.0) -> None:
        """Take a detected box into account. noise: how uncertain it is, 1 for a box that nothing covers."""
        step = time - self.time
        fade = float(np.exp(-step / _FADE_SECONDS[0, 0]))
        self._state[:, 0] += self._travel(step)
        self._state[:, 1:] *= np.exp(-step / _FADE_SECONDS)
        move = np.array([[1.0, _FADE_SECONDS[0, 0] * (1 - fade)], [0.0, fade]])
        drift = _VELOCITY_NOISE**2 * np.array([[step**3 / 3, step**2 / 2], [step**2 / 2, step]])
        cov = move @ self._cov @ move.T + drift
        gain = cov[:, 0] / (cov[0, 0] + (noise * _BOX_NOISE) ** 2)
        self._state += np.outer(_centred(box) - self._state[:, 0], gain)
        self._cov = cov - np.outer(gain, cov[0])
        self.time = time

    def _travel(self, step: float) -> NDArray[np.float64]:
        """How centre and sides change in a time."""
        lasting: NDArray[np.float64] = (_FADE_SECONDS * (1 - np.exp(-step / _FADE_SECONDS)))[:, 0]
        return self._state[:, 1] * lasting


def common_shift(predicted: NDArray[np.float64], found: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far all people are from where they were expected: a camera that shakes or turns moves them together.

    predicted: (T, 4) boxes, xywh; found: (N, 4) detected ones. Returns what is to be added to a predicted box, (4,);
    0 where fewer people are seen than tell the camera from somebody who moves.
    """
    overlap = pairwise_iou(predicted, found)
    rows = np.flatnonzero(overlap.max(axis=1, initial=0) >= _SHIFT_IOU)
    if len(rows) < _SHIFT_PEOPLE:
        return np.zeros(4)
    seen, expected = found[overlap[rows].argmax(axis=1)], predicted[rows]
    gaps = seen[:, :2] + seen[:, 2:] / 2 - expected[:, :2] - expected[:, 2:] / 2
    return np.array([*np.median(gaps, axis=0), 0, 0])


def _centred(box: NDArray[np.float32]) -> NDArray[np.float64]:
    x, y, w, h = (float(v) for v in box)
    return np.array([x + w / 2, y + h / 2, w, h])
