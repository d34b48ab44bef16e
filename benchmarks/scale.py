"""What limits a large batch: a discrete-event simulation of `dcpose batch --ray`, and the costs it starts from.

    python benchmarks/scale.py                      # the tables of docs/scale.md; a minute
    python benchmarks/scale.py --videos 1000000     # the same for 10^6 videos; ten minutes

The simulated driver, tasks and parts are those of dcpose_cli/batch/cluster.py: videos in order, two tasks at hand per
worker, long videos in parts (prepare, detect, track, pose, whole), lost tasks done again.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from dcpose_cli.batch.cluster import MOST_PARTS, part_count

FPS = 30.0


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of one worker per second of video at 30 frames per second, and seconds per task.

    detect, pose, encode: the stages (encode: draw, encode and write). decode: decoding alone. track: tracking, in one
    task per video. task: a task's own overhead on its worker. submit: the driver's work per task, one after the other.
    line: one line of the manifest, written and synced by the driver. read: bytes per second of video.
    """

    detect: float
    pose: float
    decode: float
    encode: float
    track: float = 0.002
    task: float = 0.01
    submit: float = 0.0006
    line: float = 0.004
    read: float = 600_000.0

    @property
    def whole(self) -> float:
        """A second of video from its file to its result in one task."""
        return self.detect + self.pose + self.encode + self.decode


#: A worker of four CPU cores, 720p, two people; and one GPU that is ten times as fast in the networks (assumed).
CPU = Costs(detect=0.30, pose=0.60, decode=0.06, encode=0.10)
GPU = Costs(detect=0.03, pose=0.06, decode=0.06, encode=0.06)


@dataclass(frozen=True, slots=True)
class Cluster:
    """workers: tasks at once. mtbf: hours until a worker is lost, on average. restart: seconds until it is back.
    slow: share of workers that take `slowness` times as long. store: bytes per second that all of them read together.
    parts: most parts of a video; 1: videos are not cut. segment: frames in the shortest part. ordered: videos come
    longest first, and a part is at most a quarter of a worker's share of the batch, as in cluster.py; otherwise they
    come as they are and are cut wherever they can be, as in version 0.6.
    """

    workers: int = 1000
    mtbf: float = 200.0
    restart: float = 60.0
    slow: float = 0.03
    slowness: float = 3.0
    store: float = 5e9
    parts: int = MOST_PARTS
    segment: int = 512
    ordered: bool = True


@dataclass(slots=True)
class Totals:
    """What a simulated batch took, in seconds.

    end: until the last video was done. work: of all workers, with what was done twice. useful: without it, and with
    each frame decoded once. driver, store: time in which the driver and the store were busy. lost: tasks done again.
    tail: from the moment at which no video waited any more to the end.
    """

    end: float = 0.0
    work: float = 0.0
    useful: float = 0.0
    driver: float = 0.0
    store: float = 0.0
    lost: int = 0
    tasks: int = 0
    tail: float = 0.0


@dataclass(slots=True)
class _Job:
    """A video on the cluster. stages: of tasks that may run at the same time, in seconds of an ordinary worker."""

    stages: list[list[tuple[float, float]]]
    stage: int = 0
    open: int = 0


@dataclass(slots=True)
class _Simulation:
    costs: Costs
    cluster: Cluster
    rng: random.Random
    #: Seconds of all videos.
    length: float
    totals: Totals = field(default_factory=Totals)
    events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    ready: deque[tuple[_Job, float, float]] = field(default_factory=deque)
    driver_free: float = 0.0
    store_free: float = 0.0
    order: Iterator[int] = field(default_factory=count)
    idle: list[float] = field(default_factory=list)
    lengths: Iterator[float] = field(default_factory=lambda: iter(()))
    running: int = 0
    waiting: bool = True

    def at(self, time: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (time, next(self.order), event))

    def by_driver(self, now: float, seconds: float) -> float:
        """When the driver, which does one thing after the other, has done this."""
        self.totals.driver += seconds
        self.driver_free = max(now, self.driver_free) + seconds
        return self.driver_free

    def run(self, lengths: Iterator[float]) -> Totals:
        """The batch of videos of these lengths in seconds."""
        slow = [self.rng.random() < self.cluster.slow for _ in range(self.cluster.workers)]
        self.idle = [self.cluster.slowness if one else 1.0 for one in slow]
        self.lengths, self.running, self.waiting = lengths, 0, True
        self.at(0.0, self.fill)
        while self.events:
            now, _, event = heapq.heappop(self.events)
            event(now)
            while self.idle and self.ready:
                self.start(now, self.idle.pop(), *self.ready.popleft())
        self.totals.tail = self.totals.end - self.totals.tail
        return self.totals

    def fill(self, now: float) -> None:
        """The driver hands out videos until two tasks per worker are at hand."""
        while self.waiting and self.running < 2 * self.cluster.workers:
            length = next(self.lengths, None)
            if length is None:
                self.waiting, self.totals.tail = False, now
                return
            self.running += 1
            job = _Job(stages_of(length, self.costs, self.cluster, self.length))
            self.totals.useful += length * self.costs.whole
            tasks = sum(map(len, job.stages))
            done = self.by_driver(now, tasks * self.costs.submit)
            self.at(done, lambda time, job=job: self.open(time, job))

    def open(self, now: float, job: _Job) -> None:
        tasks = job.stages[job.stage]
        job.open = len(tasks)
        self.ready.extend((job, seconds, size) for seconds, size in tasks)

    def start(self, now: float, slowness: float, job: _Job, seconds: float, size: float) -> None:
        """A worker reads, through the store that all of them share, and computes; or is lost on the way."""
        self.totals.tasks += 1
        self.totals.store += size / self.cluster.store
        self.store_free = max(now, self.store_free) + size / self.cluster.store
        begins = self.store_free if size else now
        takes = begins - now + seconds * slowness + self.costs.task
        dies = self.rng.expovariate(1 / (self.cluster.mtbf * 3600))
        if dies < takes:
            self.totals.work += dies
            self.totals.lost += 1
            self.at(now + dies, lambda _: self.ready.appendleft((job, seconds, size)))
            self.at(now + dies + self.cluster.restart, lambda _: self.idle.append(slowness))
            return
        self.totals.work += takes
        self.at(now + takes, lambda time: self.end(time, slowness, job))

    def end(self, now: float, slowness: float, job: _Job) -> None:
        self.idle.append(slowness)
        job.open -= 1
        if job.open:
            return
        job.stage += 1
        if job.stage < len(job.stages):
            self.open(now, job)
            return
        done = self.by_driver(now, self.costs.submit + self.costs.line)
        self.at(done, self.finish)

    def finish(self, now: float) -> None:
        self.running -= 1
        self.totals.end = now
        self.fill(now)


