"""Bodies of `dcpose export-json FRAMES_DIR --boxes FILE` and `dcpose dataset from-result`."""

from __future__ import annotations

from pathlib import Path

from ..config import DEFAULTS, EstimateConfig, Selection
from ..errors import EXIT_OK, UsageError
from ..files import printable
from .console import progress_display
from .terminal import message


def export_frames(
    frames: Path, boxes: Path | None, out: Path, config: EstimateConfig, *, to: str, truth: Path | None, quiet: bool
) -> int:
    """Predict a data set. Returns the exit code."""
    from ..frame_folders import export_dataset

    if boxes is None:
        raise UsageError("--gt goes with --boxes", hint="give the file of the people's boxes")
    for option in ("start", "end", "max_frames", "hwaccel"):
        if getattr(config, option) != getattr(DEFAULTS, option):
            raise UsageError(f"--{option.replace('_', '-')} is for videos, not for a data set of pictures")
    with progress_display(frames.name, quiet=quiet) as progress:
        summary = export_dataset(frames, boxes, out, to=to, truth=truth, config=config, progress=progress)
    if summary.dropped:
        message(f"dcpose: warning: {summary.dropped} boxes of {printable(boxes)} have no area and were left out")
    if not quiet:
        count = "1 file" if len(summary.files) == 1 else f"{len(summary.files)} files"
        message(f"{printable(out)}: {count}, {summary.frames} frames, {summary.people} poses ({summary.seconds:.1f} s)")
    return EXIT_OK


def label_frames(
    result: Path,
    video: Path,
    out: Path,
    *,
    frames: int,
    other: Path | None,
    selection: Selection,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write a folder of labels to correct, and say what is in it."""
    from ..preannotation import write_labels

    summary = write_labels(result, video, out, frames=frames, other=other, selection=selection, overwrite=overwrite)
    for warning in summary.warnings:
        message(f"dcpose: warning: {warning}")
    if not quiet:
        count = "1 frame" if summary.frames == 1 else f"{summary.frames} frames"
        why = ", ".join(f"{reason} in {number} of the frames" for reason, number in summary.reasons.items())
        message(f"{printable(summary.folder)}: {count}, {summary.people} people" + (f"; {why}" if why else ""))
