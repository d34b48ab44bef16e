"""Body of batch: the plan, what becomes of it, the table at the end."""

from __future__ import annotations

from pathlib import Path

from .._scratch import scratch_folder
from ..batch import Outcome, Plan, Runner, plan_batch
from ..batch import run_batch as outcomes_of
from ..batch.remote import is_url, plan_remote
from ..config import DEFAULTS, EstimateConfig
from ..devices import ALL, device_names
from ..errors import EXIT_BATCH, EXIT_OK, DCPoseError, UsageError
from ..files import printable
from .commands import report_error, report_summary
from .console import batch_display
from .terminal import message

#: Videos that the table at the end lists; of more, only those that need attention.
_TABLE_ROWS = 40
_NAME_WIDTH = 60
#: Files that are no videos by their names, of which so many are named.
_OTHERS = 5


def run_batch(
    folder: str,
    out: str,
    config: EstimateConfig,
    *,
    workers: int | None,
    ray: str | None,
    dry_run: bool,
    quiet: bool,
) -> int:
    """All videos of a folder; both folders may be URLs that fsspec knows. Returns the exit code."""
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, got {workers}")
    names = device_names(config.device)
    if ray is not None and (config.device == ALL or len(names) > 1):
        raise UsageError("--ray shares out the devices of the cluster itself", hint="name one kind with --device")
    if ray is not None and config.hwaccel != DEFAULTS.hwaccel:
        raise UsageError("--hwaccel is for this machine's own work", hint="leave it out with --ray")
    if not (is_url(folder) or is_url(out)):
        plan = plan_batch(Path(folder), Path(out), config=config)
        return _carry_out(plan, config, workers, ray, dry_run=dry_run, quiet=quiet)
    with scratch_folder() as staging:
        plan = plan_remote(folder, out, staging, config=config)
        return _carry_out(plan, config, workers, ray, dry_run=dry_run, quiet=quiet)


def _carry_out(
    plan: Plan, config: EstimateConfig, workers: int | None, ray: str | None, *, dry_run: bool, quiet: bool
) -> int:
    for path, reason in plan.skipped:
        message(f"dcpose: {printable(path)} is skipped: {reason}")
    if plan.others and not quiet:
        names = ", ".join(printable(path.name) for path in plan.others[:_OTHERS])
        more = f" and {len(plan.others) - _OTHERS} more" if len(plan.others) > _OTHERS else ""
        message(f"dcpose: left out, not videos by their names: {names}{more}")
    for job in plan.jobs:
        if job.outdated:
            message(
                f"dcpose: warning: {printable(job.target)} was made with other settings; --overwrite makes it again"
            )
    if dry_run:
        _print_plan(plan)
        return EXIT_OK
    outcomes = _run(plan, config, workers, ray, quiet=quiet)
    if not quiet:
        _print_table(outcomes, len(plan.skipped))
    return EXIT_BATCH if any(outcome.error is not None for outcome in outcomes) else EXIT_OK


def _run(plan: Plan, config: EstimateConfig, workers: int | None, ray: str | None, *, quiet: bool) -> list[Outcome]:
    plan, runner = _ordered(plan, config, workers, ray)
    outcomes = []
    with batch_display(len(plan.jobs), quiet=quiet) as display:
        for outcome in outcomes_of(
            plan, config, runner=runner, listen=lambda job, at: display.show(printable(job.name), at)
        ):
            outcomes.append(outcome)
            display.ended(printable(outcome.job.name))
            if outcome.error is not None:
                report_error(outcome.error)
            elif outcome.summary is not None:
                report_summary(outcome.summary, quiet=quiet or display.live)
    return outcomes


def _ordered(plan: Plan, config: EstimateConfig, workers: int | None, ray: str | None) -> tuple[Plan, Runner | None]:
    """The plan in the order in which its jobs are done, and who does them.

    Found out without loading torch when there is nothing to do.
    """
    if all(job.done for job in plan.jobs):
        return plan, None
    if ray is not None:
        from ..batch.cluster import on_ray

        return plan.longest_first(), on_ray(ray)
    from ..batch.run import worker_devices
    from ..batch.workers import processes

    left = sum(not job.done for job in plan.jobs)
    devices = worker_devices(config.device, workers)[:left]
    return plan.longest_first() if len(devices) > 1 else plan, processes(devices)


def _print_plan(plan: Plan) -> None:
    for job in plan.jobs:
        source, target = (job.remote.source, job.remote.video) if job.remote else (job.source, job.target)
        message(f"{'finished: ' if job.done else ''}{printable(source)} -> {printable(target)}")


def _print_table(outcomes: list[Outcome], skipped: int) -> None:
    """What became of every video, and how many of each kind."""
    rows = [(_state(outcome), printable(outcome.job.name), _detail(outcome)) for outcome in outcomes]
    if len(rows) > _TABLE_ROWS:
        rows = [row for row in rows if row[0] not in ("done", "finished before")]
    width = min(_NAME_WIDTH, max((len(name) for _, name, _ in rows), default=0))
    for state, name, detail in sorted(rows, key=lambda row: row[1]):
        message(f"  {state:<15}  {name:<{width}}  {detail}".rstrip())
    states = [_state(outcome) for outcome in outcomes]
    claimed = states.count("claimed")
    message(
        f"{states.count('done')} done, {states.count('finished before')} finished before, "
        f"{states.count('failed')} failed, {skipped} skipped"
        + (f", {claimed} claimed by another run" if claimed else "")
    )


def _state(outcome: Outcome) -> str:
    if outcome.error is not None:
        return "failed"
    if outcome.claimed:
        return "claimed"
    return "finished before" if outcome.skipped else "done"


def _detail(outcome: Outcome) -> str:
    if outcome.error is not None:
        return _code(outcome.error)
    line = outcome.line or outcome.job.before
    if line is None or outcome.claimed:
        return ""
    frames = f"{line.frames} frame{'' if line.frames == 1 else 's'}"
    return f"{frames:<14}  {line.seconds:.1f} s" + (f"  {line.reason}" if line.reason else "")


def _code(error: DCPoseError) -> str:
    return f"code {error.exit_code}"
