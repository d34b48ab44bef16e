"""What smoothing does to jitter, lag and accuracy on the labelled sample clips.

    python benchmarks/smoothing.py                       # runs the network over sample_videos/*.mp4
    python benchmarks/smoothing.py --results DIR         # takes DIR/<clip>.json, made by dcpose before

Predictions are assigned to true people frame by frame as in benchmarks/accuracy.py. For every method it prints

* jitter: root mean square of predicted minus true second differences, in pixels per frame^2, over the joints that
  are in the picture (hidden ones too) in three successive frames in which the same track is assigned to the person;
* lag: the shift of the truth in time, in frames, that fits the predictions best (least squares over joints within half
  a head size, with linear interpolation, steps of 0.05 frame), minus that of the unsmoothed predictions;
* accuracy: visible joints within half a head size, and the median error in head sizes.

The constants in dcpose_cli/smooth.py were chosen with this command on these clips (three short clips, and the only
ones whose true motion is known): its figures say that the aims are reached, not how other videos fare.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import dcpose_cli
from dcpose_cli.evaluation.sample_clips import match_people, score_frames
from dcpose_cli.evaluation.sample_truth import TruePerson, read_truth
from dcpose_cli.smooth import METHODS, smooth_results
from dcpose_cli.types import FrameResult

Truth = list[list[TruePerson]]
#: Shifts tried for the lag, in frames.
SHIFTS = np.arange(-2.0, 2.001, 0.05)
WITHIN = 0.5  # of a head size


@dataclass(frozen=True, slots=True)
class Series:
    """One true person with the predictions assigned to it.

    true, predicted: (F, 17, 3), pixels with visibility, and with confidence (0: not predicted); track: (F,) id of the
    assigned track, -1 for none; head: (F,) head size in pixels, NaN without one.
    """

    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    track: NDArray[np.int64]
    head: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one method over all clips. jitter: pixels per frame^2; lag: frames; error: median, head sizes."""

    jitter: float
    lag: float
    hits: int
    joints: int
    error: float


def assign(frames: Sequence[FrameResult], truth: Truth) -> list[list[tuple[int, int]]]:
    """Per frame the (prediction, person) pairs; made once, from the unsmoothed predictions."""
    found = {frame.index: frame.people for frame in frames}
    return [match_people(found.get(index, ()), people) for index, people in enumerate(truth)]


def series(frames: Sequence[FrameResult], truth: Truth, pairs: Sequence[Sequence[tuple[int, int]]]) -> list[Series]:
    """Every true person's motion, and that of the predictions assigned to it."""
    found = {frame.index: frame.people for frame in frames}
    ids = sorted({person.track_id for people in truth for person in people})
    count = len(truth)
    result = {
        i: Series(np.zeros((count, 17, 3)), np.zeros((count, 17, 3)), np.full(count, -1), np.full(count, np.nan))
        for i in ids
    }
    for index, people in enumerate(truth):
        for person in people:
            one = result[person.track_id]
            one.true[index], one.head[index] = person.keypoints, person.head_size
        for row, column in pairs[index]:
            one, guess = result[people[column].track_id], found[index][row]
            one.predicted[index], one.track[index] = guess.keypoints, guess.track_id
    return list(result.values())


def second_differences(one: Series) -> NDArray[np.float64]:
    """(N, 2) predicted minus true second differences of joints seen by one track in three frames in a row."""
    seen = (one.track[:, None] >= 0) & (one.true[..., 2] > 0) & (one.predicted[..., 2] > 0)
    same = (one.track[1:-1] == one.track[:-2]) & (one.track[1:-1] == one.track[2:])
    usable = seen[:-2] & seen[1:-1] & seen[2:] & same[:, None]
    error = one.predicted[..., :2] - one.true[..., :2]
    return np.asarray((error[2:] - 2 * error[1:-1] + error[:-2])[usable])


