"""Bodies of estimate and export."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from ..config import PIXELS, EstimateConfig, Measures
from ..errors import EXIT_BATCH, EXIT_DAMAGED, EXIT_OK, DCPoseError, UsageError
from ..files import printable, short_name
from ..types import EstimateSummary
from .console import finish_on_interrupt, progress_display, show_traceback
from .terminal import message, say

T = TypeVar("T")
#: Longest part of an input's name that its default output keeps, in bytes.
_MAX_STEM_BYTES = 240

_Pair = tuple[str, Path]


def estimate_videos(inputs: list[str], out: Path | None, config: EstimateConfig, *, dry_run: bool, quiet: bool) -> int:
    """One video into a file, or several into a folder. Returns the exit code."""
    pairs = _pairs(inputs, out, config)
    # All inputs and outputs are looked at first: a typing error must not cost the loading of a model.
    good = _each(pairs, lambda pair: _check(*pair, config), alone=len(pairs) == 1)
    codes: list[int] = []
    if dry_run:
        from ..outputs import output_paths

        _require_models(config)
        for source, target in good:
            _, json = output_paths(target, config.json)
            message(f"{printable(source)} -> {printable(target)}, {printable(json)}")
    elif good:
        from ..estimator import PoseEstimator
        from ..pipeline import estimate
        from ..video.live import StopRequest

        estimator = PoseEstimator.from_config(config).load()

        def run(pair: _Pair) -> None:
            stop = StopRequest()
            with progress_display(Path(pair[0]).name, quiet=quiet) as progress, finish_on_interrupt(stop):
                summary = estimate(*pair, config=config, estimator=estimator, progress=progress, stop=stop)
            codes.append(report_summary(summary, quiet=quiet))

        good = _each(good, run, alone=len(pairs) == 1)
    return EXIT_BATCH if len(good) < len(pairs) else max(codes, default=EXIT_OK)


def _require_models(config: EstimateConfig) -> None:
    """Raises WeightsError for a pose model that is not there, UsageError for one that is named twice; nothing is
    loaded."""
    from ..checkpoints.files import find_models

    find_models(config.model, config.further_models)


def export_one(
    video: str, out: Path, config: EstimateConfig, *, to: str, measures: Measures = PIXELS, quiet: bool
) -> int:
    """A result in a file format, without rendering. Returns the exit code."""
    from ..export.formats import require_measures, require_target
    from ..pipeline import export_json
    from ..segments import is_unfinished
    from ..video.live import StopRequest

    require_measures(to, measures)
    overwrite = config.overwrite or (to == "posetrack18" and is_unfinished(out, config))
    require_target(out, to, overwrite=overwrite)  # a wrong format is found before the video is looked at
    _look_at(video, config)
    require_target(out, to, overwrite=overwrite, source=Path(video))
    stop = StopRequest()
    with progress_display(Path(video).name, quiet=quiet) as progress, finish_on_interrupt(stop):
        summary = export_json(video, out, to=to, measures=measures, config=config, progress=progress, stop=stop)
    return report_summary(summary, quiet=quiet)


def export_lines(video: str, config: EstimateConfig, *, to: str) -> int:
    """JSON lines on stdout while the video is analysed. Returns the exit code."""
    from ..export.jsonl import line_of
    from ..streaming import stream
    from ..video.live import StopRequest

    if to != "jsonl":
        raise UsageError(f"only the format jsonl goes to stdout, not {printable(to)}", hint="name a file with --out")
    _look_at(video, config)
    stop = StopRequest()
    with finish_on_interrupt(stop):
        for frame in stream(video, config=config, stop=stop):
            say(line_of(frame))
    return EXIT_OK


def _each(items: Iterable[T], work: Callable[[T], None], *, alone: bool) -> list[T]:
    """`work` on each item; those it failed on are reported and left out. The error of one that is alone is raised."""
    good = []
    for item in items:
        try:
            work(item)
        except DCPoseError as error:
            if alone:
                raise
            report_error(error)
        else:
            good.append(item)
    return good


def _pairs(inputs: list[str], out: Path | None, config: EstimateConfig) -> list[_Pair]:
    """Inputs with the videos they become; a single one may name its file, several share a folder."""
    folder = os.path.isdir(out) if out is not None else False  # noqa: PTH112 - Path's raises for a name too long
    if len(inputs) == 1 and out is not None and not folder and out.suffix:
        return [(inputs[0], out)]
    if len(inputs) > 1 and config.json is not None:
        raise UsageError("--json names one file, but there are several inputs", hint="leave it out")
    if len(inputs) > 1 and out is not None and not folder and out.suffix:
        hint = "put a pattern of pictures in quotation marks" if _are_pictures(inputs) else "name a folder with --out"
        raise UsageError("this is one file, but there are several inputs", path=out, hint=hint)
    pairs = [(source, (out or Path()) / _default_name(source)) for source in inputs]
    if len({target for _, target in pairs}) != len(pairs):
        raise UsageError("two inputs have the same name", hint="run them one by one with --out, or use dcpose batch")
    return pairs


def _are_pictures(inputs: list[str]) -> bool:
    from ..sequences import is_picture_name

    return all(is_picture_name(Path(source)) for source in inputs)


def _default_name(source: str) -> str:
    from ..video.source import is_live

    path = Path(source)
    if is_live(source):
        stem = "live"
    elif path.exists():
        stem = path.stem if path.is_file() else path.resolve().name
    else:  # a pattern of pictures is named by their folder
        stem = path.parent.resolve().name if set(path.name) & set("%*?[") else path.stem
    return f"{short_name(stem, _MAX_STEM_BYTES)}_pose.mp4"


def _check(source: str, target: Path, config: EstimateConfig) -> None:
    """Check input and outputs without loading torch."""
    from ..outputs import output_paths, require_outputs
    from ..segments import is_unfinished

    _look_at(source, config)
    video, json = output_paths(target, config.json)
    require_outputs(Path(source), video, json, overwrite=config.overwrite or is_unfinished(json, config))


def _look_at(source: str, config: EstimateConfig) -> None:
    """Check an input. A live source is not opened before it is used: it may accept one connection only."""
    from ..video.opening import describe_input
    from ..video.source import is_live

    if not (config.allow_network and is_live(source)):
        describe_input(source, allow_network=config.allow_network)


def report_error(error: DCPoseError) -> None:
    show_traceback(error)
    message(f"dcpose: {error}")


def report_summary(summary: EstimateSummary, *, quiet: bool) -> int:
    """Warnings, and what was written; the exit code of a finished run."""
    report = summary.decode
    for warning in summary.warnings:
        message(f"dcpose: warning: {warning}")
    if report.errors or report.damaged:
        message(
            f"dcpose: warning: {printable(summary.source)} is damaged: {report.errors} frames lost, "
            f"{report.damaged} of {report.frames} frames flagged"
        )
    if not summary.tracks and not summary.left_out:
        message(
            f"dcpose: warning: nobody was found in {printable(summary.source)}; "
            "try --conf 0.1, or another detector, such as --detector yolov8n.pt (downloaded once)"
        )
    if not quiet:
        written = named([p for p in (summary.video, summary.json, *summary.exports) if p])
        rate = summary.frames / summary.seconds if summary.seconds else 0.0
        by = f", decoded by {summary.hwaccel}" if summary.hwaccel else ""
        message(f"{written}: {_count(summary)} ({summary.seconds:.1f} s, {rate:.1f} frames/s{by}){_converted(summary)}")
    return EXIT_DAMAGED if summary.damaged else EXIT_OK


def _converted(summary: EstimateSummary) -> str:
    """What was done to the pictures."""
    said = ""
    if "tone_mapped" in summary.conversions:
        said += f"; HDR ({summary.conversions['tone_mapped']}) was tone-mapped"
    if "deinterlaced" in summary.conversions:
        count = summary.conversions["deinterlaced"]
        said += f"; {count} interlaced {'frame was' if count == 1 else 'frames were'} deinterlaced"
    return said


def named(paths: list[Path]) -> str:
    """What was written: up to three files by their names, of more the first one and their number."""
    if len(paths) > 3:
        return f"{printable(paths[0])} and {len(paths) - 1} more files"
    *before, last = map(printable, paths)
    return f"{', '.join(before)} and {last}" if before else last


def _count(summary: EstimateSummary) -> str:
    frames = "1 frame" if summary.frames == 1 else f"{summary.frames} frames"
    if summary.dropped or summary.delay:
        frames += f" ({summary.dropped} dropped, up to {summary.delay:.1f} s late)"
    return f"{frames}, {'1 track' if summary.tracks == 1 else f'{summary.tracks} tracks'}"
