"""The people of a video frame by frame while it is analysed, for programs that read along; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from ._threads import ReadAhead
from .chunks import decoded_ahead
from .config import EstimateConfig
from .config_checks import require_config
from .errors import UsageError
from .results.measures import shot_rate
from .selection import in_frame, options_of
from .sides import repair_sides
from .sources import open_source, sample_of, settled
from .types import FrameResult
from .video.live import LiveReader, StopRequest

if TYPE_CHECKING:
    from .estimator import PoseEstimator


def stream(
    path: str | PathLike[str],
    *,
    config: EstimateConfig | None = None,
    estimator: PoseEstimator | None = None,
    stop: StopRequest | None = None,
) -> Iterator[FrameResult]:
    """The frames that `export_json` would write, each as soon as its people are known.

    Frames of a live source come one by one, those of a file some at a time. A selection that needs the whole video is
    refused. Raises as `export_json`.
    """
    settings = config or EstimateConfig()
    require_config(settings)
    if settings.selection.needs_all:
        raise UsageError(f"{options_of(settings.selection)} needs the whole video", hint="use --track and --roi here")
    if estimator is None:
        from .estimator import PoseEstimator

        estimator = PoseEstimator.from_config(settings).load()
    reader = open_source(path, settings, stop)
    with closing(reader):
        info, live = reader.info, isinstance(reader, LiveReader)
        settings = settled(settings, reader)
        sample = sample_of(path, reader, settings)
        scale = 1.0 if settings.shot_fps is None or not info.fps else float(info.fps / shot_rate(settings.shot_fps))
        together: dict[str, Any] = {"together": 1} if live else {}
        depth = decoded_ahead(info.width, info.height)
        with nullcontext(reader) if isinstance(reader, LiveReader) else ReadAhead(reader, depth) as frames:
            analysis = estimator.analyse(
                frames,
                fps=info.fps,
                pixel_aspect=float(info.sample_aspect_ratio),
                settings=estimator.resolve(sample=sample),
                **together,
            )
            with closing(analysis):
                timed = ((None, replace(result, time=result.time * scale)) for _, result in analysis)
                for _, result in repair_sides(timed) if settings.repairs_sides else timed:
                    people = tuple(person for person in result.people if in_frame(person, settings.selection))
                    yield replace(result, people=people)