def stages_of(length: float, costs: Costs, cluster: Cluster, batch: float) -> list[list[tuple[float, float]]]:
    """The tasks of a video: (seconds, bytes read) for each, stage by stage; every part decodes from the beginning.

    length, batch: seconds of the video, and of all videos.
    """
    segments = math.ceil(length * FPS / cluster.segment)
    share = length / batch if cluster.ordered else 1.0
    parts = part_count(share, segments, cluster.workers, cluster.parts)
    size = length * costs.read
    if parts < 2:
        return [[(length * costs.whole, size)]]

    def in_parts(cost: float) -> list[tuple[float, float]]:
        share = [(number + 1) / parts for number in range(parts)]
        return [(length * (cost / parts + costs.decode * upto), size * upto) for upto in share]

    last = (length * (costs.decode + costs.encode), size)
    return [[(0.1, 0.0)], in_parts(costs.detect), [(length * costs.track, 0.0)], in_parts(costs.pose), [last]]


def video_lengths(videos: int, rng: random.Random) -> Iterator[float]:
    """Lengths in seconds as in collections of recordings: median one minute, mean four, up to six hours."""
    for _ in range(videos):
        yield min(rng.lognormvariate(math.log(60), 1.65), 6 * 3600.0)


def simulate(videos: int, costs: Costs, cluster: Cluster, seed: int = 1) -> Totals:
    """A batch of so many videos."""
    lengths = list(video_lengths(videos, random.Random(seed)))
    if cluster.ordered:
        lengths.sort(reverse=True)
    return _Simulation(costs, cluster, random.Random(seed + 1), sum(lengths)).run(iter(lengths))


def row(name: str, videos: int, costs: Costs, cluster: Cluster, seeds: int = 3) -> str:
    """A line of the table: means over some batches."""
    many = [simulate(videos, costs, cluster, seed) for seed in range(1, seeds + 1)]

    def mean(value: Callable[[Totals], float]) -> float:
        return sum(map(value, many)) / seeds

    cells = [
        f"{mean(lambda t: t.end) / 3600:.1f}",
        f"{mean(lambda t: t.useful / (t.end * cluster.workers)):.0%}",
        f"{mean(lambda t: t.work / t.useful - 1):.0%}",
        f"{mean(lambda t: t.tail) / 3600:.1f}",
        f"{mean(lambda t: t.driver / t.end):.1%}",
        f"{mean(lambda t: t.store / t.end):.0%}",
        f"{mean(lambda t: t.lost):.0f}",
    ]
    return f"| {' | '.join([name, *cells])} |"


HEAD = (
    "| | hours | useful | extra work | tail, hours | driver busy | store busy | tasks lost |\n"
    "|---|---|---|---|---|---|---|---|"
)


def tables(videos: int, seeds: int) -> Iterator[str]:
    """Rules of cutting, then sizes of the cluster, then slow workers."""

    def line(name: str, costs: Costs, **options: Any) -> str:
        return row(name, videos, costs, Cluster(**options), seeds)

    yield HEAD
    for kind, costs in (("CPU", CPU), ("GPU", GPU)):
        yield line(f"{kind}, in the order of names, not cut", costs, parts=1, ordered=False)
        name = f"{kind}, in the order of names, every segment a part (version 0.6)"
        yield line(name, costs, parts=1000, ordered=False)
        for parts in (1, 4, 8, 16):
            yield line(f"{kind}, longest first, at most {parts} parts", costs, parts=parts)
    yield "\n" + HEAD
    for workers in (100, 300, 1000, 3000):
        yield line(f"CPU, {workers} workers", CPU, workers=workers)
        yield line(f"GPU, {workers} workers", GPU, workers=workers, parts=1)
    yield "\n" + HEAD
    for slow in (0.0, 0.03, 0.1):
        yield line(f"CPU, {slow:.0%} of the workers take three times as long", CPU, slow=slow)
        yield line(f"GPU, {slow:.0%} of the workers take three times as long", GPU, slow=slow, parts=1)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    for line in tables(args.videos, args.seeds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
