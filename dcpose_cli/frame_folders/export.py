"""A data set through a pose network: pictures in, the people of the box file estimated, one file per video out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..chunks import chunk_frames
from ..config import EstimateConfig
from ..errors import InputError, OutputError, UsageError
from ..files import output_error, require_free_target, require_writable_folder, shown, write_atomic
from ..pictures import PictureFile
from ..types import Progress, Report
from .boxes import LEAST_SCORE, read_boxes
from .predictions import STYLES, FramePeople, People
from .truth import read_truth_files
from .videos import FrameVideo, find_videos

if TYPE_CHECKING:
    from ..estimator import PoseEstimator


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What was written: files, one per video, and counts. dropped: boxes without an area."""

    files: tuple[Path, ...]
    frames: int
    people: int
    dropped: int
    seconds: float


def export_dataset(
    frames: Path,
    boxes: Path,
    out: Path,
    *,
    to: str = "posetrack17",
    truth: Path | None = None,
    least_score: float = LEAST_SCORE,
    config: EstimateConfig | None = None,
    estimator: PoseEstimator | None = None,
    progress: Report | None = None,
) -> DatasetSummary:
    """Predict the people of a box file in the frames of a data set; one file per video in the folder `out`.

    frames: the folder that the box file's image names are relative to. to: "posetrack17" or "posetrack18". truth: the
    ground truth's file or folder; then results have its file names and its frames, else the names of the frame
    folders. The neighbours of a frame are those `config.interval` frames before and after, or as far as the video
    goes; cuts are not looked for. Raises UsageError, InputError, OutputError, WeightsError or DeviceError.
    """
    started = time.monotonic()
    settings = config or EstimateConfig()
    if to not in STYLES:
        raise UsageError(f"a data set is written as {' or '.join(STYLES)}, not as {to!r:.40}; choose with --format")
    if not 0 <= least_score <= 1:
        raise UsageError(f"the least score of a box must lie between 0 and 1, got {least_score}")
    people = read_boxes(boxes, least_score)
    videos = find_videos(frames, people, read_truth_files(truth) if truth is not None else ())
    targets = [out / video.result for video in videos]
    _require_targets(out, targets, overwrite=settings.overwrite)
    network = estimator or _load(settings)
    slots = network.network.model.header.predicts
    report, total = progress or (lambda state: None), sum(len(video.frames) for video in videos)
    done = found = 0
    report(Progress(0, total, 0))
    for video, target in zip(videos, targets, strict=True):
        poses: People = {}
        for position, guessed in _estimate(network, video, settings.interval):
            poses[position] = guessed
            found += len(guessed.scores)
            report(Progress(done + position + 1, total, len(guessed.scores)))
        done += len(video.frames)
        text = json.dumps(STYLES[to](video, poses, slots), separators=(",", ":"), allow_nan=False)
        write_atomic(target, text + "\n", overwrite=settings.overwrite)
        report(Progress(done, total, 0))
    return DatasetSummary(tuple(targets), done, found, people.dropped, time.monotonic() - started)


def _require_targets(out: Path, targets: Sequence[Path], *, overwrite: bool) -> None:
    """Raises OutputError before a model is loaded."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"output {shown(out)} is a file: name a folder, it gets one file per video")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, out) from error
    require_writable_folder(out)
    for target in targets:
        require_free_target(target, overwrite=overwrite)


def _load(settings: EstimateConfig) -> PoseEstimator:
    from ..estimator import PoseEstimator  # late, so that looking at inputs and outputs does not load torch

    return PoseEstimator.from_config(settings)


def _estimate(estimator: PoseEstimator, video: FrameVideo, interval: int) -> Iterator[tuple[int, FramePeople]]:
    """Positions of the frames with people, in order, each with its people."""
    wanted = [p for p, frame in enumerate(video.frames) if frame.boxes is not None and len(frame.boxes.scores)]
    last = len(video.frames) - 1
    pictures: dict[int, NDArray[np.uint8]] = {}
    while wanted:
        first = _picture(video, wanted[0], pictures)
        size = chunk_frames(first.shape[1], first.shape[0])
        chunk, wanted = wanted[:size], wanted[size:]
        windows = [(max(p - interval, 0), p, min(p + interval, last)) for p in chunk]
        needed = sorted({position for window in windows for position in window})
        frames = [_picture(video, position, pictures) for position in needed]
        if any(frame.shape != first.shape for frame in frames):
            raise InputError(f"the frames of {shown(video.frames[chunk[0]].path.parent)} differ in size")
        yield from _poses(estimator, video, chunk, windows, {p: k for k, p in enumerate(needed)}, frames)
        pictures = {p: picture for p, picture in pictures.items() if wanted and p >= wanted[0] - interval}


def _poses(
    estimator: PoseEstimator,
    video: FrameVideo,
    chunk: Sequence[int],
    windows: Sequence[tuple[int, int, int]],
    place: dict[int, int],
    frames: Sequence[NDArray[np.uint8]],
) -> Iterator[tuple[int, FramePeople]]:
    boxes = [found for position in chunk if (found := video.frames[position].boxes) is not None]
    counts = [len(found.scores) for found in boxes]
    rows = np.array([[place[position] for position in window] for window in windows], np.int64)
    # At the ends of a video the missing neighbour is the frame itself, with margin 1 (SPEC 6.4).
    margins = np.array([(max(1, c - p), max(1, n - c)) for p, c, n in windows], np.int64)
    keypoints = estimator.network.poses(
        frames,
        np.repeat(rows, counts, axis=0),
        np.concatenate([found.boxes for found in boxes]),
        np.repeat(margins, counts, axis=0),
    )
    start = 0
    for position, found, count in zip(chunk, boxes, counts, strict=True):
        yield position, FramePeople(found.boxes, found.scores, keypoints[start : start + count])
        start += count


def _picture(video: FrameVideo, position: int, read: dict[int, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB; `read` remembers."""
    if position not in read:
        read[position] = PictureFile(video.frames[position].path).decode()
    return read[position]
