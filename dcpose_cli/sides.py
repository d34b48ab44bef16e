"""Left and right repaired over time: legs whose sides a network exchanges for some frames.

Per track, every frame gets the labels, as predicted or exchanged, with which the legs move most evenly. What counts are
the vectors from the right knee and ankle to the left ones: an exchange turns them round, and motion of the whole person
or of the camera does not change them. A Kalman filter of constant, slowly decaying velocity gives the place where each
vector is expected. It carries legs past one another, where the shortest way would let them bounce off. The sequence of
labels of least cost is found by dynamic programming: for each choice of the last MEMORY labels the best past is kept,
with a filter of its own (per-survivor processing, Raheli, Polydoros and Tzou, 1995). Unsure joints weigh less, and to
exchange sure ones costs more.

Knees, ankles and the feet of models that know them are exchanged together. Arms are left alone: neither the sample
clips nor labelled video gain by it. `results/exchanges.py` flags arms that are exchanged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .skeleton import JOINT_GROUPS
from .skeleton.sets import FOOT
from .types import FrameResult, Person

T = TypeVar("T")

#: Slots of the left and of the right leg that are exchanged together.
LEFT, RIGHT = (list(pair) for pair in zip(JOINT_GROUPS["knee"], JOINT_GROUPS["ankle"], strict=True))

#: A frame is decided when this much later is known: seconds and frames.
LAG_SECONDS: Final = 0.5
LAG_FRAMES: Final = 12
#: A track that pauses for longer begins anew, seconds.
GAP_SECONDS: Final = 0.25

# Chosen on the sample clips and on labelled video (benchmarks/README.md, options measured). Lengths are shares of the
# longer side of the person's box.

#: Accelerations expected of a leg, standard deviation per second squared: for each unit of speed per second, and least.
ACCELERATION_PER_SPEED: Final = 12.0
LEAST_ACCELERATION: Final = 2.0
#: How far back the speed is looked at, frames.
SPEED_FRAMES: Final = 4
#: Time after which a velocity has decayed to 1/e, seconds; and its standard deviation at the start, per second.
DECAY_SECONDS: Final = 0.3
FIRST_SPEED: Final = 3.0
#: Standard deviation of the place of a joint of confidence 1; less sure ones scatter inversely.
SCATTER: Final = 0.04
LEAST_CONFIDENCE: Final = 0.02
#: Most that one joint of one frame can cost, squared standard deviations: what lies further off is a mistake.
MOST_OFF: Final = 6.0
#: Cost of an exchanged frame of confidence 1, and of a change between exchanged and not.
EXCHANGED_COST: Final = 0.35
CHANGE_COST: Final = 0.1
#: Labels by which pasts are told apart.
MEMORY: Final = 3


class SideRepair(Generic[T]):
    """Left and right legs of frames that come one by one, each with anything that belongs to it.

    Joints change places with their confidences; nothing else changes. Holds back at most LAG_FRAMES frames.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[T, FrameResult]] = deque()
        self._tracks: dict[int, _Track] = {}
        self._exchanged: dict[tuple[int, int], bool] = {}

    def add(self, item: T, result: FrameResult) -> Iterator[tuple[T, FrameResult]]:
        """Take the next frame, in ascending order; gives those that are decided. To be used up."""
        waiting, tracks = self._waiting, self._tracks
        waiting.append((item, result))
        for number in [n for n, track in tracks.items() if result.time - track.time > GAP_SECONDS]:
            self._exchanged.update(tracks.pop(number).finish())
        for person in result.people:
            tracks.setdefault(person.track_id, _Track(person.track_id)).add(result.index, result.time, person)
        while len(waiting) > LAG_FRAMES or result.time - waiting[0][1].time > LAG_SECONDS:
            for track in tracks.values():
                self._exchanged.update(track.decide(waiting[0][1].index))
            yield self._release()

    def finish(self) -> Iterator[tuple[T, FrameResult]]:
        """The frames that are left."""
        for track in self._tracks.values():
            self._exchanged.update(track.finish())
        while self._waiting:
            yield self._release()

    def _release(self) -> tuple[T, FrameResult]:
        item, result = self._waiting.popleft()
        people = tuple(
            _exchanged(person) if self._exchanged.pop((result.index, person.track_id), False) else person
            for person in result.people
        )
        return item, replace(result, people=people)


def repair_sides(items: Iterable[tuple[T, FrameResult]]) -> Iterator[tuple[T, FrameResult]]:
    """Frames in ascending order, each with anything that belongs to it -> the same, left and right legs repaired."""
    repair: SideRepair[T] = SideRepair()
    for item, result in items:
        yield from repair.add(item, result)
    yield from repair.finish()


def repair_results(results: Iterable[FrameResult]) -> Iterator[FrameResult]:
    """The same for results alone."""
    return (result for _, result in repair_sides((None, result) for result in results))


def _exchanged(person: Person) -> Person:
    feet = [
        [
            person.joints.index(f"{side}_{part}")
            for part in FOOT
            if {f"left_{part}", f"right_{part}"} <= {*person.joints}
        ]
        for side in ("left", "right")
    ]
    keypoints = person.keypoints.copy()
    keypoints[LEFT + feet[0] + RIGHT + feet[1]] = keypoints[RIGHT + feet[1] + LEFT + feet[0]]
    return replace(person, keypoints=keypoints)


#: Frame number and track -> whether left and right are exchanged.
_Decisions = list[tuple[tuple[int, int], bool]]


