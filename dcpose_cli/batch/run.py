"""The jobs of a batch, sequentially or in parallel, with every result recorded in the manifest.

A Runner is a function from jobs to outcomes: in this process, in several processes (workers.py), or on a Ray cluster
(cluster.py). It takes the next job when it can start it, so that a job is claimed only when it begins.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._text import one_line
from ..config import EstimateConfig
from ..devices import ALL, device_names
from ..errors import EXIT_DAMAGED, DCPoseError, DeviceError, InputError, OutputError
from ..results.posetrack import read_posetrack
from ..results.quality import FigureCounter, Figures, figures_of
from ..segments import remove_finished
from .manifest import Line, Manifest, Stamp
from .plan import Job, Plan, is_finished
from .summary import require_own_summary, write_summary

if TYPE_CHECKING:
    from ..estimator import PoseEstimator
    from ..types import EstimateSummary, Progress

#: Called with the progress of each running job.
Listener = Callable[[Job, "Progress"], None]
#: Runs jobs: (jobs, config, listener) -> their outcomes, in any order.
Runner = Callable[[Iterator[Job], EstimateConfig, Listener], Iterator["Outcome"]]
#: Cores that one worker keeps busy on a CPU.
CORES_PER_WORKER = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: skipped (finished before), claimed (by another run), with a summary, or with an error.

    line: for the manifest, when it was run. made_by: models and settings of a result.
    """

    job: Job
    skipped: bool = False
    claimed: bool = False
    summary: EstimateSummary | None = None
    error: DCPoseError | None = None
    line: Line | None = None


def run_batch(
    plan: Plan,
    config: EstimateConfig,
    *,
    runner: Runner | None = None,
    listen: Listener | None = None,
) -> Iterator[Outcome]:
    """The outcome of every job of a plan, as they end; the networks are loaded once, when the first job needs them.

    What goes wrong with a job becomes its outcome, and the next one goes on; errors of the settings and of the models
    are raised. Jobs that another run on the same folder is doing are left to it. runner: who does them; in this
    process, one by one, when none is given. Raises OutputError, WeightsError, DeviceError or UsageError.
    """
    from ..config_checks import require_config  # late: it loads the video library

    require_config(config, one_device=False)
    _make_folder(plan.out)
    require_own_summary(plan.out)
    run = secrets.token_hex(6)
    with Manifest(plan.out) as manifest, _summary_of(plan, manifest):
        for path, reason in plan.skipped:
            name = path.relative_to(plan.folder).as_posix() if path.is_relative_to(plan.folder) else path.as_posix()
            if manifest.lines.get(name, Line(input="", state="")).state != "skipped":
                manifest.add(Line(input=name, state="skipped", reason=reason, run=run))
        for job in (job for job in plan.jobs if job.done):
            if job.remote is None:
                remove_finished(job.target.with_suffix(".json"))  # it was killed before it could
                _add_figures(job, manifest)
            yield Outcome(job, skipped=True)
        left: list[Outcome] = []
        todo = _claimed((job for job in plan.jobs if not job.done), manifest, left, config)
        for outcome in (runner or run_here)(todo, config, listen or (lambda job, progress: None)):
            if outcome.line is not None:
                manifest.add(replace(outcome.line, run=run))
                plan.publish()
            manifest.release(outcome.job.name)
            yield outcome
        yield from left


@contextmanager
def _summary_of(plan: Plan, manifest: Manifest) -> Iterator[None]:
    """Write the summary when the run ends, however it does; not where nothing was done. Raises OutputError."""
    try:
        yield
    except BaseException:
        if manifest.lines:
            with suppress(OutputError):  # what ended the run is the news
                write_summary(plan.out, manifest.lines)
        raise
    if write_summary(plan.out, manifest.lines):
        plan.publish()


def _add_figures(job: Job, manifest: Manifest) -> None:
    """Complete the manifest's line of a finished result that an older version made, or that has no line."""
    line = manifest.lines.get(job.name)
    if line is not None and line.state == "done" and line.figures is not None:
        return
    try:
        frames = read_posetrack(job.target.with_suffix(".json")).frames
    except InputError:  # it changed since the plan was made; the next run looks at it again
        return
    figures = figures_of(frames)
    if line is None or line.state != "done":
        line = Line(input=job.name, state="done", output=job.output)
    manifest.add(replace(line, figures=figures, frames=figures.frames, tracks=figures.people))


def _claimed(jobs: Iterable[Job], manifest: Manifest, left: list[Outcome], config: EstimateConfig) -> Iterator[Job]:
    """The jobs of this run, each claimed when the runner takes it; jobs of other runs go to `left`."""
    for job in jobs:
        if not manifest.claim(job.name):
            left.append(Outcome(job, claimed=True))
            continue
        line = manifest.lines.get(job.name)
        if line is None or line == job.before:
            yield job
            continue
        # Another run has done it since this one made its plan.
        manifest.release(job.name)
        if line.state == "failed":
            left.append(Outcome(job, claimed=True, error=DCPoseError(line.reason)))
        elif job.remote is None and is_finished(line, job.source, job.target):
            left.append(Outcome(job, skipped=True))
        elif manifest.claim(job.name):
            yield job
        else:
            left.append(Outcome(job, claimed=True))


