"""Joints of given boxes in folders of frames: one prediction file per video."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..chunks import chunk_frames
from ..config import EstimateConfig
from ..errors import InputError, OutputError, UsageError
from ..files import output_error, require_free_target, require_not_input, require_writable_folder, write_atomic
from ..pictures import PictureFile
from ..skeleton import NUM_JOINTS
from ..types import Frame, Progress, Report, Window
from ..window import window_at
from .boxes import LEAST_SCORE, ScoredBoxes, read_boxes
from .predictions import STYLES, FramePeople, People
from .truth import names_by_id, read_truth_files
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
    goes; scene cuts are not detected. Raises UsageError, InputError, OutputError, WeightsError or DeviceError.
    """
    from ..config_checks import require_config  # late: it loads the video library

    started = time.monotonic()
    settings = config or EstimateConfig()
    require_config(settings)
    if to not in STYLES:
        raise UsageError(
            f"a data set is written as {' or '.join(STYLES)}, not as {to!r:.40}", hint="choose with --format"
        )
    if not 0 <= least_score <= 1:
        raise UsageError(f"the least score of a box must lie between 0 and 1, got {least_score}")
    truths = read_truth_files(truth) if truth is not None else []
    people = read_boxes(boxes, least_score, names=names_by_id(truths) if truths else None)
    videos = find_videos(frames, people, truths)
    targets = [out / video.result for video in videos]
    for target in targets:
        require_not_input(target, [boxes, *(file.path for file in truths)])
    _require_targets(out, targets, overwrite=settings.overwrite)
    estimator = estimator or _load(settings)
    slots = estimator.network.model.header.predicts
    report, total = progress or (lambda state: None), sum(len(video.frames) for video in videos)
    done = found = 0
    report(Progress(0, total, 0))
    for video, target in zip(videos, targets, strict=True):
        poses: People = {}
        for position, estimated in _estimate(estimator, video, settings.interval):
            poses[position] = estimated
            found += len(estimated.scores)
            report(Progress(done + position + 1, total, len(estimated.scores)))
        done += len(video.frames)
        text = json.dumps(STYLES[to](video, poses, slots), separators=(",", ":"), allow_nan=False)
        write_atomic(target, text + "\n", overwrite=settings.overwrite)
        report(Progress(done, total, 0))
    return DatasetSummary(tuple(targets), done, found, people.dropped, time.monotonic() - started)


def _require_targets(out: Path, targets: Sequence[Path], *, overwrite: bool) -> None:
    """Raises OutputError before a model is loaded."""
    if out.exists() and not out.is_dir():
        raise OutputError("a file", path=out, hint="name a folder, it gets one file per video")
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
    from ..stages import keypoints_of  # late: it loads torch

    for chunk in _chunks(video, interval, estimator.network.reach):
        people = [_boxes_of(video, window) for window in chunk]
        joints = keypoints_of(chunk, [found.boxes for found in people], estimator.network)
        for window, found, keypoints in zip(chunk, people, joints, strict=True):
            yield window.current.index, FramePeople(found.boxes, found.scores, keypoints[:, :NUM_JOINTS])


def _chunks(video: FrameVideo, interval: int, reach: int) -> Iterator[list[Window]]:
    """The windows around the frames with people, as many at a time as go through the network together.

    Only frames that lie in such a window are read.
    """
    read: dict[int, Frame] = {}

    def frame_at(position: int) -> Frame:
        if position not in read:
            read[position] = Frame(
                position, position, float(position), PictureFile(video.frames[position].path).decode()
            )
        return read[position]

    wanted = [p for p, frame in enumerate(video.frames) if frame.boxes is not None and len(frame.boxes.scores)]
    last = len(video.frames) - 1
    while wanted:
        first = frame_at(wanted[0]).image
        size = chunk_frames(first.shape[1], first.shape[0])
        chunk = [window_at(frame_at, p, (p, last - p), interval, reach) for p in wanted[:size]]
        if any(frame.image.shape != first.shape for window in chunk for frame in window.frames):
            raise InputError("the frames differ in size", path=video.frames[wanted[0]].path.parent)
        yield chunk
        wanted = wanted[size:]
        for position in [p for p in read if not wanted or p < wanted[0] - interval * reach]:
            del read[position]


def _boxes_of(video: FrameVideo, window: Window) -> ScoredBoxes:
    boxes = video.frames[window.current.index].boxes
    assert boxes is not None  # windows are made around frames with boxes only
    return boxes
