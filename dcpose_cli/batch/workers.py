"""Worker processes of a batch, each with its own networks.

When a worker dies (a decoder crashes, memory runs out), its video is tried once more. Workers end with the batch,
however it ends: the closed pipe tells them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Pipe, wait
from types import FrameType
from typing import Any, Final

from ..config import EstimateConfig
from ..errors import EXIT_SIGTERM, DCPoseError
from ..types import Progress
from .plan import Job
from .run import Listener, Outcome, Runner, failed_line, run_here, run_job

#: Seconds between two reports of a worker.
_REPORT_SECONDS: Final = 0.1
#: Seconds that workers have to clean up after themselves when a batch is stopped.
_STOP_SECONDS: Final = 4.0
_TRIES: Final = 2


def processes(devices: Sequence[str]) -> Runner:
    """A Runner with one worker per entry of `devices`, of which there is at least one."""
    if len(devices) < 2 or os.name == "nt":  # Windows cannot hand a pipe over in this way
        return lambda jobs, config, listen: run_here(jobs, replace(config, device=devices[0]), listen)

    def run(jobs: Iterator[Job], config: EstimateConfig, listen: Listener) -> Iterator[Outcome]:
        pool = _Pool([replace(config, device=device) for device in devices], listen)
        try:
            yield from pool.work(jobs)
        finally:
            pool.stop()

    return run


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    line: Connection[Any, Any]
    config: EstimateConfig
    job: Job | None = None
    began: float = field(default_factory=time.monotonic)


class _Pool:
    """The workers and their current jobs."""

    def __init__(self, configs: Sequence[EstimateConfig], listen: Listener) -> None:
        self._free = list(reversed(configs))  # of workers that have not been started
        self._size = len(configs)
        self._listen = listen
        self._workers: list[_Worker] = []
        self._tries: dict[str, int] = {}

    def work(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        again: list[Job] = []
        while True:
            while self._has_room():
                job = again.pop() if again else next(jobs, None)
                if job is None:
                    break
                self._give(job)
            busy = [worker for worker in self._workers if worker.job is not None]
            if not busy:
                return
            for ready in wait([worker.line for worker in busy]):
                worker = next(worker for worker in busy if worker.line is ready)
                outcome = self._receive(worker, again)
                if outcome is not None:
                    yield outcome

    def stop(self) -> None:
        """End all workers: those at work clean up first."""
        for worker in self._workers:
            worker.line.close()
            if worker.job is not None:
                worker.process.terminate()
        end = time.monotonic() + _STOP_SECONDS
        for worker in self._workers:
            try:
                worker.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def _has_room(self) -> bool:
        return bool(self._free) or any(worker.job is None for worker in self._workers)

    def _give(self, job: Job) -> None:
        worker = next((w for w in self._workers if w.job is None), None)
        if worker is None:
            worker = _start(self._free.pop(), self._size)
            self._workers.append(worker)
        worker.job, worker.began = job, time.monotonic()
        with contextlib.suppress(OSError):  # one that has died is noticed when it is listened to
            worker.line.send(job)

    def _receive(self, worker: _Worker, again: list[Job]) -> Outcome | None:
        assert worker.job is not None
        try:
            received = worker.line.recv()
        except (EOFError, OSError):
            return self._lost(worker, worker.job, again)
        if isinstance(received, Progress):
            self._listen(worker.job, received)
            return None
        if isinstance(received, DCPoseError):  # the models or the device, not the video
            raise received
        worker.job = None
        outcome: Outcome = received
        return outcome

    def _lost(self, worker: _Worker, job: Job, again: list[Job]) -> Outcome | None:
        worker.line.close()
        code = worker.process.wait()
        self._workers.remove(worker)
        self._free.append(worker.config)
        self._tries[job.name] = self._tries.get(job.name, 0) + 1
        if self._tries[job.name] < _TRIES:
            again.append(job)
            return None
        how = f"signal {-code}" if code < 0 else f"exit {code}"
        error = DCPoseError(f"ended the process that did it, {_TRIES} times ({how})", path=job.source)
        return Outcome(job, error=error, line=failed_line(job, error, time.monotonic() - worker.began))


def _start(config: EstimateConfig, workers: int) -> _Worker:
    """A new worker, one of `workers` that share the cores."""
    ours, theirs = Pipe()
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\nfrom dcpose_cli.batch.workers import serve\nserve({theirs.fileno()})"
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        env={"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers)), **os.environ},
    )
    theirs.close()
    ours.send(config)
    return _Worker(process, ours, config)


def serve(number: int) -> None:
    """Main loop of a worker process. number: file descriptor of its end of the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to everybody; the batch decides
    signal.signal(signal.SIGTERM, _leave)
    line: Connection[Any, Any] = Connection(number)
    with contextlib.suppress(EOFError, OSError):
        _serve(line)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _serve(line: Connection[Any, Any]) -> None:
    from ..estimator import PoseEstimator

    config: EstimateConfig = line.recv()
    reported = 0.0

    def listen(job: Job, state: Progress) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported >= _REPORT_SECONDS or state.frames == 0:
            reported = now
            try:
                line.send(state)
            except OSError:  # the batch has died: stop as when it says so
                raise SystemExit(EXIT_SIGTERM) from None

    estimator: PoseEstimator | None = None
    while True:
        job: Job = line.recv()
        if estimator is None:
            try:
                estimator = PoseEstimator.from_config(config).load()
            except DCPoseError as error:
                line.send(error)
                return
        line.send(run_job(job, config, estimator, listen))
