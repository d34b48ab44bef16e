"""Earlier results at work again: which frames and people of them, and a smoothed copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._reading import state_of
from ..config import EVERYBODY, Selection
from ..errors import UsageError
from ..files import require_free_target, require_not_input, sha256_since
from ..filters import ALL_METHODS, Filter, filtered, require_filter, said_of
from ..results.identities import require_distinct_ids
from ..results.measures import shot_with
from ..results.posetrack import PoseTrackResult, PoseTrackWriter, read_posetrack
from ..results.selected import selected
from ..selection import select
from ..sides import repair_results
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


@dataclass(frozen=True, slots=True)
class SmoothSummary:
    """A smoothed copy. warning: what could not be smoothed, empty where all could. smoothed: some joint has moved."""

    json: Path
    frames: int
    warning: str
    smoothed: bool = True


def smooth_result(path: Path, out: Path, *, method: str = "gaussian", **options: Any) -> int:
    """`smoothed_copy` by a method with its defaults; returns the number of frames."""
    return smoothed_copy(path, out, Filter(method=method), **options).frames


def smoothed_copy(
    path: Path,
    out: Path,
    by: Filter,
    *,
    fix_swaps: bool = False,
    shot_fps: str | None = None,
    selection: Selection = EVERYBODY,
    overwrite: bool = False,
) -> SmoothSummary:
    """A copy of a result with smoothed joints; its header says by what, and of which file.

    fix_swaps: repair left and right of the legs before (sides.py); then the method may be "none". selection: only these
    people. shot_fps: frames per second the camera recorded with, for slow motion that the result does not know of.
    Raises UsageError, InputError (not a result) or OutputError.
    """
    path, out = Path(path), Path(out)
    if require_filter(by).method == "none" and not fix_swaps:
        raise UsageError("nothing to do with --method none", hint=f"use {', '.join(ALL_METHODS[1:])}, or --fix-swaps")
    require_not_input(out, [path])
    require_free_target(out, overwrite=overwrite)
    state = state_of(path)
    result = selected(read_posetrack(path), selection)
    if shot_fps is not None:
        result = shot_with(result, shot_fps)
    if "smoothing" in result.header:
        raise UsageError("it is smoothed already", path=path, hint="give the result it was made from")
    require_distinct_ids(result)
    header = copied_header(result) | {
        "smoothing": by.header() | {"fix_swaps": fix_swaps, "of_sha256": sha256_since(path, state)}
    }
    before = list(repair_results(result.frames)) if fix_swaps else result.frames
    after = filtered(before, by)
    with PoseTrackWriter(out, header, overwrite, joints=result.joints) as writer:
        for frame in after:
            writer.write(frame)
    said = said_of(before, by) if by.method != "none" else ""
    return SmoothSummary(
        out, len(after), said, any(_moved(one, other) for one, other in zip(before, after, strict=True))
    )


def _moved(before: FrameResult, after: FrameResult) -> bool:
    """Whether a joint of somebody is elsewhere."""
    pairs = zip(before.people, after.people, strict=True)
    return any(not np.array_equal(one.keypoints, other.keypoints) for one, other in pairs)
