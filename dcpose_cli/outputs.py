"""Where results go, and everything that can be wrong there, found before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from .errors import UsageError
from .files import output_error, require_free_target, require_not_input, require_writable_folder, shown
from .video.writer import FORMATS


def output_paths(out: str | PathLike[str] | None, json: str | PathLike[str] | None) -> tuple[Path | None, Path]:
    """The video, if one is wanted, and the JSON: beside the video unless it has a name of its own.

    Raises UsageError when neither is given or both are one file.
    """
    video = Path(out) if out is not None else None
    if json is not None:
        target = Path(json)
    elif video is not None:
        target = video.with_suffix(".json") if video.name else video
    else:
        raise UsageError("nothing to write: give out= or json=")
    if video is not None and video.resolve() == target.resolve():
        raise UsageError(f"the video and the JSON would be one file: {shown(video)}")
    return video, target


def require_outputs(source: Path, video: Path | None, json: Path, *, overwrite: bool) -> None:
    """Look at the outputs of `estimate`. Raises UsageError or OutputError."""
    if video is not None:
        _require_video_name(video)
    if json.suffix.lower() != ".json" and not json.is_dir():
        raise UsageError(f"{shown(json)} must end in .json; that is the format it gets")
    for output in [json] if video is None else [video, json]:
        _require_target(output, [source], overwrite=overwrite)


def require_video(video: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Look at a new video that is made of `inputs`. Raises UsageError or OutputError."""
    _require_video_name(video)
    _require_target(video, inputs, overwrite=overwrite)


def _require_video_name(video: Path) -> None:
    if video.suffix.lower() not in FORMATS and not video.is_dir():
        raise UsageError(f"output {shown(video)} must end in {', '.join(FORMATS)}: choose one of them")


def _require_target(output: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    try:
        require_not_input(output, inputs)
        require_free_target(output, overwrite=overwrite)
        require_writable_folder(output.parent)
    except OSError as error:  # a name too long, say
        raise output_error(error, output) from error