def shift_errors(one: Series) -> tuple[NDArray[np.float64], int]:
    """Squared error of the predictions against the truth shifted by each of SHIFTS, and the number of joints."""
    total, count = np.zeros(len(SHIFTS)), 0
    margin = int(np.ceil(np.abs(SHIFTS).max()))
    for joint in range(17):
        for t in range(margin, len(one.track) - margin):
            around = one.true[t - margin : t + margin + 1, joint]
            if one.predicted[t, joint, 2] <= 0 or (around[:, 2] <= 0).any():
                continue
            offset = one.predicted[t, joint, :2] - one.true[t, joint, :2]
            if not np.hypot(*offset) <= WITHIN * one.head[t]:
                continue
            places = np.arange(-margin, margin + 1)
            moved = np.stack([np.interp(-SHIFTS, places, around[:, axis]) for axis in (0, 1)], axis=1)
            total += ((one.predicted[t, joint, :2] - moved) ** 2).sum(axis=1)
            count += 1
    return total, count


def errors(one: Series) -> NDArray[np.float64]:
    """Distances of the visible joints of assigned people, in head sizes."""
    visible = (one.true[..., 2] == 2) & (one.predicted[..., 2] > 0) & np.isfinite(one.head)[:, None]
    distance = np.hypot(*np.moveaxis(one.predicted[..., :2] - one.true[..., :2], -1, 0)) / one.head[:, None]
    return np.asarray(distance[visible])


def measure(clips: Sequence[tuple[list[FrameResult], Truth]], method: str) -> Figures:
    """The figures of one method over all clips."""
    differences, distances = [], []
    shifts, hits, joints = np.zeros(len(SHIFTS)), 0, 0
    for frames, truth in clips:
        pairs = assign(frames, truth)
        smoothed = list(smooth_results(frames, method))
        score = score_frames(smoothed, truth)
        hits, joints = hits + score.hits, joints + score.joints
        for one in series(smoothed, truth, pairs):
            differences.append(second_differences(one))
            distances.append(errors(one))
            shifts = shifts + shift_errors(one)[0]
    jitter = float(np.sqrt((np.concatenate(differences) ** 2).sum(axis=1).mean()))
    lag = float(SHIFTS[int(shifts.argmin())])
    return Figures(jitter, lag, hits, joints, float(np.median(np.concatenate(distances))))


def read_clips(samples: Path, results: Path) -> list[tuple[list[FrameResult], Truth]]:
    """Results of dcpose with the truth beside the clips."""
    found = []
    for clip in sorted(samples.glob("*.mp4")):
        truth = clip.with_suffix(".json")
        if truth.is_file():
            found.append((list(dcpose_cli.read_posetrack(results / truth.name).frames), read_truth(truth)))
    if not found:
        raise SystemExit(f"{samples} holds no clip with its JSON: run from the repository's root or pass --samples")
    return found


def run_clips(samples: Path, model: str, folder: Path) -> None:
    """The network over every clip."""
    estimator = dcpose_cli.PoseEstimator(model)
    for clip in sorted(samples.glob("*.mp4")):
        dcpose_cli.export_json(clip, folder / f"{clip.stem}.json", estimator=estimator)


def as_text(figures: dict[str, Figures]) -> str:
    lines = ["method      jitter  change   lag  within half a head      median error"]
    raw = figures["none"]
    for method, one in figures.items():
        lines.append(
            f"{method:10} {one.jitter:7.2f} {one.jitter / raw.jitter - 1:+7.1%} {one.lag - raw.lag:+5.2f}"
            f"  {one.hits / one.joints:.4f} ({one.hits} of {one.joints})  {one.error:.4f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Jitter, lag and accuracy with and without smoothing.")
    parser.add_argument("--samples", type=Path, default=Path("sample_videos"), help="folder of clips and their truth")
    parser.add_argument("--results", type=Path, help="folder of results made before; else the network runs")
    parser.add_argument("--model", default="auto")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        if options.results is None:
            run_clips(options.samples, options.model, Path(scratch))
        clips = read_clips(options.samples, options.results or Path(scratch))
    print(as_text({method: measure(clips, method) for method in METHODS}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
