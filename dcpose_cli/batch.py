"""Folders of videos: which there are, where their results go, which are finished, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .config import EstimateConfig
from .errors import DCPoseError, InputError, OutputError, UsageError
from .export.posetrack import read_posetrack
from .files import sha256_of, shown

if TYPE_CHECKING:
    from .estimator import PoseEstimator
    from .pipeline import Report
    from .types import EstimateSummary

#: Endings taken for videos.
VIDEO_SUFFIXES: Final = frozenset(
    ".3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob .webm .wmv".split()
)


@dataclass(frozen=True, slots=True)
class Job:
    """One video of a batch. done: its result is complete and belongs to this input."""

    source: Path
    target: Path
    done: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: skipped, or with a summary, or with an error."""

    job: Job
    skipped: bool = False
    summary: EstimateSummary | None = None
    error: DCPoseError | None = None


def plan_batch(folder: Path, out: Path, *, overwrite: bool = False) -> list[Job]:
    """Every video below `folder` with its target below `out`: the same tree, the source's full name plus `.mp4`.

    The ending is kept (`a.mov` -> `a.mov.mp4`), so that `a.mov` and `a.mkv` stay apart. Links, and `out` itself when it
    lies inside `folder`, are not followed. Raises InputError or UsageError.
    """
    if not folder.exists():
        raise InputError(f"there is no folder {shown(folder)}")
    if not folder.is_dir():
        raise UsageError(f"{shown(folder)} is a file; use dcpose estimate for a single video")
    jobs = []
    for source in _videos(folder, out):
        relative = source.relative_to(folder)
        target = out / relative.with_name(f"{relative.name}.mp4")
        jobs.append(Job(source, target, done=not overwrite and is_finished(source, target)))
    if not jobs:
        raise InputError(f"no videos in {shown(folder)} (looked for {', '.join(sorted(VIDEO_SUFFIXES))})")
    return jobs


def _videos(folder: Path, out: Path) -> Iterator[Path]:
    skip = out.resolve()
    for root, directories, names in os.walk(folder):
        directories[:] = sorted(d for d in directories if (Path(root) / d).resolve() != skip)
        for name in sorted(names):
            path = Path(root) / name
            if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and not path.is_symlink():
                yield path


def is_finished(source: Path, target: Path) -> bool:
    """Whether `target` and its JSON exist, belong together, and were made from the bytes `source` has now."""
    result = target.with_suffix(".json")
    if not (target.is_file() and result.is_file()):
        return False
    try:
        header = read_posetrack(result).header
        made_from = header.get("input", {}).get("sha256")
        return bool(header.get("video") == sha256_of(target) and made_from == sha256_of(source))
    except (InputError, AttributeError):
        return False


def run_jobs(jobs: Iterable[Job], config: EstimateConfig) -> Iterator[tuple[Job, Callable[[Report | None], Outcome]]]:
    """Each job with the function that does it; the network is loaded once, when the first job needs it.

    A job's DCPoseError becomes its outcome; the next job goes on. Errors of the settings themselves are raised.
    """
    shared: list[PoseEstimator] = []

    def start(job: Job, progress: Report | None) -> Outcome:
        if job.done:
            return Outcome(job, skipped=True)
        from .estimator import PoseEstimator
        from .pipeline import estimate

        if not shared:
            shared.append(PoseEstimator.from_config(config))
        # What stands at the target is unfinished, or the caller said --overwrite.
        settings = replace(config, overwrite=True, json=None)
        try:
            _make_folder(job.target.parent)
            summary = estimate(job.source, job.target, config=settings, estimator=shared[0], progress=progress)
        except (InputError, OutputError, UsageError) as error:
            return Outcome(job, error=error)
        return Outcome(job, summary=summary)

    for job in jobs:
        yield job, lambda progress, job=job: start(job, progress)  # type: ignore[misc]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {shown(folder)}: {error.strerror}") from error
