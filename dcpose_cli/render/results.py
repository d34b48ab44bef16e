"""Earlier results at work again: which frames and people of them, and a smoothed copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config import EVERYBODY, Selection
from ..errors import UsageError
from ..files import require_free_target, require_not_input, sha256_of
from ..results.measures import shot_with
from ..results.posetrack import PoseTrackResult, PoseTrackWriter, read_posetrack
from ..results.selected import selected
from ..selection import select
from ..sides import repair_results
from ..smooth import METHODS, require_method, smooth_results
from ..types import FrameResult


class Choice(Selection):
    """Former name of `config.Selection`."""

    __slots__ = ()

    def apply(self, frames: Sequence[FrameResult]) -> list[FrameResult]:
        """`selection.select`."""
        return select(frames, self)


def copied_header(result: PoseTrackResult) -> dict[str, object]:
    """The header of a result for a file made from it; there is no annotated video of that one."""
    own = ("format", "frames", "people", "pts", "damaged_frames")
    return {key: value for key, value in result.header.items() if key not in own} | {"video": None}


def smooth_result(
    path: Path,
    out: Path,
    *,
    method: str = "gaussian",
    fix_swaps: bool = False,
    shot_fps: str | None = None,
    selection: Selection = EVERYBODY,
    overwrite: bool = False,
) -> int:
    """A copy of a result with smoothed joints; its header says by what, and of which file. Returns its frames.

    fix_swaps: repair left and right of the legs before (sides.py); then `method` may be "none". selection: only these
    people. shot_fps: frames per second the camera recorded with, for slow motion that the result does not know of.
    Raises UsageError, InputError (not a result) or OutputError.
    """
    path, out = Path(path), Path(out)
    if require_method(method) == "none" and not fix_swaps:
        raise UsageError("nothing to do with --method none", hint=f"use {' or '.join(METHODS[1:])}, or --fix-swaps")
    require_not_input(out, [path])
    require_free_target(out, overwrite=overwrite)
    result = selected(read_posetrack(path), selection)
    if shot_fps is not None:
        result = shot_with(result, shot_fps)
    if "smoothing" in result.header:
        raise UsageError("it is smoothed already", path=path, hint="give the result it was made from")
    header = copied_header(result) | {
        "smoothing": {"method": method, "fix_swaps": fix_swaps, "of_sha256": sha256_of(path)}
    }
    with PoseTrackWriter(out, header, overwrite=overwrite) as writer:
        for frame in smooth_results(repair_results(result.frames) if fix_swaps else result.frames, method):
            writer.write(frame)
    return len(result.frames)
