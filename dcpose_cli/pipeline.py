"""A video in, an annotated video and PoseTrack JSON out: decoding runs ahead of the network, encoding behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, Final

from ._threads import ReadAhead, WriteBehind
from .config import EstimateConfig
from .errors import UsageError
from .estimator import DEFAULT_FPS, PoseEstimator
from .export.posetrack import PoseTrackWriter
from .files import require_free_target, require_not_input, require_writable_folder, sha256_of
from .render import draw_people
from .types import DecodeReport, EstimateSummary, Frame, FrameResult, VideoInfo
from .video.reader import VideoReader
from .video.writer import VideoWriter

#: Frames decoded ahead of the network and waiting behind it to be drawn and encoded.
QUEUE_FRAMES: Final = 8
_LIBRARIES: Final = ("av", "numpy", "opencv-python", "torch", "torchvision", "ultralytics")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. total: frames expected, None when the file does not say. people: in the last frame."""

    frames: int
    total: int | None
    people: int


Report = Callable[[Progress], None]


def estimate(
    path: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    config: EstimateConfig | None = None,
    estimator: PoseEstimator | None = None,
    progress: Report | None = None,
    **options: Any,
) -> EstimateSummary:
    """Estimate the poses of a video; write the annotated video to `out` and PoseTrack JSON beside it.

    out: .mp4, .mov or .mkv; None writes only the JSON, to `config.json`. config: settings; `options` replace single
    ones of it (`device="cpu"`). estimator: a loaded one, to be shared by several videos. progress: called per frame.
    Raises UsageError, InputError, OutputError, WeightsError or DeviceError; then no output is left.
    """
    try:
        settings = replace(config or EstimateConfig(), **options)
    except TypeError as error:
        raise UsageError(f"unknown setting: {error}") from error
    source = Path(path)
    video = Path(out) if out is not None else None
    target = settings.json or (video.with_suffix(".json") if video else None)
    if target is None:
        raise UsageError("nothing to write: give out= or json=")
    started = time.monotonic()
    with ExitStack() as stack:
        reader = stack.enter_context(
            VideoReader(
                path,
                start=settings.start,
                end=settings.end,
                max_frames=settings.max_frames,
                allow_network=settings.allow_network,
            )
        )
        _require_outputs(source, [p for p in (video, target) if p], settings.overwrite)
        people = estimator or PoseEstimator.from_config(settings)
        run = _Run(reader, people, settings, progress)
        header = _header(source, reader.info, people, settings)
        # The JSON is opened first and closed last: an MP4 without its JSON counts as unfinished.
        writer = stack.enter_context(PoseTrackWriter(target, header, overwrite=settings.overwrite))
        sha256, warnings = run.write(writer, video, source)
        writer.close({"decode": _decode_counts(reader.report), "video": sha256})
    return EstimateSummary(
        source=source,
        video=video,
        json=target,
        frames=run.frames,
        people=run.people,
        tracks=len(run.tracks),
        decode=reader.report,
        seconds=time.monotonic() - started,
        warnings=tuple(warnings),
    )


def export_json(
    path: str | PathLike[str],
    out: str | PathLike[str],
    *,
    config: EstimateConfig | None = None,
    estimator: PoseEstimator | None = None,
    progress: Report | None = None,
    **options: Any,
) -> EstimateSummary:
    """The JSON of `estimate` without drawing a video. Raises as `estimate`."""
    options["json"] = Path(out)
    return estimate(path, None, config=config, estimator=estimator, progress=progress, **options)


