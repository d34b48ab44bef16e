"""A batch on an existing Ray cluster: Ray decides who does what, and does it again where a machine was lost.

Short videos are one task each. A long one is cut into parts (parts.py): detection of every part, tracking once
over all of them, poses of every part, and a last task that puts the result together, draws and publishes it. Tasks
leave their results as files beside the output, whole or not at all, and skip what is there; so one that is done again
does nothing twice. All machines must see the folders under the same paths, and have dcpose installed.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .._paths import SINGLE
from .._text import one_line, whole_number
from ..chunks import segment_frames
from ..config import EstimateConfig
from ..errors import DCPoseError, DeviceError, UsageError
from ..types import Progress
from ..video.hwaccel import NONE
from ..video.opening import describe_input
from .parts import Parts
from .plan import Job
from .run import CORES_PER_WORKER, Listener, Outcome, Runner, failed_line, run_job

if TYPE_CHECKING:
    from ..estimator import PoseEstimator

#: Segments from which on a video is cut into parts.
LONG_SEGMENTS: Final = 2
#: Most parts of a video. Each decodes from the beginning: with more, CPUs spend more time on that than they gain, and
#: GPUs always do (docs/scale.md).
MOST_PARTS: Final = 8
#: A part is at most this share of what each worker has to do in the batch, so that slow workers hold up little.
PART_SHARE: Final = 0.25
#: Times a task is done again when its machine or process is lost.
_RETRIES: Final = 5
_CONNECT_SECONDS: Final = 10.0
#: Tasks handed to the cluster per worker it has: one runs, one waits.
_TASKS_PER_WORKER: Final = 2

#: Loaded networks of a worker process.
_estimators: dict[EstimateConfig, PoseEstimator] = {}


def on_ray(address: str) -> Runner:
    """A Runner on the cluster at this address ("auto", "host:6379", "ray://host:10001").

    Raises UsageError when Ray is not installed, DeviceError when the cluster does not answer.
    """
    ray = _connect(address)

    def run(jobs: Iterator[Job], config: EstimateConfig, listen: Listener) -> Iterator[Outcome]:
        cluster = _Cluster(ray, config, listen)
        try:
            yield from cluster.work(jobs)
        finally:
            cluster.stop()

    return run


def _connect(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What newer versions do by default, and warn of until one says so.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError("--ray needs Ray", hint="pip install 'dcpose[ray]' on every machine of the cluster") from error
    if not ray.is_initialized():
        _require_listener(address)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
            reason = one_line(error, 160)
            raise DeviceError(
                f"no Ray cluster answers at {address}: {reason}", hint="start one with ray start"
            ) from error
        finally:
            for number, handler in handlers.items():
                with contextlib.suppress(ValueError):  # not in the main thread, so nothing was changed either
                    signal.signal(number, handler)
    return ray


def _require_listener(address: str) -> None:
    """Raises DeviceError when nobody listens at host:port; Ray itself would go on trying for many minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    number = whole_number(port) if colon else None
    if number is None:
        return
    try:
        socket.create_connection((host.strip("[]"), number), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DeviceError(
            f"no Ray cluster answers at {address}: {one_line(error)}", hint="start one with ray start"
        ) from error


@dataclass(slots=True)
class _Running:
    """A job on the cluster; result: of the task that ends it."""

    job: Job
    result: Any
    began: float


class _Cluster:
    def __init__(self, ray: Any, config: EstimateConfig, listen: Listener) -> None:
        self._ray, self._listen = ray, listen
        self._config = replace(
            config,
            model=_absolute_model(_chosen(config.model)),
            detector=_absolute_model(config.detector),
            hwaccel=NONE,
        )
        needs, self._workers = _shares(ray.cluster_resources(), _cores(ray.nodes()), config.device)
        self._most_parts = 1 if "num_gpus" in needs else MOST_PARTS
        task = ray.remote(max_retries=_RETRIES, **needs)
        self._whole, self._prepare, self._detect = task(_whole), task(_prepare), task(_detect)
        self._track, self._pose = task(_track), task(_pose)
        self._running: list[_Running] = []

    def work(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        waiting: deque[Job] = deque()
        while True:
            while len(self._running) < _TASKS_PER_WORKER * self._workers:
                job = waiting.popleft() if waiting else next(jobs, None)
                if job is None:
                    break
                self._running.append(_Running(job, self._begin(_absolute(job)), time.monotonic()))
                self._listen(job, Progress(0, None, 0))
            if not self._running:
                return
            ready, _ = self._ray.wait([running.result for running in self._running], timeout=1.0)
            for result in ready:
                running = next(r for r in self._running if r.result == result)
                self._running.remove(running)
                yield self._outcome(running)

    def stop(self) -> None:
        """Take back what is still running."""
        for running in self._running:
            with contextlib.suppress(Exception):
                self._ray.cancel(running.result, recursive=True)

    def _begin(self, job: Job) -> Any:
        """Hand a job over; the reference of its outcome."""
        ranges = self._ranges(job)
        if len(ranges) < 2:
            return self._whole.remote(job, self._config)
        ready = self._prepare.remote(job, self._config)
        seen = [self._detect.remote(job, self._config, first, end, ready) for first, end in ranges]
        tracked = self._track.remote(job, self._config, *seen)
        posed = [self._pose.remote(job, self._config, first, end, tracked) for first, end in ranges]
        return self._whole.remote(job, self._config, *posed)

    def _ranges(self, job: Job) -> list[tuple[int, int | None]]:
        """Segments of each part; the last one goes on to wherever the video ends. One part: not worth cutting."""
        if job.remote is not None:  # machines hand each other parts in a folder that all of them see
            return []
        try:
            info = describe_input(job.source)
        except DCPoseError:  # the task will say so
            return []
        if self._config.max_frames is not None or self._config.start is not None or not info.frame_count:
            return []
        segments = -(-info.frame_count // segment_frames(info.width, info.height))
        if segments < LONG_SEGMENTS:
            return []
        count = part_count(job.share, segments, self._workers, self._most_parts)
        firsts = [segments * number // count for number in range(count)]
        return list(zip(firsts, [*firsts[1:], None], strict=True))

    def _outcome(self, running: _Running) -> Outcome:
        job = running.job
        try:
            outcome: Outcome | DCPoseError = self._ray.get(running.result)
        except Exception as error:  # Ray's own: the machine was lost more often than it was tried again
            reason = one_line(error, 200)
            lost = DeviceError(
                f"the cluster could not do this video: {reason}", path=job.source, hint="run the batch again"
            )
            return Outcome(job, error=lost, line=failed_line(job, lost, time.monotonic() - running.began))
        if isinstance(outcome, DCPoseError):  # the models or the device, not the video
            raise outcome
        return outcome


def part_count(share: float, segments: int, workers: int, most: int = MOST_PARTS) -> int:
    """Parts of a video that has this share of the batch and so many segments."""
    return max(1, min(most, segments, workers, math.ceil(share * workers / PART_SHARE)))


def _absolute(job: Job) -> Job:
    """The same job for a process in another working folder."""
    return replace(job, source=job.source.absolute(), target=job.target.absolute())


def _chosen(model: str) -> str:
    """The name of the model that "auto" stands for here, so that all machines use the same."""
    from ..checkpoints.files import find_weights  # late: it loads torch

    return find_weights(model).parent.name if model == "auto" else model


def _absolute_model(model: str) -> str:
    """A model's name, or its path for a process in another working folder."""
    path = Path(model.removesuffix(SINGLE))
    ending = SINGLE if model.endswith(SINGLE) else ""
    return f"{path.absolute()}{ending}" if path.exists() else model


def _cores(nodes: list[dict[str, Any]]) -> float:
    """Cores of the smallest machine."""
    found = [node["Resources"].get("CPU", 0.0) for node in nodes if node["Alive"]]
    return min((cores for cores in found if cores >= 1), default=1.0)


def _shares(resources: dict[str, float], smallest: float, device: str) -> tuple[dict[str, float], int]:
    """What a task asks for, and how many of them the cluster runs at once."""
    gpus = resources.get("GPU", 0.0)
    if gpus and device in ("auto", "cuda"):
        return {"num_gpus": 1, "num_cpus": 1}, int(gpus)
    cores = min(float(CORES_PER_WORKER), smallest)
    return {"num_cpus": cores}, max(1, int(resources.get("CPU", 1.0) // cores))


def _estimator(config: EstimateConfig) -> PoseEstimator:
    """The networks of this worker process, loaded once."""
    from ..estimator import PoseEstimator

    if config not in _estimators:
        _estimators.clear()
        _estimators[config] = PoseEstimator.from_config(config).load()
    return _estimators[config]


def _parts(job: Job, config: EstimateConfig) -> Parts:
    return Parts.of(job.source, job.target.with_suffix(".json"), _estimator(config), config)


# The tasks. Those of parts keep what goes wrong to themselves: the last one meets it again and says so.


def _whole(job: Job, config: EstimateConfig, *_posed: object) -> Outcome | DCPoseError:
    """A whole video, or what its parts make."""
    try:
        estimator = _estimator(config)
    except DCPoseError as error:
        return error
    return run_job(job, config, estimator, lambda job, state: None)


def _prepare(job: Job, config: EstimateConfig) -> None:
    with contextlib.suppress(DCPoseError, OSError):
        job.target.parent.mkdir(parents=True, exist_ok=True)
        _parts(job, config).prepare()


def _detect(job: Job, config: EstimateConfig, first: int, end: int | None, _ready: object) -> None:
    with contextlib.suppress(DCPoseError):
        _parts(job, config).detect(first, end)


def _track(job: Job, config: EstimateConfig, *_seen: object) -> None:
    with contextlib.suppress(DCPoseError):
        _parts(job, config).track()


def _pose(job: Job, config: EstimateConfig, first: int, end: int | None, _tracked: object) -> None:
    with contextlib.suppress(DCPoseError):
        _parts(job, config).pose(first, end)
