"""An edited copy of a result file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from .._reading import state_of
from .._sets import publish
from ..errors import UsageError
from ..files import AtomicFile, output_error, require_free_target, require_not_input, sha256_since
from ..results.foreign import files_of, read_result
from ..results.posetrack import PoseTrackWriter
from ..types import FrameResult
from .operations import Merge
from .script import parse

#: Edits that the header of a result may list.
MOST_EDITS: Final = 5000


@dataclass(frozen=True, slots=True)
class EditSummary:
    """What an edited result holds. edits: lines that were carried out. assumed_fps: as in PoseTrackResult.

    dropped: poses that merges left out, because another of the merged tracks is in the same frame.
    """

    json: Path
    edits: tuple[str, ...]
    frames: int
    people: int
    tracks: int
    assumed_fps: bool = False
    dropped: int = 0


def edit_result(
    path: Path,
    out: Path,
    lines: Sequence[str],
    *,
    overwrite: bool = False,
    save_script: Path | None = None,
    fps: Fraction | None = None,
) -> EditSummary:
    """Carry out edits, in order, on a copy of a result of dcpose or of another tool (results/foreign.py).

    lines: as script.py documents them. The header of the copy lists them under `edits`, with the hash of the result
    they were made on. save_script: a file for the lines, published together with the copy. fps: frame
    rate of a file that does not say the time of its frames; 25 when not given.
    Raises UsageError (an edit that does not fit), InputError or OutputError.
    """
    path, out = Path(path), Path(out)
    if not lines:
        raise UsageError("there is nothing to edit", hint="give --script or an edit, --merge '3 7' say")
    require_not_input(out, files_of(path))
    require_free_target(out, overwrite=overwrite)
    before = state_of(path)
    result = read_result(path, fps)
    history = _with(result.header.get("edits"), lines, path)
    history[-1]["of_sha256"] = sha256_since(path, before) if path.is_file() else None
    frames: list[FrameResult] = list(result.frames)
    dropped = 0
    for number, line in enumerate(lines, start=1):
        try:
            edit = parse(line, frames)
            poses = _poses(frames)
            frames = edit.apply(frames)
            dropped += poses - _poses(frames) if isinstance(edit, Merge) else 0
        except UsageError as error:
            raise UsageError(f"edit {number} ({line[:80]}): {error.reason}", path=path, hint=error.hint) from error
    header = {**result.header, "video": None, "edits": history}
    with PoseTrackWriter(out, header, overwrite, joints=result.joints) as writer:
        for frame in frames:
            writer.write(frame)
        if save_script is not None:
            _publish(writer, save_script, lines, overwrite=overwrite)
    tracks = len({person.track_id for frame in frames for person in frame.people})
    return EditSummary(out, tuple(lines), len(frames), _poses(frames), tracks, result.assumed_fps, dropped)


def _with(earlier: object, lines: Sequence[str], path: Path) -> list[dict[str, Any]]:
    """The edits of a header and these ones, which come last, without the hash. Raises UsageError for too many: they
    would be carried out for hours."""
    made = {"of_sha256": None, "script": list(lines)}
    history = [*(earlier if isinstance(earlier, list) else []), made]
    if sum(len(done.get("script", ())) for done in history if isinstance(done, dict)) > MOST_EDITS:
        raise UsageError(f"more than {MOST_EDITS} edits in all", path=path, hint="its header could not be read")
    return history


def _poses(frames: Sequence[FrameResult]) -> int:
    return sum(len(frame.people) for frame in frames)


def _publish(writer: PoseTrackWriter, script: Path, lines: Sequence[str], *, overwrite: bool) -> None:
    """Publish a copy together with the file of the lines. Raises OutputError."""
    with AtomicFile(script, overwrite=overwrite) as file:
        try:
            file.temp.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        except OSError as error:
            raise output_error(error, script) from error
        publish([writer.finish(), file])
