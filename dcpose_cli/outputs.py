"""Outputs of a run: checks of the targets before a model is loaded, and publication of the result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Final

from ._claims import claim, release
from .config import PIXELS, EstimateConfig, Measures
from .errors import DCPoseError, UsageError
from .export.formats import Options, rate_warnings, require_measures, require_target, write_result
from .files import (
    output_error,
    printable,
    require_free_target,
    require_not_input,
    require_writable_folder,
    temporary_name,
)
from .results.posetrack import read_posetrack
from .results.resample import resample
from .segments import is_unfinished
from .video.writer import FORMATS

#: The format that is written while a video is analysed; all others are converted from it.
NATIVE: Final = "posetrack18"


@dataclass(frozen=True, slots=True)
class NativeJson:
    """The result of a run as its JSON and, if `video` is given, an annotated video."""

    video: Path | None
    json: Path

    @property
    def target(self) -> Path:
        """The file beside which unfinished parts are stored."""
        return self.json

    def is_unfinished(self, config: EstimateConfig) -> bool:
        """Whether outputs may be replaced because a run that is being resumed left them."""
        return is_unfinished(self.target, config)

    def require(self, source: Path, *, overwrite: bool) -> None:
        """Check the outputs. Raises UsageError or OutputError."""
        require_outputs(source, self.video, self.json, overwrite=overwrite)

    def publish(self, *, overwrite: bool) -> tuple[Path, ...]:
        """Files of another format: none, the JSON itself is the result."""
        del overwrite
        return ()


@dataclass(frozen=True, slots=True)
class Converted:
    """The result of a run in another format, made from a JSON with a temporary name. warnings: about the output."""

    target: Path
    to: str
    measures: Measures = PIXELS
    json: Path = field(init=False)
    warnings: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "json", temporary_name(self.target, claimed=True))

    @property
    def video(self) -> None:
        """There is none."""
        return

    def is_unfinished(self, config: EstimateConfig) -> bool:
        """Never: a run writes the files of the format at its end only."""
        del config
        return False

    def require(self, source: Path, *, overwrite: bool) -> None:
        """Check the output. Raises UsageError or OutputError."""
        require_measures(self.to, self.measures)
        require_target(self.target, self.to, overwrite=overwrite, source=source)

    def publish(self, *, overwrite: bool) -> tuple[Path, ...]:
        """Convert the JSON; returns the files written. Raises DCPoseError; the JSON is then kept, and it says where."""
        handle = claim(self.json)  # else it is taken for one that a dead run left
        try:
            return self._publish(overwrite=overwrite)
        finally:
            release(handle)

    def _publish(self, *, overwrite: bool) -> tuple[Path, ...]:
        try:
            result = read_posetrack(self.json)
            if self.measures.resample_fps is not None:
                result = resample(result, self.measures.resample_fps)
            self.warnings.extend(rate_warnings(result, self.to, self.target))
            written = write_result(result, self.target, self.to, Options.of(self.measures, overwrite=overwrite))
        except DCPoseError as error:
            kept = self._keep()
            hint = f"the result is kept in {printable(kept)}: use dcpose convert"
            raise error.with_hint(hint) from error
        except Exception as error:
            error.add_note(f"the result is kept in {printable(self._keep())}")
            raise
        except BaseException:  # stopped: the parts are kept instead
            self.json.unlink(missing_ok=True)
            raise
        self.json.unlink(missing_ok=True)
        return tuple(written)

    def _keep(self) -> Path:
        """Give the JSON a name that users see: result.csv -> result.posetrack18.json, numbered where that is taken."""
        names = (f"{self.target.stem}.{number}{NATIVE}.json" for number in ("", *(f"{n}." for n in range(2, 100))))
        for name in names:
            kept = self.json.with_name(name)
            with contextlib.suppress(OSError):
                if not os.path.lexists(kept):
                    return self.json.rename(kept)
        return self.json


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
        raise UsageError("nothing to write", hint="give out= or json=")
    if video is not None and video.resolve() == target.resolve():
        raise UsageError("the video and the JSON would be one file", path=video)
    return video, target


def require_outputs(source: Path, video: Path | None, json: Path, *, overwrite: bool) -> None:
    """Check the outputs of `estimate`. Raises UsageError or OutputError."""
    if video is not None:
        _require_video_name(video)
    if json.suffix.lower() != ".json" and not json.is_dir():
        raise UsageError("must end in .json", path=json, hint="that is the format it gets")
    for output in [json] if video is None else [video, json]:
        _require_target(output, [source], overwrite=overwrite)


def require_video(video: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Check the name of a new video that is made of `inputs`. Raises UsageError or OutputError."""
    _require_video_name(video)
    _require_target(video, inputs, overwrite=overwrite)


def _require_video_name(video: Path) -> None:
    if video.suffix.lower() not in FORMATS and not video.is_dir():
        raise UsageError(f"must end in {', '.join(FORMATS)}", path=video, hint="choose one of them")


def _require_target(output: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    try:
        require_not_input(output, inputs)
        require_free_target(output, overwrite=overwrite)
        require_writable_folder(output.parent)
    except OSError as error:  # a name too long, say
        raise output_error(error, output) from error
