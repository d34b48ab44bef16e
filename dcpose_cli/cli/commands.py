"""Bodies of estimate, export-json and batch."""

from __future__ import annotations

from pathlib import Path

from ..config import EstimateConfig
from ..errors import EXIT_BATCH, EXIT_DAMAGED, EXIT_OK, DCPoseError, OutputError, UsageError
from ..files import shown
from ..types import EstimateSummary
from .console import message, progress_display

#: Share of damaged frames above which a finished run ends with EXIT_DAMAGED.
DAMAGED_SHARE = 0.10


def estimate_videos(inputs: list[str], out: Path | None, config: EstimateConfig, *, dry_run: bool, quiet: bool) -> int:
    """One video into a file, or several into a folder. Returns the exit code."""
    jobs = _jobs(inputs, out, config)
    if dry_run:
        for source, target in jobs:
            _check(source, target, config)
            message(f"{shown(source)} -> {shown(target)}")
        return EXIT_OK
    from ..estimator import PoseEstimator
    from ..pipeline import estimate

    estimator: PoseEstimator | None = None
    code = EXIT_OK
    failed = 0
    for source, target in jobs:
        try:
            if estimator is None:
                # Inputs and outputs are looked at first: a typing error must not cost the loading of a model.
                _check(source, target, config)
                estimator = PoseEstimator.from_config(config)
            with progress_display(Path(source).name, quiet=quiet) as progress:
                summary = estimate(source, target, config=config, estimator=estimator, progress=progress)
        except DCPoseError as error:
            if len(jobs) == 1:
                raise
            message(f"dcpose: {error}")
            failed += 1
            continue
        code = max(code, _tell(summary, quiet=quiet))
    return EXIT_BATCH if failed else code


def export_one(video: str, out: Path, config: EstimateConfig, *, quiet: bool) -> int:
    """JSON without rendering. Returns the exit code."""
    _check(video, out, config)
    from ..pipeline import export_json

    with progress_display(Path(video).name, quiet=quiet) as progress:
        summary = export_json(video, out, config=config, progress=progress)
    return _tell(summary, quiet=quiet)


def run_batch(folder: Path, out: Path, config: EstimateConfig, *, dry_run: bool, quiet: bool) -> int:
    """All videos of a folder. Returns the exit code."""
    from ..batch import plan_batch, run_jobs

    jobs = plan_batch(folder, out, overwrite=config.overwrite)
    if dry_run:
        for job in jobs:
            message(f"{'skip ' if job.done else ''}{shown(job.source)} -> {shown(job.target)}")
        return EXIT_OK
    outcomes = []
    for position, (job, start) in enumerate(run_jobs(jobs, config), start=1):
        with progress_display(f"{position}/{len(jobs)} {job.source.name}", quiet=quiet) as progress:
            outcome = start(progress)
        outcomes.append(outcome)
        if outcome.error is not None:
            message(f"dcpose: {outcome.error}")
        elif not quiet and not outcome.skipped:
            message(f"{shown(job.source)} -> {shown(job.target)}")
    failed = sum(o.error is not None for o in outcomes)
    if not quiet:
        skipped = sum(o.skipped for o in outcomes)
        message(f"{len(outcomes) - failed - skipped} done, {skipped} skipped, {failed} failed")
    return EXIT_BATCH if failed else EXIT_OK


def _jobs(inputs: list[str], out: Path | None, config: EstimateConfig) -> list[tuple[str, Path]]:
    """Inputs with the videos they become; a single one may name its file, several share a folder."""
    if len(inputs) == 1 and out is not None and not out.is_dir():
        return [(inputs[0], out)]
    if len(inputs) > 1 and config.json is not None:
        raise UsageError("--json names one file, but there are several inputs; leave it out")
    if len(inputs) > 1 and out is not None and not out.is_dir():
        if out.suffix:
            raise UsageError(f"{shown(out)} is one file, but there are several inputs; name a folder with --out")
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {shown(out)}: {error.strerror}") from error
    folder = out or Path()
    jobs = [(source, folder / f"{Path(source).stem}_pose.mp4") for source in inputs]
    if len({target for _, target in jobs}) != len(jobs):
        raise UsageError("two inputs have the same name; run them one by one with --out, or use dcpose batch")
    return jobs


def _check(source: str, target: Path, config: EstimateConfig) -> None:
    """What is wrong with input or outputs, found without loading torch."""
    from ..files import require_free_target, require_not_input, require_writable_folder
    from ..video.probe import probe

    probe(source, allow_network=config.allow_network)
    for output in {target, config.json or target.with_suffix(".json")}:
        require_not_input(output, [Path(source)])
        require_free_target(output, overwrite=config.overwrite)
        require_writable_folder(output.parent)


def _tell(summary: EstimateSummary, *, quiet: bool) -> int:
    """Warnings, and what was written; the exit code of a finished run."""
    report = summary.decode
    for warning in summary.warnings:
        message(f"dcpose: warning: {warning}")
    if report.errors or report.damaged:
        message(
            f"dcpose: warning: {shown(summary.source)} is damaged: {report.errors} places skipped, "
            f"{report.damaged} of {report.frames} frames flagged"
        )
    if not quiet:
        written = " and ".join(shown(p) for p in (summary.video, summary.json) if p)
        rate = summary.frames / summary.seconds if summary.seconds else 0.0
        message(
            f"{written}: {summary.frames} frames, {summary.tracks} people "
            f"({summary.seconds:.1f} s, {rate:.1f} frames/s)"
        )
    return EXIT_DAMAGED if report.damaged_share > DAMAGED_SHARE else EXIT_OK
