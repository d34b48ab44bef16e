"""A video in, an annotated video and PoseTrack JSON out: decoding runs ahead of the network, encoding behind it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._threads import ReadAhead, WriteBehind
from .chunks import chunk_frames
from .config import EstimateConfig
from .devices import require_one_device
from .errors import OutputError, UsageError
from .export.formats import Options as ExportOptions
from .export.formats import require_target, write_result
from .files import output_error, shown, temporary_name
from .outputs import output_paths, require_outputs
from .render import draw_people
from .results.header import result_header
from .results.posetrack import PoseTrackWriter, read_posetrack
from .segments import SegmentFolder, is_unfinished, kept_segments, segment_key
from .settings import ResolvedSettings
from .smooth import require_method, smooth
from .types import DecodeReport, EstimateSummary, Frame, FrameResult, Progress, Report, VideoInfo
from .video.hwaccel import AUTO, NONE, Choice, require_hwaccel
from .video.live import LiveReader, StopRequest
from .video.opening import open_video
from .video.reader import VideoReader
from .video.source import is_live
from .video.writer import VideoWriter

if TYPE_CHECKING:
    from .estimator import PoseEstimator


def estimate(
    path: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    config: EstimateConfig | None = None,
    estimator: PoseEstimator | None = None,
    progress: Report | None = None,
    stop: StopRequest | None = None,
    **options: Any,
) -> EstimateSummary:
    """Estimate the poses of a video; write the annotated video to `out` and PoseTrack JSON beside it.

    out: .mp4, .mov or .mkv; None writes only the JSON, to `config.json`. config: settings; `options` replace single
    ones of it (`device="cpu"`). estimator: a loaded one, to be shared by several videos. progress: called per frame.
    stop: ends a live source; what came in until then is finished and kept.
    Raises UsageError, InputError, OutputError, WeightsError or DeviceError; then no output is left. A run that dies
    leaves finished parts beside the output, from which one with `resume` goes on (segments/).
    """
    try:
        settings = replace(config or EstimateConfig(), **options)
    except TypeError as error:
        known = {field.name for field in fields(EstimateConfig)}
        raise UsageError(f"unknown setting {', '.join(sorted(set(options) - known))}; see EstimateConfig") from error
    require_method(settings.smooth)
    require_one_device(settings.device)
    require_hwaccel(settings.hwaccel)
    source = Path(path)
    video, target = output_paths(out, settings.json)
    started = time.monotonic()
    if settings.allow_network and is_live(path):
        require_outputs(source, video, target, overwrite=settings.overwrite)
        estimator = estimator or _load(settings).load()  # what comes while a model is loaded would be lost
    with ExitStack() as stack:
        reader = open_video(
            path,
            start=settings.start,
            end=settings.end,
            max_frames=settings.max_frames,
            allow_network=settings.allow_network,
            stop=stop,
            hwaccel=settings.hwaccel,
            device=settings.device,
        )
        stack.enter_context(closing(reader))
        settings = replace(settings, overwrite=settings.overwrite or is_unfinished(target, settings))
        require_outputs(source, video, target, overwrite=settings.overwrite)
        estimator = estimator or _load(settings)
        resolved = estimator.settings
        decoded_by = reader.decoded_by if isinstance(reader, VideoReader) else Choice(reason="it is live")
        header = result_header(source, reader.info, estimator.models(), resolved, settings, hwaccel=decoded_by.device)
        key = segment_key(header, resolved.batch)
        segments = stack.enter_context(kept_segments(target, video, key, settings))
        run = _Run(reader, estimator, settings, resolved, progress, segments)
        # The JSON is opened first and closed last: an MP4 without its JSON counts as unfinished.
        writer = stack.enter_context(PoseTrackWriter(target, header, overwrite=settings.overwrite))
        sha256, warnings = run.write(writer, video, source)
        end: dict[str, Any] = {"decode": _decode_counts(reader.report), "video": sha256}
        if isinstance(reader, VideoReader) and decoded_by.device is not None:
            end["decode"]["hardware"] = reader.hardware_frames
        if isinstance(reader, LiveReader):
            end["live"] = {"dropped": reader.dropped}
            warnings += [f"{shown(source)} broke off"] * reader.broke_off
        if settings.hwaccel not in (NONE, AUTO) and decoded_by.device is None:
            warnings.append(f"{shown(source)} was decoded by software: {decoded_by.reason}")
        _finish(writer, end, video)
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
        dropped=reader.dropped if isinstance(reader, LiveReader) else 0,
        delay=run.delay,
        hwaccel=decoded_by.device,
    )


def export_json(
    path: str | PathLike[str],
    out: str | PathLike[str],
    *,
    to: str = "posetrack18",
    config: EstimateConfig | None = None,
    estimator: PoseEstimator | None = None,
    progress: Report | None = None,
    stop: StopRequest | None = None,
    **options: Any,
) -> EstimateSummary:
    """The JSON of `estimate` without drawing a video. Raises as `estimate`.

    to: another format (dcpose_cli.export.formats.FORMATS), written to `out` instead; the JSON it is made from is not
    kept.
    """
    target = Path(out)
    if to == "posetrack18":
        options["json"] = target
        return estimate(path, None, config=config, estimator=estimator, progress=progress, stop=stop, **options)
    overwrite = bool(options.get("overwrite", config.overwrite if config else False))
    require_target(target, to, overwrite=overwrite, source=Path(path))
    folder = temporary_name(target)
    try:
        folder.mkdir()
        options["json"] = folder / "result.json"
        summary = estimate(path, None, config=config, estimator=estimator, progress=progress, stop=stop, **options)
        result = read_posetrack(folder / "result.json")
        written = write_result(result, target, to, ExportOptions(overwrite=overwrite))
        return replace(summary, json=None, exports=tuple(written))
    except OSError as error:
        raise output_error(error, target) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Run:
    """One pass over a video, counting what it sees."""

    def __init__(
        self,
        reader: VideoReader | LiveReader,
        estimator: PoseEstimator,
        settings: EstimateConfig,
        resolved: ResolvedSettings,
        progress: Report | None,
        segments: SegmentFolder | None,
    ) -> None:
        self._reader, self._estimator, self._settings, self._progress = reader, estimator, settings, progress
        self._resolved, self._segments = resolved, segments
        # A chunk is taken, and left, at once: with less room the network would wait for decoder and encoder.
        self._depth = chunk_frames(reader.info.width, reader.info.height)
        self.frames = self.people = 0
        self.delay = 0.0
        self.tracks: set[int] = set()

    def write(self, json: PoseTrackWriter, video: Path | None, source: Path) -> tuple[str | None, list[str]]:
        """Everything into `json` and, where asked for, `video`; its hash and the warnings about it."""
        if video is None:
            with closing(self._each(json)) as pairs:
                for _ in pairs:
                    pass
            return None, []
        settings = self._settings
        output = VideoWriter(
            video,
            self._reader.info,
            audio_from=source if settings.audio and self._reader.info.has_audio else None,
            start=settings.start,
            end=settings.end,
            cut=settings.max_frames is not None,
            overwrite=settings.overwrite,
            allow_network=settings.allow_network,
        )

        def draw(item: tuple[Frame, FrameResult]) -> None:
            frame, result = item
            output.write(draw_people(frame.image, result.people, kpt_thr=settings.kpt_thr), frame.pts)

        with output, WriteBehind(draw, self._depth) as behind, closing(self._each(json)) as pairs:
            for item in smooth(pairs, settings.smooth):
                behind.put(item)
        return output.sha256, output.warnings

    def _each(self, json: PoseTrackWriter) -> Generator[tuple[Frame, FrameResult]]:
        """Every frame with its people, already in `json`."""
        info = self._reader.info
        total = _expected_frames(info, self._settings)
        aspect = float(info.sample_aspect_ratio)
        report = self._progress or (lambda progress: None)
        report(Progress(0, total, 0))
        live = self._reader if isinstance(self._reader, LiveReader) else None
        # A live source reads ahead by itself, and its frames are looked at one by one: waiting for more is delay.
        source = ReadAhead(self._reader, self._depth) if live is None else nullcontext(live)
        size: dict[str, Any] = {} if live is None else {"together": 1}
        with source as frames:
            analysis = self._estimator.analyse(
                frames,
                fps=info.fps,
                pixel_aspect=aspect,
                segments=self._segments,
                settings=self._resolved,
                **size,
            )
            with closing(analysis):
                for frame, result in analysis:
                    json.write(result)
                    yield frame, result
                    self.delay = max(self.delay, live.age(frame) if live else 0.0)
                    self.frames += 1
                    self.people += len(result.people)
                    self.tracks.update(person.track_id for person in result.people)
                    report(Progress(self.frames, total, len(result.people)))


def _load(settings: EstimateConfig) -> PoseEstimator:
    from .estimator import PoseEstimator  # late, so that looking at inputs and outputs does not load torch

    return PoseEstimator.from_config(settings)


def _finish(writer: PoseTrackWriter, end: dict[str, Any], video: Path | None) -> None:
    """Publish the JSON; when that fails, say what became of the video."""
    try:
        writer.close(end)
    except OutputError as error:
        if video is None:
            raise
        raise OutputError(f"{error} ({shown(video)} was written, but without its JSON it is unfinished)") from error


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


def _decode_counts(report: DecodeReport) -> dict[str, int]:
    return {"frames": report.frames, "damaged": report.damaged, "errors": report.errors}
