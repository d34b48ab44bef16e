"""Which people of which frames are doubtful, by frame and by second.

low confidence                the mean confidence of the joints that the model predicts is below LOW_CONFIDENCE
probable swap of the legs     the legs move more evenly with left and right exchanged (sides.py)
probable swap of the arms     left and right joints of the arms took each other's places (exchanges.py)
probable swap of two people   two tracks took each other's places (exchanges.py)
filled gap                    nobody was detected in this frame; the track goes on before and after (`interpolated`)

Legs are marked in every frame in which they are exchanged, arms and people in the frame in which the exchange shows.
All of it comes from the result alone: a person who was never found, or a joint that is wrong and sure, is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..sides import LEFT, RIGHT, SideRepair
from ..types import FrameResult, Person
from .exchanges import Exchanges
from .serialization import COORDINATE_DECIMALS, SCORE_DECIMALS, present

#: Mean confidence below which a person, or a second of a track, is doubtful.
LOW_CONFIDENCE: Final = 0.3


class Reason(Enum):
    """Why somebody is doubtful: the name, in small letters, is that of tables' columns; the value is for people."""

    LOW_CONFIDENCE = "low confidence"
    LEG_SWAP = "probable swap of the legs"
    ARM_SWAP = "probable swap of the arms"
    PERSON_SWAP = "probable swap of two people"
    FILLED_GAP = "filled gap"


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is doubtful about one person in one frame. confidence: mean over the predicted joints, 0 without any."""

    confidence: float
    reasons: frozenset[Reason]


@dataclass(frozen=True, slots=True)
class Second:
    """One track during one second of the video, which is doubtful where there are reasons.

    second: from `second` to `second + 1` seconds. frames: in which the person is. confidence: mean over these frames.
    reasons: LOW_CONFIDENCE where that mean is below the constant of this name, others where some frame has them.
    """

    track_id: int
    second: int
    frames: int
    confidence: float
    reasons: frozenset[Reason]


@dataclass(frozen=True, slots=True)
class Figures:
    """How good a result is, as far as it tells itself. Shares are in 0..1.

    frames; people: tracks. coverage: share of the frames that show somebody. confidence: mean over everybody in every
    frame. gaps: how often a track goes on after frames in which the person was not detected, filled or not.
    interpolated: share of everybody in every frame that fills a gap. doubtful_seconds: seconds of the video in which
    some track is doubtful.
    """

    frames: int = 0
    people: int = 0
    coverage: float = 0.0
    confidence: float = 0.0
    gaps: int = 0
    interpolated: float = 0.0
    doubtful_seconds: int = 0


class DoubtFinder:
    """What is doubtful about the people of frames that come one by one, in ascending order, in flat memory.

    Holds back as many frames as `sides.SideRepair` does. Numbers are rounded as in files, so that a run and its file
    have the same doubts.
    """

    def __init__(self) -> None:
        self._repair: SideRepair[tuple[FrameResult, FrameResult]] = SideRepair()
        self._exchanges = Exchanges()

    def add(self, frame: FrameResult) -> Iterator[tuple[FrameResult, tuple[Doubt, ...]]]:
        """Take the next frame; gives those that are decided, each with the doubts of its people. To be used up."""
        rounded = replace(frame, people=tuple(map(_as_written, frame.people)))
        return map(self._doubts, self._repair.add((frame, rounded), rounded))

    def finish(self) -> Iterator[tuple[FrameResult, tuple[Doubt, ...]]]:
        """The frames that are left."""
        return map(self._doubts, self._repair.finish())

    def _doubts(
        self, decided: tuple[tuple[FrameResult, FrameResult], FrameResult]
    ) -> tuple[FrameResult, tuple[Doubt, ...]]:
        (frame, rounded), repaired = decided
        arms, places = self._exchanges.add(rounded)
        return frame, tuple(
            _doubt(person, after, arms=person.track_id in arms, places=person.track_id in places)
            for person, after in zip(rounded.people, repaired.people, strict=True)
        )


def _as_written(person: Person) -> Person:
    """Somebody with the numbers that a file has."""
    places, scores = np.round(person.keypoints[:, :2], COORDINATE_DECIMALS), person.keypoints[:, 2:]
    return replace(
        person,
        bbox=np.round(person.bbox, COORDINATE_DECIMALS),
        keypoints=np.concatenate([places, np.round(scores, SCORE_DECIMALS)], axis=1),
    )


def _doubt(person: Person, repaired: Person, *, arms: bool, places: bool) -> Doubt:
    there: NDArray[np.bool_] = present(person.keypoints)
    confidence = float(person.keypoints[there, 2].mean()) if there.any() else 0.0
    legs = LEFT + RIGHT
    reasons = {
        Reason.LOW_CONFIDENCE: confidence < LOW_CONFIDENCE,
        Reason.LEG_SWAP: not np.array_equal(person.keypoints[legs], repaired.keypoints[legs]),
        Reason.ARM_SWAP: arms,
        Reason.PERSON_SWAP: places,
        Reason.FILLED_GAP: person.interpolated,
    }
    return Doubt(confidence, frozenset(reason for reason, given in reasons.items() if given))


def doubts(frames: Iterable[FrameResult]) -> Iterator[tuple[FrameResult, tuple[Doubt, ...]]]:
    """Frames in ascending order -> each with what is doubtful about its people, in their order."""
    finder = DoubtFinder()
    for frame in frames:
        yield from finder.add(frame)
    yield from finder.finish()


class FigureCounter:
    """Counts `Figures` over frames that come one by one, in ascending order, in flat memory."""

    def __init__(self) -> None:
        self._doubts = DoubtFinder()
        self._frames = self._covered = self._poses = self._filled = self._gaps = self._doubtful = 0
        self._confidence = 0.0
        self._tracks: set[int] = set()
        self._detected: dict[int, int] = {}  # track -> the last frame in which it was
        self._second = -1
        self._now: dict[int, list[Doubt]] = {}

    def add(self, frame: FrameResult) -> None:
        """Count a frame."""
        for decided, people in self._doubts.add(frame):
            self._count(decided, people)

    def finish(self) -> Figures:
        """The figures of all frames."""
        for decided, people in self._doubts.finish():
            self._count(decided, people)
        self._close_second()
        return Figures(
            frames=self._frames,
            people=len(self._tracks),
            coverage=round(self._covered / max(1, self._frames), 4),
            confidence=round(self._confidence / max(1, self._poses), 4),
            gaps=self._gaps,
            interpolated=round(self._filled / max(1, self._poses), 4),
            doubtful_seconds=self._doubtful,
        )

    def _count(self, frame: FrameResult, people: Sequence[Doubt]) -> None:
        if second_of(frame) != self._second:
            self._close_second()
            self._second = second_of(frame)
        self._covered += bool(people)
        self._poses += len(people)
        for person, doubt in zip(frame.people, people, strict=True):
            track = person.track_id
            self._confidence += doubt.confidence
            self._filled += person.interpolated
            self._now.setdefault(track, []).append(doubt)
            self._tracks.add(track)
            if not person.interpolated:
                self._gaps += self._frames > self._detected.get(track, self._frames) + 1
                self._detected[track] = self._frames
        self._frames += 1

    def _close_second(self) -> None:
        self._doubtful += any(_second(self._second, track, found).reasons for track, found in self._now.items())
        self._now = {}


def figures_of(frames: Iterable[FrameResult]) -> Figures:
    """The figures of frames in ascending order."""
    counter = FigureCounter()
    for frame in frames:
        counter.add(frame)
    return counter.finish()


def second_of(frame: FrameResult) -> int:
    """The second of the video that a frame belongs to."""
    return math.floor(frame.time + 1e-9)


def per_second(frames: Iterable[FrameResult]) -> list[Second]:
    """Every second of every track, by second and then by track."""
    found: dict[tuple[int, int], list[Doubt]] = {}
    for frame, people in doubts(frames):
        for person, doubt in zip(frame.people, people, strict=True):
            found.setdefault((second_of(frame), person.track_id), []).append(doubt)
    return [_second(second, track, found[second, track]) for second, track in sorted(found)]


def _second(second: int, track: int, people: Sequence[Doubt]) -> Second:
    mean = float(np.mean([doubt.confidence for doubt in people]))
    reasons = frozenset[Reason]().union(*(doubt.reasons for doubt in people)) - {Reason.LOW_CONFIDENCE}
    return Second(
        track, second, len(people), mean, reasons | ({Reason.LOW_CONFIDENCE} if mean < LOW_CONFIDENCE else set())
    )
