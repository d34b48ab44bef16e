"""Earlier results at work again: which frames and people of them, and a smoothed copy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..files import require_free_target, require_not_input, sha256_of
from ..results.measures import shot_with
from ..results.posetrack import PoseTrackResult, PoseTrackWriter, read_posetrack
from ..sides import repair_results
from ..smooth import METHODS, require_method, smooth_results
from ..types import FrameResult, Person


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Whom to show; the defaults choose everybody.

    tracks: only these ids. largest: only the track whose boxes are largest, summed over the result. roi: only people
    whose box has its centre in this rectangle (x, y, width, height in pixels), frame by frame.
    """

    tracks: tuple[int, ...] = ()
    largest: bool = False
    roi: tuple[float, float, float, float] | None = None

    def apply(self, frames: Sequence[FrameResult]) -> list[FrameResult]:
        """The frames with the chosen people alone. Raises UsageError for a choice of nobody."""
        if self.roi is not None and not (np.isfinite(self.roi).all() and min(self.roi[2:]) > 0):
            raise UsageError("--roi is x,y,width,height in pixels, with width and height above 0")
        known = {person.track_id for frame in frames for person in frame.people}
        if self.tracks and not known & set(self.tracks):
            some = ", ".join(str(i) for i in sorted(known)[:12]) + (" ..." if len(known) > 12 else "")
            raise UsageError(
                f"no track {', '.join(map(str, self.tracks))} in the result", hint=f"there are {some or 'none'}"
            )
        chosen = [replace(f, people=tuple(p for p in f.people if self._wants(p))) for f in frames]
        if self.largest:
            area: Counter[int] = Counter()
            for frame in chosen:
                for person in frame.people:
                    area[person.track_id] += int(person.bbox[2] * person.bbox[3])
            best = max(area, key=lambda i: (area[i], -i), default=None)
            chosen = [replace(f, people=tuple(p for p in f.people if p.track_id == best)) for f in chosen]
        if self != Choice() and known and not any(frame.people for frame in chosen):
            raise UsageError("nobody in the result is chosen", hint="widen --track, --largest or --roi")
        return chosen

    def _wants(self, person: Person) -> bool:
        if self.tracks and person.track_id not in self.tracks:
            return False
        if self.roi is None:
            return True
        x, y = (float(v) for v in person.bbox[:2] + person.bbox[2:] / 2)
        left, top, width, height = self.roi
        return left <= x <= left + width and top <= y <= top + height


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
    overwrite: bool = False,
) -> int:
    """A copy of a result with smoothed joints; its header says by what, and of which file. Returns its frames.

    fix_swaps: repair left and right of the legs before (sides.py); then `method` may be "none". shot_fps: frames per
    second the camera recorded with, for slow motion that the result does not know of.
    Raises UsageError, InputError (not a result) or OutputError.
    """
    path, out = Path(path), Path(out)
    if require_method(method) == "none" and not fix_swaps:
        raise UsageError("nothing to do with --method none", hint=f"use {' or '.join(METHODS[1:])}, or --fix-swaps")
    require_not_input(out, [path])
    require_free_target(out, overwrite=overwrite)
    result = read_posetrack(path)
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
