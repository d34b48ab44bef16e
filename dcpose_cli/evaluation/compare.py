"""Several methods on one video: the same people for all of them, one line of figures for each."""

from __future__ import annotations

import json as json_format
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from .. import errors
from .._scratch import scratch_folder
from .._sets import publish
from ..checkpoints.files import find_weights
from ..config import EstimateConfig
from ..config_checks import require_config
from ..errors import DCPoseError, InputError, UsageError
from ..files import AtomicFile, output_error, require_not_input, sha256_of
from ..outputs import require_outputs
from ..pose.network import resolve_device
from ..results import read_posetrack
from .jitter import jitter
from .poseval import evaluate_videos, require_head_boxes, require_no_result
from .poseval_files import EvalFrame, frames_of, load, read_frames
from .sample_clips import score_frames
from .sample_truth import posetrack_ground_truth, read_truth
from .side_by_side import write_side_by_side

_ERRORS: Final = {
    kind.exit_code: kind
    for kind in (errors.UsageError, errors.InputError, errors.OutputError, errors.WeightsError, errors.DeviceError)
}


@dataclass(frozen=True, slots=True)
class MethodRow:
    """The figures of one method on one video.

    frames_seen: frames the network looks at per person. people: person-frames estimated. found: share of the visible
    joints within half a head size (clips with our kind of truth). ap: PoseTrack AP, 0..100. Both None without labels.
    jitter: see evaluation.jitter; None without tracks. ms: milliseconds of the network per person and frame, cropping
    and decoding of joints included. gmac: per person and frame. memory: peak of a process that runs the method alone,
    MiB; None where the system does not tell. sha256: of the weights file.
    """

    model: str
    kind: str
    frames_seen: int
    people: int
    found: float | None
    ap: float | None
    jitter: float | None
    ms: float | None
    parameters: int
    gmac: float
    memory: float | None
    sha256: str


def compare(
    video: Path,
    models: Sequence[str],
    out: Path | None,
    *,
    truth: Path | None = None,
    config: EstimateConfig | None = None,
    begin: Callable[[str], None] = lambda model: None,
    json: Path | None = None,
) -> list[MethodRow]:
    """Run every model on `video`, each in a process of its own; draw their results beside each other into `out`.

    All see the people that the detector and the tracker found once. models: names as for --model; "NAME:single" is a
    model's single-frame network. truth: the clip's true joints (a sample's JSON, or PoseTrack annotations).
    begin: called with a name before it runs, and with "" before the video is drawn. json: the figures, which are
    published together with the video. Raises DCPoseError.
    """
    settings = config or EstimateConfig()
    outputs = [path for path in (out, json) if path is not None]
    for output in outputs:
        require_not_input(output, [video, *([truth] if truth is not None else [])])
    _require(video, models, out, truth, settings)
    for output in outputs:
        require_not_input(output, [*map(find_weights, models)])
    rows: list[MethodRow] = []
    with scratch_folder() as scratch:
        results = [(model, scratch / f"{number}.json") for number, model in enumerate(models)]
        for model, result in results:
            begin(model)
            figures = _run_process(video, model, result, settings)
            rows.append(_row(model, figures, result, truth))
        if out is not None:
            begin("")
        _write(rows, video, results, out, json, settings)
    return rows


def _write(
    rows: Sequence[MethodRow],
    video: Path,
    results: Sequence[tuple[str, Path]],
    out: Path | None,
    json: Path | None,
    settings: EstimateConfig,
) -> None:
    """The video, the JSON, or both together."""
    if json is None:
        if out is not None:
            write_side_by_side(video, results, out, settings)
        return
    report = {"video": {"name": video.name, "sha256": sha256_of(video)}, "device": settings.device}
    text = json_format.dumps(report | {"methods": [asdict(row) for row in rows]}, indent=1)
    with AtomicFile(json, overwrite=settings.overwrite) as table:
        try:
            table.temp.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise output_error(error, json) from error
        if out is not None:
            write_side_by_side(video, results, out, settings, publish=lambda drawn: publish([drawn, table]))


def _require(
    video: Path, models: Sequence[str], out: Path | None, truth: Path | None, settings: EstimateConfig
) -> None:
    """Check inputs and outputs before the first model runs."""
    require_config(settings)
    if len(models) < 1 or len(set(models)) != len(models):
        raise UsageError("--models must name one model or more, each once, with commas between them")
    for model in models:
        find_weights(model)
    resolve_device(settings.device)
    if out is not None:
        require_outputs(video, out, out.with_suffix(".compare.json"), overwrite=settings.overwrite)
    if truth is not None:
        _truth(truth)
        if settings.start or settings.end is not None or settings.max_frames is not None:
            raise UsageError("--truth is for whole clips", hint="leave out --start, --end and --max-frames")


def _run_process(video: Path, model: str, result: Path, settings: EstimateConfig) -> dict[str, Any]:
    """`compare_worker` in a process of its own, so that memory and time are those of one method. Raises DCPoseError."""
    values = asdict(settings) | {"model": model, "json": None, "overwrite": True}
    job = {"video": str(video), "result": str(result), "people": str(result.parent / "people.npz"), "config": values}
    # -P: the working folder, where anybody's files may lie, is no place to import from.
    command = [sys.executable, "-P", "-m", "dcpose_cli.evaluation.compare_worker"]
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    with ExitStack() as stack:
        worker = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            text=True,
            encoding="utf-8",
        )
        stack.callback(worker.wait)
        stack.callback(worker.kill)  # does nothing to one that has ended
        answer, complaint = worker.communicate(json_format.dumps(job))
    if worker.returncode:
        last = (complaint.strip().splitlines() or [f"it ended with {worker.returncode}"])[-1]
        raise _ERRORS.get(worker.returncode, DCPoseError)(f"{model}: {last}")
    out: dict[str, Any] = json_format.loads(answer.strip().splitlines()[-1])
    return out


def _row(model: str, figures: dict[str, Any], result: Path, truth: Path | None) -> MethodRow:
    frames = read_posetrack(result).in_slots().frames
    found = ap = None
    if truth is not None:
        people, labels = _truth(truth)
        predicted = read_frames(result)
        if len(predicted) != len(labels):
            raise InputError(f"has {len(labels)} frames, the video {len(predicted)}: wrong pair", path=truth)
        ap = evaluate_videos([(labels, predicted)]).table()["Total"]
        found = None if people is None else score_frames(frames, people).value
    shaking = jitter(frames)
    return MethodRow(model=model, found=found, ap=ap, jitter=None if math.isnan(shaking) else shaking, **figures)


def _truth(path: Path) -> tuple[Any, list[EvalFrame]]:
    """The people of a sample's truth (None for other files), and the labels as AP wants them. Raises InputError."""
    try:
        people = read_truth(path)
    except InputError as error:
        try:
            labels = read_frames(path)
        except InputError:
            raise error from None
        require_no_result(load(path), path)
        require_head_boxes(labels, path)
        return None, labels
    return people, frames_of(posetrack_ground_truth(people))