@dataclass(slots=True, eq=False)
class _Track:
    """One person's legs. The rows of `places`, `speeds`, `costs` and `labels` are the pasts that are still kept.

    places, speeds: (H, 2, 2) of the vectors between knees and between ankles. variances: (2, 2, 2), of both, alike for
    all pasts. labels: (H, n) of the frames `frames`, of which the first `decided` are decided.
    """

    number: int
    time: float = 0.0
    size: float = 0.0
    frames: list[int] = field(default_factory=list)
    decided: int = 0
    places: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2, 2)))
    speeds: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2, 2)))
    variances: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 2, 2)))
    costs: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=SPEED_FRAMES))
    last: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 2)))

    def add(self, index: int, time: float, person: Person) -> None:
        """The person in the next frame."""
        side = max(float(person.bbox[2:].max()), 1.0)
        self.size = 0.9 * self.size + 0.1 * side if self.size else side
        points = person.keypoints.astype(np.float64)
        vector = (points[LEFT, :2] - points[RIGHT, :2]) / self.size
        confidence = np.clip(np.minimum(points[LEFT, 2], points[RIGHT, 2]), LEAST_CONFIDENCE, 1)
        scatter = 2 * (SCATTER / confidence) ** 2
        price = EXCHANGED_COST * float((confidence**0.25).mean())
        if not len(self.costs):
            self._begin(vector, scatter, price)
        else:
            self._follow(vector, scatter, price, max(time - self.time, 1e-3))
        self.frames.append(index)
        self.time, self.last = time, vector

    def _begin(self, vector: NDArray[np.float64], scatter: NDArray[np.float64], price: float) -> None:
        self.places, self.speeds = np.stack([vector, -vector]), np.zeros((2, 2, 2))
        self.variances[:, 0, 0], self.variances[:, 1, 1] = scatter, FIRST_SPEED**2
        self.costs, self.labels = np.array([0.0, price + CHANGE_COST]), np.array([[0], [1]])

    def _follow(self, vector: NDArray[np.float64], scatter: NDArray[np.float64], price: float, seconds: float) -> None:
        decay = np.exp(-seconds / DECAY_SECONDS)
        reach = DECAY_SECONDS * (1 - decay)
        step = np.array([[1, reach], [0, decay]])
        noise = np.array([[seconds**4 / 4, seconds**3 / 2], [seconds**3 / 2, seconds**2]])
        ahead = step @ self.variances @ step.T + self._acceleration(vector, seconds) ** 2 * noise
        spread = ahead[:, 0, 0] + scatter
        gain = ahead[:, :, 0] / spread[:, None]
        self.variances = ahead - gain[:, :, None] * ahead[:, None, 0, :]
        expected, slower = self.places + self.speeds * reach, self.speeds * decay
        pasts = []
        for label, seen in enumerate((vector, -vector)):
            off = seen - expected
            share = (off**2).sum(axis=2) / spread
            # What lies far off is a mistake of the network: it costs no more, and moves the filter less.
            pull = np.minimum(1, np.sqrt(MOST_OFF / np.maximum(share, 1e-9)))[..., None] * off
            cost = self.costs + np.minimum(share, MOST_OFF).sum(axis=1) / 2
            cost += label * price + CHANGE_COST * (self.labels[:, -1] != label)
            labels = np.column_stack([self.labels, np.full(len(self.labels), label)])
            pasts.append((expected + gain[:, 0, None] * pull, slower + gain[:, 1, None] * pull, cost, labels))
        self.places, self.speeds, self.costs, self.labels = (np.concatenate(rows) for rows in zip(*pasts, strict=True))
        self._keep(self._best())

    def _acceleration(self, vector: NDArray[np.float64], seconds: float) -> float:
        """What is expected of a leg that moves as fast as this one lately did; the speed is that of the labels with
        which it is least."""
        moved = np.minimum(np.linalg.norm(vector - self.last, axis=1), np.linalg.norm(vector + self.last, axis=1)).max()
        self.recent.append(float(moved) / seconds)
        return max(LEAST_ACCELERATION, ACCELERATION_PER_SPEED * float(np.median(self.recent)))

    def _best(self) -> NDArray[np.int64]:
        """The best past for each of the last labels."""
        recent = self.labels[:, -MEMORY:]
        key = recent @ (1 << np.arange(recent.shape[1]))
        order = np.argsort(self.costs, kind="stable")
        return np.asarray(order[np.unique(key[order], return_index=True)[1]], np.int64)

    def _keep(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> None:
        self.places, self.speeds = self.places[rows], self.speeds[rows]
        self.costs, self.labels = self.costs[rows], self.labels[rows]

    def decide(self, index: int) -> _Decisions:
        """The frames up to number `index`, by the best past; pasts that differ there are dropped."""
        count = sum(frame <= index for frame in self.frames)
        if count <= self.decided:
            return []
        chosen = self.labels[self.costs.argmin(), :count].copy()
        fresh = slice(self.decided, count)
        decisions = [((f, self.number), bool(c)) for f, c in zip(self.frames[fresh], chosen[fresh], strict=True)]
        self._keep((self.labels[:, :count] == chosen).all(axis=1))
        # The last frame stays, decided or not: the next one is compared with it.
        dropped = min(count, len(self.frames) - 1)
        self.labels, self.frames, self.decided = self.labels[:, dropped:], self.frames[dropped:], count - dropped
        return decisions

    def finish(self) -> _Decisions:
        """All frames that are left."""
        return self.decide(self.frames[-1]) if self.frames else []
