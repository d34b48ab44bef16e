"""A video in, an annotated video and PoseTrack JSON out: decoding runs ahead of the network, encoding behind it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import __version__
from ._threads import ReadAhead, WriteBehind
from .config import EstimateConfig
from .devices import require_one_device
from .errors import DeviceError, OutputError, UsageError
from .export.formats import Options as ExportOptions
from .export.formats import require_target, write_result
from .export.posetrack import PoseTrackWriter, read_posetrack
from .files import (
    output_error,
    remove_leftovers,
    require_free_target,
    require_not_input,
    require_writable_folder,
    sha256_of,
    shown,
    temporary_name,
)
from .manifest import model_and_detector
from .render import draw_people
from .segments import SegmentFolder, segments_folder
from .smooth import require_method, smooth
from .types import DecodeReport, EstimateSummary, Frame, FrameResult, VideoInfo
from .video.hwaccel import AUTO, NONE, Choice, require_hwaccel
from .video.live import LiveReader, StopRequest
from .video.reader import VideoReader
from .video.source import is_address, is_live
from .video.writer import FORMATS, VideoWriter

if TYPE_CHECKING:
    from .estimator import PoseEstimator

#: Frames decoded ahead of the network and waiting behind it to be drawn and encoded.
QUEUE_FRAMES: Final = 8
_LIBRARIES: Final = ("av", "numpy", "opencv-python", "torch", "torchvision", "ultralytics")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. total: frames expected, None when the file does not say. people: in the last frame.

    The first report has frames 0: everything is loaded, and the run begins.
    """

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
    stop: StopRequest | None = None,
    **options: Any,
) -> EstimateSummary:
    """Estimate the poses of a video; write the annotated video to `out` and PoseTrack JSON beside it.

    out: .mp4, .mov or .mkv; None writes only the JSON, to `config.json`. config: settings; `options` replace single
    ones of it (`device="cpu"`). estimator: a loaded one, to be shared by several videos. progress: called per frame.
    stop: ends a live source; what came in until then is finished and kept.
    Raises UsageError, InputError, OutputError, WeightsError or DeviceError; then no output is left. A run that dies
    leaves finished parts beside the output, from which one with `resume` goes on (segments.py).
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
    people = estimator
    if settings.allow_network and is_live(path):
        require_outputs(source, video, target, overwrite=settings.overwrite)
        people = people or _load(settings).load()  # what comes while a model is loaded would be lost
    with ExitStack() as stack:
        reader = _open(path, settings, stop)
        stack.enter_context(closing(reader))
        settings = replace(settings, overwrite=settings.overwrite or is_unfinished(target, settings))
        require_outputs(source, video, target, overwrite=settings.overwrite)
        people = people or _load(settings)
        decoded_by = reader.decoded_by if isinstance(reader, VideoReader) else Choice(reason="it is live")
        header = result_header(source, reader.info, people, settings, hwaccel=decoded_by.device)
        segments = stack.enter_context(_kept_segments(target, video, header, people, settings))
        run = _Run(reader, people, settings, progress, segments)
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
        people: PoseEstimator,
        settings: EstimateConfig,
        progress: Report | None,
        segments: SegmentFolder | None,
    ) -> None:
        self._reader, self._estimator, self._settings, self._progress = reader, people, settings, progress
        self._segments = segments
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

        with output, WriteBehind(draw, QUEUE_FRAMES) as behind, closing(self._each(json)) as pairs:
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
        source = ReadAhead(self._reader, QUEUE_FRAMES) if live is None else nullcontext(live)
        size = {} if live is None else {"together": 1}
        with source as frames:
            analysis = self._estimator.analyse(
                frames, fps=info.fps, pixel_aspect=aspect, segments=self._segments, **size
            )
            for frame, result in analysis:
                json.write(result)
                yield frame, result
                self.delay = max(self.delay, live.age(frame) if live else 0.0)
                self.frames += 1
                self.people += len(result.people)
                self.tracks.update(person.track_id for person in result.people)
                report(Progress(self.frames, total, len(result.people)))


def segment_key(header: Mapping[str, Any], people: PoseEstimator) -> dict[str, Any]:
    """What parts of a result are made of: its header, and what moves numbers by a rounding."""
    return {**header, "batch": people.network.batch}


def is_unfinished(json: Path, settings: EstimateConfig) -> bool:
    """Whether an output without its JSON was left by a run that is being resumed, and may be replaced."""
    return settings.resume is not False and segments_folder(json).is_dir() and not json.exists()


@contextmanager
def _kept_segments(
    json: Path, video: Path | None, header: Mapping[str, Any], people: PoseEstimator, settings: EstimateConfig
) -> Iterator[SegmentFolder | None]:
    """Where the parts of this result are kept while it is made; None where the input has no fingerprint.

    They go when the result is there. When a run is stopped or fails they stay with `resume`, with None only if it was
    stopped or its device failed, and go otherwise; sudden death leaves them.
    Raises OutputError when another process makes this result, UsageError when `resume` finds parts of something else.
    """
    if header["input"]["sha256"] is None:
        yield None
        return
    segments = SegmentFolder(segments_folder(json), segment_key(header, people))
    if not segments.lock():
        raise OutputError(f"{shown(json)} is being made by another run; wait for it or choose another output")
    try:
        if settings.resume:
            segments.require_same()
        if settings.resume is False or not segments.is_same():
            segments.clear()
        if settings.resume is not False:
            for output in filter(None, (json, video)):
                remove_leftovers(output)
        yield segments
    except BaseException as error:
        stopped = not isinstance(error, Exception) or isinstance(error, DeviceError)
        if settings.resume or (settings.resume is None and stopped):
            segments.release()
        else:
            segments.remove()
        raise
    segments.remove()


def _open(path: str | PathLike[str], settings: EstimateConfig, stop: StopRequest | None) -> VideoReader | LiveReader:
    """A file is read frame by frame; of a camera or stream, the newest frames count."""
    part: dict[str, Any] = {"start": settings.start, "end": settings.end, "max_frames": settings.max_frames}
    if settings.allow_network and is_live(path):
        return LiveReader(path, stop=stop, **part)
    kind, _, number = settings.device.partition(":")
    gpu = int(number) if kind == "cuda" and number.isdecimal() else None  # decoding belongs on the GPU of the networks
    reader = VideoReader(path, allow_network=settings.allow_network, hwaccel=settings.hwaccel, gpu=gpu, **part)
    if is_address(path) and reader.info.duration is None:
        return LiveReader(path, stop=stop, **part)
    return reader


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
    """Everything that can be wrong with the outputs, before a model is loaded. Raises UsageError or OutputError."""
    if video is not None and video.suffix.lower() not in FORMATS and not video.is_dir():
        raise UsageError(f"output {shown(video)} must end in {', '.join(FORMATS)}: choose one of them")
    if json.suffix.lower() != ".json" and not json.is_dir():
        raise UsageError(f"{shown(json)} must end in .json; that is the format it gets")
    for output in [json] if video is None else [video, json]:
        try:
            require_not_input(output, [source])
            require_free_target(output, overwrite=overwrite)
            require_writable_folder(output.parent)
        except OSError as error:  # a name too long, say
            raise output_error(error, output) from error


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


def result_header(
    source: Path, info: VideoInfo, people: PoseEstimator, settings: EstimateConfig, *, hwaccel: str | None = None
) -> dict[str, Any]:
    """What made the result (dcpose_cli.export.posetrack documents it); no clock, host or path.

    hwaccel: the hardware that decodes; nothing is said of software.
    """
    model, detector = people.network.model, people.detector
    # An address may hold a password: only what kind of source it was is written down.
    name = f"{str(source).partition(':')[0]} stream" if is_address(source) or is_live(source) else source.name
    return {
        "dcpose": __version__,
        "input": {"name": name, "sha256": sha256_of(source) if source.is_file() else None},
        "model": {"name": model.header.name, "sha256": model.sha256},
        "detector": {"name": detector.name, "sha256": detector.sha256},
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "fps": None if info.fps is None else f"{info.fps.numerator}/{info.fps.denominator}",
        "time_base": f"{info.time_base.numerator}/{info.time_base.denominator}",
        "width": info.width,
        "height": info.height,
        "settings": _settings(people, settings) | ({} if hwaccel is None else {"hwaccel": hwaccel}),
        "video": None,
    }


def _settings(people: PoseEstimator, settings: EstimateConfig) -> dict[str, Any]:
    return {
        "conf": people.conf,
        "interval": people.interval,
        "box_scale": people.network.box_scale,
        "share_crops": people.share_crops,
        "detect_every": people.detect_every,
        "device": people.device.type,
        "precision": str(people.network.precision).removeprefix("torch."),
        "start": settings.start,
        "end": settings.end,
        "max_frames": settings.max_frames,
    }


def made_by(people: PoseEstimator, settings: EstimateConfig) -> dict[str, Any]:
    """What decides the joints of a result: the settings, and the hashes of `model` and `detector`."""
    model, detector = people.network.model, people.detector
    models = {
        "model": {"name": model.header.name, "sha256": model.sha256},
        "detector": {"name": detector.name, "sha256": detector.sha256},
    }
    return model_and_detector({"settings": _settings(people, settings), **models})


def _version(package: str) -> str | None:
    """None for one that came another way than pip: a distribution's OpenCV, say."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _decode_counts(report: DecodeReport) -> dict[str, int]:
    return {"frames": report.frames, "damaged": report.damaged, "errors": report.errors}
