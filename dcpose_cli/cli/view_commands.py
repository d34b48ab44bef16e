"""Bodies of smooth, render and report."""

from __future__ import annotations

from pathlib import Path

from ..files import shown
from .console import message


def smooth_file(result: Path, out: Path, method: str, *, overwrite: bool, quiet: bool) -> None:
    """A smoothed copy of a result."""
    from ..results import smooth_result

    frames = smooth_result(result, out, method=method, overwrite=overwrite)
    if not quiet:
        message(f"{shown(out)}: {frames} frames, smoothed ({method})")
