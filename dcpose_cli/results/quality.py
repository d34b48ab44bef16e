"""Which people of which frames are doubtful, by frame and by second.

low confidence   the mean confidence of the joints that the model predicts is below LOW_CONFIDENCE
probable swap    the legs of the person move more evenly with left and right exchanged (sides.py)
filled gap       nobody was detected in this frame; the track goes on before and after (`interpolated`)

All of it comes from the result alone: a person who was never found, or a joint that is wrong and sure, is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..sides import LEFT, RIGHT, repair_results
from ..types import FrameResult, Person
from .serialization import present

#: Mean confidence below which a person, or a second of a track, is doubtful.
LOW_CONFIDENCE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is doubtful about one person in one frame. confidence: mean over the predicted joints, 0 without any."""

    confidence: float
    low: bool
    swap: bool
    filled: bool

    @property
    def any(self) -> bool:
        """Whether anything is doubtful."""
        return self.low or self.swap or self.filled


@dataclass(frozen=True, slots=True)
class Second:
    """One track during one second of the video.

    second: from `second` to `second + 1` seconds. frames: in which the person is. confidence: mean over these frames.
    low: the mean is below LOW_CONFIDENCE. swap, filled: some frame has it.
    """

    track_id: int
    second: int
    frames: int
    confidence: float
    low: bool
    swap: bool
    filled: bool

    @property
    def doubtful(self) -> bool:
        """Whether anything is doubtful."""
        return self.low or self.swap or self.filled


def doubts(frames: Iterable[FrameResult]) -> Iterator[tuple[FrameResult, tuple[Doubt, ...]]]:
    """Frames in ascending order -> each with what is doubtful about its people, in their order.

    Holds back as many frames as `sides.repair_sides` does.
    """
    waiting: list[FrameResult] = []

    def noted() -> Iterator[FrameResult]:
        for frame in frames:
            waiting.append(frame)
            yield frame

    for repaired in repair_results(noted()):
        frame = waiting.pop(0)
        yield frame, tuple(_doubt(p, r) for p, r in zip(frame.people, repaired.people, strict=True))


def _doubt(person: Person, repaired: Person) -> Doubt:
    there: NDArray[np.bool_] = present(person.keypoints)
    confidence = float(person.keypoints[there, 2].mean()) if there.any() else 0.0
    legs = LEFT + RIGHT
    swap = not np.array_equal(person.keypoints[legs], repaired.keypoints[legs])
    return Doubt(confidence, confidence < LOW_CONFIDENCE, swap, person.interpolated)


def per_second(frames: Sequence[FrameResult]) -> list[Second]:
    """Every second of every track, by second and then by track."""
    found: dict[tuple[int, int], list[Doubt]] = {}
    for frame, people in doubts(frames):
        for person, doubt in zip(frame.people, people, strict=True):
            found.setdefault((int(np.floor(frame.time + 1e-9)), person.track_id), []).append(doubt)
    return [_second(second, track, found[second, track]) for second, track in sorted(found)]


def _second(second: int, track: int, people: Sequence[Doubt]) -> Second:
    mean = float(np.mean([doubt.confidence for doubt in people]))
    swap, filled = any(doubt.swap for doubt in people), any(doubt.filled for doubt in people)
    return Second(track, second, len(people), mean, mean < LOW_CONFIDENCE, swap, filled)
