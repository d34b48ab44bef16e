"""Body of edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..edits import edit_result, read_script
from ..export.formats import rate_of
from ..files import printable, require_distinct, require_free_target, require_not_input
from ..results.foreign import assumed_times, files_of
from .terminal import message


def edit_file(
    result: Path,
    out: Path,
    script: Path | None,
    lines: Sequence[str],
    *,
    save_script: Path | None,
    fps: str | None = None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Carry out a script and further edits, and say what is left."""
    every = [*(read_script(script) if script is not None else []), *(" ".join(line.split()) for line in lines)]
    inputs = [*files_of(result), *([script] if script is not None else [])]
    require_not_input(out, inputs)
    if save_script is not None:
        require_not_input(save_script, inputs)
        require_distinct([out, save_script])
        require_free_target(save_script, overwrite=overwrite)
    rate = None if fps is None else rate_of(fps)
    done = edit_result(result, out, every, overwrite=overwrite, save_script=save_script, fps=rate)
    if done.assumed_fps and fps is None:
        message(f"dcpose: warning: {assumed_times(result)}")
    if done.dropped:
        poses = "1 pose was" if done.dropped == 1 else f"{done.dropped} poses were"
        message(f"dcpose: warning: {poses} left out: in their frames a track named before them was merged, too")
    if not quiet:
        edits = "1 edit" if len(done.edits) == 1 else f"{len(done.edits)} edits"
        tracks = "1 track" if done.tracks == 1 else f"{done.tracks} tracks"
        message(f"{printable(out)}: {edits}; {done.frames} frames, {done.people} poses, {tracks}")