class _Run:
    """One pass over a video, counting what it sees."""

    def __init__(
        self, reader: VideoReader, people: PoseEstimator, settings: EstimateConfig, progress: Report | None
    ) -> None:
        self._reader, self._estimator, self._settings, self._progress = reader, people, settings, progress
        self.frames = self.people = 0
        self.tracks: set[int] = set()

    def write(self, json: PoseTrackWriter, video: Path | None, source: Path) -> tuple[str | None, list[str]]:
        """Everything into `json` and, where asked for, `video`; its hash and the warnings about it."""
        if video is None:
            self._each(json, lambda frame, result: None)
            return None, []
        settings = self._settings
        output = VideoWriter(
            video,
            self._reader.info,
            audio_from=source if settings.audio and self._reader.info.has_audio else None,
            start=settings.start,
            end=settings.end,
            overwrite=settings.overwrite,
        )

        def draw(item: tuple[Frame, FrameResult]) -> None:
            frame, result = item
            output.write(draw_people(frame.image, result.people, kpt_thr=settings.kpt_thr), frame.pts)

        with output, WriteBehind(draw, QUEUE_FRAMES) as behind:
            self._each(json, lambda frame, result: behind.put((frame, result)))
        return output.sha256, output.warnings

    def _each(self, json: PoseTrackWriter, then: Callable[[Frame, FrameResult], None]) -> None:
        info = self._reader.info
        total = _expected_frames(info, self._settings)
        fps, aspect = float(info.fps or DEFAULT_FPS), float(info.sample_aspect_ratio)
        with ReadAhead(self._reader, QUEUE_FRAMES) as ahead:
            for frame, result in self._estimator.analyse(ahead, fps=fps, pixel_aspect=aspect):
                json.write(result)
                then(frame, result)
                self.frames += 1
                self.people += len(result.people)
                self.tracks.update(person.track_id for person in result.people)
                if self._progress is not None:
                    self._progress(Progress(self.frames, total, len(result.people)))


def _require_outputs(source: Path, outputs: list[Path], overwrite: bool) -> None:
    """Everything that can be wrong with the outputs, before a model is loaded."""
    for output in outputs:
        require_not_input(output, [source])
        require_free_target(output, overwrite=overwrite)
        require_writable_folder(output.parent)
    if len({output.resolve() for output in outputs}) != len(outputs):
        raise UsageError(f"the video and the JSON would be one file: {outputs[0]}")


def _expected_frames(info: VideoInfo, settings: EstimateConfig) -> int | None:
    """Frames to expect, for the progress display only."""
    total = info.frame_count
    if total is None and info.duration and info.fps:
        total = round(info.duration * float(info.fps))
    if total is not None and info.fps and (settings.start or settings.end is not None):
        first = round((settings.start or 0.0) * float(info.fps))
        last = total if settings.end is None else min(total, round(settings.end * float(info.fps)))
        total = max(0, last - first)
    if settings.max_frames is not None:
        total = settings.max_frames if total is None else min(total, settings.max_frames)
    return total


def _header(source: Path, info: VideoInfo, people: PoseEstimator, settings: EstimateConfig) -> dict[str, Any]:
    """What made the result (dcpose_cli.export.posetrack documents it); no clock, host or path."""
    model, detector = people.network.model, people.detector
    return {
        "dcpose": version("dcpose"),
        "input": {"name": source.name, "sha256": sha256_of(source)},
        "model": {"name": model.header.name, "sha256": model.sha256},
        "detector": {"name": detector.name, "sha256": detector.sha256},
        "libraries": {name: version(name) for name in _LIBRARIES},
        "fps": None if info.fps is None else f"{info.fps.numerator}/{info.fps.denominator}",
        "time_base": f"{info.time_base.numerator}/{info.time_base.denominator}",
        "width": info.width,
        "height": info.height,
        "settings": {
            "conf": settings.conf,
            "interval": settings.interval,
            "box_scale": settings.box_scale,
            "device": people.device.type,
            "precision": str(people.network.precision).removeprefix("torch."),
            "start": settings.start,
            "end": settings.end,
            "max_frames": settings.max_frames,
        },
        "video": None,
    }


def _decode_counts(report: DecodeReport) -> dict[str, int]:
    return {"frames": report.frames, "damaged": report.damaged, "errors": report.errors}
