"""Bodies of smooth, render and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Selection
from ..errors import UsageError
from ..files import printable
from .console import progress_display
from .terminal import message

if TYPE_CHECKING:
    from ..filters import Filter
    from ..render.redraw import RenderConfig, RenderSummary


def smooth_file(
    result: Path,
    out: Path,
    by: Filter,
    *,
    fix_swaps: bool,
    selection: Selection,
    shot_fps: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """A smoothed copy of a result."""
    from ..render.results import smoothed_copy

    done = smoothed_copy(
        result, out, by, fix_swaps=fix_swaps, selection=selection, shot_fps=shot_fps, overwrite=overwrite
    )
    if done.warning:
        message(f"dcpose: warning: {printable(out)}: {done.warning}")
    if not quiet:
        what = f"smoothed ({by.method})" if done.smoothed else "no joint was smoothed"
        message(f"{printable(out)}: {done.frames} frames, {what}")


def render_file(
    video: Path,
    result: Path,
    out: Path,
    config: RenderConfig,
    *,
    beside: Path | None,
    show: str | None,
    joint: str | None,
    model: str,
    device: str,
    quiet: bool,
) -> None:
    """A result drawn again, or the heatmaps of one joint."""
    from ..render.redraw import render

    if show is None:
        if joint is not None:
            raise UsageError("--joint belongs to --show heatmaps")
        with progress_display(out.name, quiet=quiet) as progress:
            summary = render(video, result, out, config=config, beside=beside, progress=progress)
    else:
        summary = _heatmaps(video, result, out, config, show=show, joint=joint, model=model, device=device, quiet=quiet)
    for warning in summary.warnings:
        message(f"dcpose: warning: {warning}")
    if not quiet:
        message(f"{printable(summary.video)}: {summary.frames} frames ({summary.seconds:.1f} s)")


def _heatmaps(
    video: Path,
    result: Path,
    out: Path,
    config: RenderConfig,
    *,
    show: str,
    joint: str | None,
    model: str,
    device: str,
    quiet: bool,
) -> RenderSummary:
    if show != "heatmaps":
        raise UsageError(f"--show can be heatmaps, not {printable(show)}")
    if joint is None or len(config.choice.tracks) != 1:
        raise UsageError("--show heatmaps needs one --track and one --joint")
    from ..estimator import PoseEstimator
    from ..render.heatmaps import joint_slot, render_heatmaps

    joint_slot(joint)  # before a model is loaded
    estimator = PoseEstimator(model, device)
    with progress_display(out.name, quiet=quiet) as progress:
        return render_heatmaps(
            video,
            result,
            out,
            track=config.choice.tracks[0],
            joint=joint,
            estimator=estimator,
            config=config,
            progress=progress,
        )


def report_page(
    result: Path,
    out: Path | None,
    *,
    video: Path | None,
    embed: bool,
    selection: Selection,
    overwrite: bool,
    quiet: bool,
) -> None:
    """The page of a result."""
    from ..report import write_report

    summary = write_report(
        result,
        out or result.with_suffix(".html"),
        video=video,
        embed=embed,
        selection=selection,
        overwrite=overwrite,
    )
    for warning in summary.warnings:
        message(f"dcpose: warning: {warning}")
    if not quiet:
        tracks = "1 track" if summary.tracks == 1 else f"{summary.tracks} tracks"
        message(f"{printable(summary.page)}: {summary.frames} frames, {tracks}, {summary.size / 2**20:.1f} MiB")
