"""Body of `dcpose export-json FRAMES_DIR --boxes FILE`."""

from __future__ import annotations

from pathlib import Path

from ..config import DEFAULTS, EstimateConfig
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
