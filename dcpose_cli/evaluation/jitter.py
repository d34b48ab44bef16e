"""How much joints tremble: a figure that needs no labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..skeleton import EVAL_SLOTS
from ..types import FrameResult

_SLOTS: Final = list(EVAL_SLOTS)


def jitter(frames: Iterable[FrameResult]) -> float:
    """Mean second difference of the joints over three successive frames, in per cent of the person's box height.

    The 15 evaluated joints of every track count alike, sure or not; NaN without a track of three frames. Real motion
    has a share in it, the same for all methods on one clip: compare, do not read alone.
    """
    history: dict[int, list[tuple[int, NDArray[np.float64]]]] = {}
    values: list[float] = []
    for frame in frames:
        for person in frame.people:
            height = max(float(person.bbox[3]), 1.0)
            points = person.keypoints[_SLOTS, :2].astype(np.float64)
            past = [(i, p) for i, p in history.get(person.track_id, []) if frame.index - i <= 2]
            if [frame.index - i for i, _ in past] == [2, 1]:
                bend = past[0][1] - 2 * past[1][1] + points
                values.append(100 * float(np.linalg.norm(bend, axis=1).mean()) / height)
            history[person.track_id] = [*past[-1:], (frame.index, points)]
    return float(np.mean(values)) if values else float("nan")
