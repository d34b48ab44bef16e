"""A video in, an annotated video and PoseTrack JSON out: decoding runs ahead of the network, encoding behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import fields, replace
from fractions import Fraction
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._sets import publish
from ._threads import ReadAhead, WriteBehind
from .chunks import chunk_frames, decoded_ahead
from .config import PIXELS, EstimateConfig, Measures
from .config_checks import require_config
from .errors import UsageError
from .files import printable
from .outputs import NATIVE, Converted, NativeJson, output_paths
from .pixels import NO_PIXELS
from .render.people import draw_on, drawn_parts
from .results.header import result_header
from .results.posetrack import PoseTrackWriter
from .results.reader import time_scale
from .segments import SegmentFolder, open_store, segment_key, stored_settings
from .selection import chosen, in_frame, options_of
from .settings import ResolvedSettings
from .sides import repair_sides
from .smooth import smooth
from .sources import open_source, sample_of, settled
from .types import DecodeReport, EstimateSummary, Frame, FrameResult, Progress, Report, VideoInfo
from .video.hwaccel import AUTO, NONE, Choice
from .video.live import LiveReader, StopRequest
from .video.opening import picture_warnings
from .video.painting import Drawn
from .video.reader import VideoReader
from .video.source import is_live
from .video.writer import VideoWriter, require_encodable

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
    watch: Callable[[FrameResult], None] | None = None,
    **options: Any,
) -> EstimateSummary:
    """Estimate the poses of a video; write the annotated video to `out` and PoseTrack JSON beside it.

    out: .mp4, .mov or .mkv; None writes only the JSON, to `config.json`. config: settings; `options` replace single
    ones of it (`device="cpu"`). estimator: a loaded one, to be shared by several videos. progress: called per frame.
    stop: ends a live source; frames received until then are finished and written. watch: called with every frame as the
    JSON has it.
    Raises UsageError, InputError, OutputError, WeightsError or DeviceError; then no output is left. A run that dies
    leaves finished parts beside the output, from which one with `resume` goes on (segments/).
    """
    settings = _settings(config, options)
    video, json = output_paths(out, settings.json)
    target = NativeJson(video, json)
    return _run(path, target, settings, estimator=estimator, progress=progress, stop=stop, watch=watch)


def export_json(
    path: str | PathLike[str],
    out: str | PathLike[str],
    *,
    to: str = "posetrack18",
    measures: Measures = PIXELS,
    config: EstimateConfig | None = None,
    estimator: PoseEstimator | None = None,
    progress: Report | None = None,
    stop: StopRequest | None = None,
    **options: Any,
) -> EstimateSummary:
    """The JSON of `estimate` without drawing a video. Raises as `estimate`.

    to: another format (dcpose_cli.export.formats.FORMATS), written to `out` instead. measures: of that format (metres,
    a fixed frame rate). The JSON it is made from is kept only when the conversion fails; the error says where.
    """
    settings, target = _settings(config, options), Path(out)
    plain = to == NATIVE and measures == PIXELS
    result: NativeJson | Converted = NativeJson(None, target) if plain else Converted(target, to, measures)
    return _run(path, result, settings, estimator=estimator, progress=progress, stop=stop)


def _settings(config: EstimateConfig | None, options: Mapping[str, Any]) -> EstimateConfig:
    """The settings of a run. Raises UsageError."""
    try:
        settings = replace(config or EstimateConfig(), **options)
    except TypeError as error:
        known = {field.name for field in fields(EstimateConfig)}
        raise UsageError(
            f"unknown setting {', '.join(sorted(set(options) - known))}", hint="see EstimateConfig"
        ) from error
    require_config(settings)
    return settings


def _run(
    path: str | PathLike[str],
    result: NativeJson | Converted,
    config: EstimateConfig,
    *,
    estimator: PoseEstimator | None,
    progress: Report | None,
    stop: StopRequest | None,
    watch: Callable[[FrameResult], None] | None = None,
) -> EstimateSummary:
    """Analyse a video into `result`: for estimate and export_json."""
    source, started = Path(path), time.monotonic()
    if config.selection.needs_all and is_live(path):
        raise UsageError(
            f"{options_of(config.selection)} needs the whole video, and this source is live",
            hint="choose by --track and --roi, or choose later with dcpose convert and render",
        )
    if config.allow_network and is_live(path):
        result.require(source, overwrite=config.overwrite)
        estimator = estimator or _load(config).load()  # what comes while a model is loaded would be lost
    with ExitStack() as stack:
        reader = open_source(path, config, stop)
        stack.enter_context(closing(reader))
        config = settled(config, reader)
        config = replace(config, overwrite=config.overwrite or result.is_unfinished(config))
        result.require(source, overwrite=config.overwrite)
        if result.video is not None:
            require_encodable(reader.info)
        sample = sample_of(path, reader, config)
        frames = stack.enter_context(_read_ahead(reader))  # from here on: beside loading and choosing
        estimator = estimator or _load(config)
        settings = estimator.resolve(_stored(result, estimator, config), sample=sample)
        decoded_by = _decoder(reader).device
        header = result_header(source, reader.info, estimator.models(), settings, config, hwaccel=decoded_by)
        key = segment_key(header, estimator.requested, settings)
        segments = stack.enter_context(open_store(result.target, result.video, key, config))
        run = _Pass(path, reader, frames, estimator, config, settings, progress, segments, time_scale(header), watch)
        writer = stack.enter_context(PoseTrackWriter(result.json, header, config.overwrite, joints=estimator.joints))
        video = None if result.video is None else stack.enter_context(_encoder(result.video, reader, config, source))
        run.write(writer, video)
        if video is None:
            writer.close(_end_of_header(reader, header, None))
        else:
            encoded = video.finish()
            publish([encoded, writer.finish(_end_of_header(reader, header, video.sha256))])
        exports = result.publish(overwrite=config.overwrite)
    warnings = [*(video.warnings if video else ()), *_reading_warnings(reader, config), *run.selection_warnings()]
    warnings += result.warnings if isinstance(result, Converted) else []
    return run.summary(result, exports, warnings, time.monotonic() - started)


def _stored(
    result: NativeJson | Converted, estimator: PoseEstimator, config: EstimateConfig
) -> ResolvedSettings | None:
    return None if config.resume is False else stored_settings(result.target, estimator.requested)


def _decoder(reader: VideoReader | LiveReader) -> Choice:
    return reader.decoded_by if isinstance(reader, VideoReader) else Choice(reason="it is live")


def _has_changed(reader: VideoReader | LiveReader) -> bool:
    return isinstance(reader, VideoReader) and reader.input_changed


def _end_of_header(reader: VideoReader | LiveReader, header: Mapping[str, Any], video: str | None) -> dict[str, Any]:
    """What only the end of a run knows. video: the SHA-256 of the annotated video."""
    end: dict[str, Any] = {"decode": _decode_counts(reader.report), "video": video}
    if isinstance(reader, VideoReader) and reader.decoded_by.device is not None:
        end["decode"]["hardware"] = reader.hardware_frames
    if isinstance(reader, VideoReader) and reader.conversions:
        end["pictures"] = dict(reader.conversions)
    if isinstance(reader, LiveReader):
        end["live"] = {"dropped": reader.dropped}
    if _has_changed(reader):
        # No hash is that of the bytes that were read: some are of the one file, some of the other.
        end["input"] = header["input"] | {"sha256": None, "changed": True}
    return end


def _reading_warnings(reader: VideoReader | LiveReader, config: EstimateConfig) -> list[str]:
    source = printable(reader.info.path)
    warnings = [reader.ending] if isinstance(reader, LiveReader) and reader.ending else []
    if config.hwaccel not in (NONE, AUTO) and _decoder(reader).device is None:
        warnings.append(f"{source} was decoded by software: {_decoder(reader).reason}")
    warnings += picture_warnings(reader, given=config.fps is not None)
    if _has_changed(reader):
        warnings.append(f"{source} changed while it was being read: make the result again")
    return warnings


def _read_ahead(reader: VideoReader | LiveReader) -> AbstractContextManager[Iterable[Frame]]:
    """The frames of a video, decoded ahead as soon as this is entered. A live source reads ahead by itself."""
    if isinstance(reader, LiveReader):
        return nullcontext(reader)
    return ReadAhead(reader, decoded_ahead(reader.info.width, reader.info.height))


class _Pass:
    """One pass over a video; counts frames, people and tracks."""

    def __init__(
        self,
        path: str | PathLike[str],
        reader: VideoReader | LiveReader,
        frames: Iterable[Frame],
        estimator: PoseEstimator,
        config: EstimateConfig,
        settings: ResolvedSettings,
        progress: Report | None,
        segments: SegmentFolder | None,
        scale: Fraction = Fraction(1),
        watch: Callable[[FrameResult], None] | None = None,
    ) -> None:
        self._path, self._reader, self._frames, self._estimator = path, reader, frames, estimator
        self._config, self._progress, self._watch = config, progress, watch
        self._settings, self._segments, self._scale = settings, segments, float(scale)
        # A chunk is taken, and left, at once: with less room the network would wait for decoder and encoder.
        self._depth = chunk_frames(reader.info.width, reader.info.height)
        self.frames = self.people = self.left_out = 0
        self.delay = 0.0
        self.tracks: set[int] = set()

    def write(self, json: PoseTrackWriter, video: VideoWriter | None) -> None:
        """Write everything into `json` and, where asked for, `video`; neither is finished."""
        people = self._chosen(json, drawn=video is not None)
        if video is None:
            with closing(people):
                for _ in people:
                    pass
            return
        threshold = self._config.kpt_thr

        def draw(item: tuple[Frame, FrameResult]) -> None:
            frame, result = item
            parts = drawn_parts(frame.pixels.shape, result.people, kpt_thr=threshold)
            paint = partial(draw_on, people=result.people, kpt_thr=threshold)
            video.write(Drawn(frame.pixels, parts, paint), frame.pts)

        with WriteBehind(draw, self._depth) as behind, closing(people) as pairs:
            for item in smooth(pairs, self._config.smooth):
                behind.put(item)

    def summary(
        self, result: NativeJson | Converted, exports: tuple[Path, ...], warnings: Sequence[str], seconds: float
    ) -> EstimateSummary:
        """What the finished run produced."""
        reader = self._reader
        return EstimateSummary(
            source=reader.info.path,
            video=result.video,
            json=None if exports else result.json,
            exports=exports,
            frames=self.frames,
            people=self.people,
            tracks=len(self.tracks),
            decode=reader.report,
            seconds=seconds,
            warnings=tuple(warnings),
            dropped=reader.dropped if isinstance(reader, LiveReader) else 0,
            delay=self.delay,
            hwaccel=_decoder(reader).device,
            input_changed=_has_changed(reader),
            left_out=self.left_out,
            conversions={} if isinstance(reader, LiveReader) else reader.conversions,
        )

    def selection_warnings(self) -> list[str]:
        """What to say of a selection that kept nobody, or not all tracks that it names."""
        source = printable(self._reader.info.path)
        if not self.people and self.left_out:
            return [f"nobody in {source} is chosen by {options_of(self._config.selection)}: the result is empty"]
        missing = [track for track in self._config.selection.tracks if track not in self.tracks]
        return [f"no track {', '.join(map(str, missing))} among the chosen people of {source}"] if missing else []

    def _chosen(self, json: PoseTrackWriter, *, drawn: bool) -> Generator[tuple[Frame, FrameResult]]:
        """Every frame with its chosen people, already in `json`; with pixels where it is to be `drawn`.

        A selection that needs the whole video waits for its end; frames that are drawn are then read again, others not
        given.
        """
        selection, info = self._config.selection, self._reader.info
        with closing(self._each(drawn=drawn and not selection.needs_all)) as pairs:
            if not selection.needs_all:
                for frame, result in pairs:
                    kept = replace(result, people=tuple(p for p in result.people if in_frame(p, selection)))
                    self._count(json, result, kept)
                    yield frame, kept
                return
            everybody = [result for _, result in pairs]
        results: dict[int, FrameResult] = {}
        for result, people in zip(
            everybody, chosen([r.people for r in everybody], selection, (info.width, info.height)), strict=True
        ):
            results[result.index] = replace(result, people=tuple(people))
            self._count(json, result, results[result.index])
        if drawn:
            with (
                closing(open_source(self._path, self._config, None)) as reader,
                ReadAhead(reader, self._depth) as frames,
            ):
                yield from ((frame, results[frame.index]) for frame in frames if frame.index in results)

    def _count(self, json: PoseTrackWriter, everybody: FrameResult, kept: FrameResult) -> None:
        json.write(kept)
        if self._watch is not None:
            self._watch(kept)
        self.people += len(kept.people)
        self.left_out += len(everybody.people) - len(kept.people)
        self.tracks.update(person.track_id for person in kept.people)

    def _each(self, *, drawn: bool) -> Generator[tuple[Frame, FrameResult]]:
        """Every frame with everybody in it. drawn: with its pixels, which wait with it for the repair of sides."""
        info = self._reader.info
        total = _expected_frames(info, self._config)
        aspect = float(info.sample_aspect_ratio)
        report = self._progress or (lambda progress: None)
        report(Progress(0, total, 0))
        live = self._reader if isinstance(self._reader, LiveReader) else None
        # Frames of a live source are processed one by one: waiting for more is delay.
        size: dict[str, Any] = {} if live is None else {"together": 1}
        analysis = self._estimator.analyse(
            self._frames,
            fps=info.fps,
            pixel_aspect=aspect,
            segments=self._segments,
            settings=self._settings,
            **size,
        )
        with closing(analysis):
            seen = analysis if drawn else ((replace(frame, pixels=NO_PIXELS), found) for frame, found in analysis)
            timed = seen if self._scale == 1 else self._in_real_time(seen)
            for frame, result in repair_sides(timed) if self._config.repairs_sides else timed:
                yield frame, result
                self.delay = max(self.delay, live.age(frame) if live else 0.0)
                self.frames += 1
                report(Progress(self.frames, total, len(result.people)))

    def _in_real_time(self, pairs: Iterable[tuple[Frame, FrameResult]]) -> Iterator[tuple[Frame, FrameResult]]:
        for frame, result in pairs:
            yield frame, replace(result, time=result.time * self._scale)


def _load(config: EstimateConfig) -> PoseEstimator:
    from .estimator import PoseEstimator  # late, so that looking at inputs and outputs does not load torch

    return PoseEstimator.from_config(config)


def _encoder(video: Path, reader: VideoReader | LiveReader, config: EstimateConfig, source: Path) -> VideoWriter:
    """The writer of the annotated video."""
    return VideoWriter(
        video,
        reader.info,
        audio_from=source if config.audio and reader.info.has_audio else None,
        start=config.start,
        end=config.end,
        cut=config.max_frames is not None,
        clock=None if isinstance(reader, LiveReader) else reader.clock,
        overwrite=config.overwrite,
        allow_network=config.allow_network,
    )


def _expected_frames(info: VideoInfo, config: EstimateConfig) -> int | None:
    """Frames to expect, for the progress display only."""
    total = info.frame_count
    if total is None and info.duration and info.fps:
        total = round(info.duration * float(info.fps))
    if total is not None and info.fps and (config.start or config.end is not None):
        first = round((config.start or 0.0) * float(info.fps))
        last = total if config.end is None else min(total, round(config.end * float(info.fps)))
        total = max(0, last - first)
    if config.max_frames is not None:
        total = config.max_frames if total is None else min(total, config.max_frames)
    return total


def _decode_counts(report: DecodeReport) -> dict[str, int]:
    return {"frames": report.frames, "damaged": report.damaged, "errors": report.errors}