def run_here(jobs: Iterator[Job], config: EstimateConfig, listen: Listener) -> Iterator[Outcome]:
    """A Runner: one job after the other, in this process."""
    estimator: PoseEstimator | None = None
    for job in jobs:
        if estimator is None:
            from ..estimator import PoseEstimator

            estimator = PoseEstimator.from_config(config).load()
        yield run_job(job, config, estimator, listen)


def run_job(job: Job, config: EstimateConfig, estimator: PoseEstimator, listen: Listener) -> Outcome:
    """Process a job; errors are returned in the outcome."""
    from ..results.header import made_by

    began = time.monotonic()
    try:
        with _local(job) as (local, put):
            source = Stamp.of(local.source)  # before it is read: if it changes meanwhile, the result is not its own
            counter = FigureCounter()
            summary = _estimate(local, config, estimator, lambda _, state: listen(job, state), counter)
            made = made_by(estimator.models(), estimator.resolve(), config)
            line = put(_done(local, source, summary, made, counter.finish(), began))
        return Outcome(job, summary=summary, line=line)
    except DCPoseError as error:
        failure = error
    except Exception as error:  # a bug that one video brings out must not cost the others
        reason = f"internal error ({type(error).__name__}: {one_line(error)})"
        failure = DCPoseError(reason, path=job.source, hint="please report it")
        failure.__cause__ = error
    return Outcome(job, error=failure, line=failed_line(job, failure, time.monotonic() - began))


def _local(job: Job) -> AbstractContextManager[tuple[Job, Callable[[Line], Line]]]:
    """The job on local files, and a function that completes the manifest's line."""
    if job.remote is None:
        return nullcontext((job, lambda line: line))
    from .remote import staged

    return staged(job, job.remote)


def failed_line(job: Job, error: DCPoseError, seconds: float) -> Line:
    """The manifest's line for a job that failed."""
    reason = str(error)
    return Line(
        input=job.name, state="failed", reason=reason, code=error.exit_code, output=job.output, seconds=_brief(seconds)
    )


def _done(
    job: Job, source: Stamp, summary: EstimateSummary, made: dict[str, Any], figures: Figures, began: float
) -> Line:
    damaged = summary.damaged
    reason = f"{summary.decode.damaged_share:.0%} of its frames are damaged" if damaged else ""
    return Line(
        input=job.name,
        state="done",
        reason="it changed while it was being read" if summary.input_changed else reason,
        code=EXIT_DAMAGED if damaged else 0,
        output=job.output,
        source=source,
        video=Stamp.of(job.target),
        json=Stamp.of(job.target.with_suffix(".json")),
        made_by=made,
        frames=summary.frames,
        tracks=summary.tracks,
        seconds=_brief(time.monotonic() - began),
        figures=figures,
    )


def _brief(seconds: float) -> float:
    return round(seconds, 3)


def _estimate(
    job: Job, config: EstimateConfig, estimator: PoseEstimator, listen: Listener, counter: FigureCounter
) -> EstimateSummary:
    from ..pipeline import estimate

    _make_folder(job.target.parent)
    # What stands at the target is unfinished, or the caller said --overwrite; parts of it may be gone on from.
    settings = replace(config, overwrite=True, json=None, resume=config.resume or None)
    return estimate(
        job.source,
        job.target,
        config=settings,
        estimator=estimator,
        progress=lambda state: listen(job, state),
        watch=counter.add,
    )


def worker_devices(device: str, workers: int | None) -> list[str]:
    """The device of every worker: a GPU each where there are several, else as many as the cores allow.

    device: one, several with commas between them, or "all" CUDA devices; workers take several in turn. workers: how
    many, None for one per device or a number that suits the machine. Raises UsageError or DeviceError.
    """
    import torch

    from ..pose.network import resolve_device

    names = device_names(device)
    if device == ALL:
        names = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        if not names:
            raise DeviceError("all CUDA devices were asked for, but none is here", hint="use --device auto")
    if device == ALL or len(names) > 1:
        for name in names:
            resolve_device(name)
        return [names[number % len(names)] for number in range(workers or len(names))]
    found = resolve_device(device)
    if found.type == "cuda" and device in ("auto", "cuda"):
        count = torch.cuda.device_count()
        return [f"cuda:{number % count}" for number in range(workers or count)]
    if found.type == "cpu" and workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = max(1, cores // CORES_PER_WORKER)
    return [device] * (workers or 1)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder cannot be made: {error.strerror}", path=folder) from error
