"""What --share-crops and --detect-every save and what they change, against the exact mode, in one run.

    python benchmarks/modes.py sample_videos/*.mp4 clip.mp4 --json modes.json

Per clip and mode: crops through the backbone per person and frame (the exact mode: 3), and how far joints lie from
those of the exact mode, in percent of the diagonal of the person's box: joints that score 0.3 in both, people with the
same id or else the most overlap. Clips with their truth beside them (sample_videos): the share of visible joints
within half a head size.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import circumstances
from numpy.typing import NDArray

import dcpose_cli
from dcpose_cli.evaluation.sample_clips import score_clip
from dcpose_cli.files import sha256_of, write_atomic
from dcpose_cli.people.boxes import iou
from dcpose_cli.results import read_posetrack
from dcpose_cli.types import FrameResult, Person

EXACT = "exact"
MODES: dict[str, dict[str, Any]] = {
    EXACT: {"share_crops": False},
    "--share-crops": {"share_crops": True},
    "--share-crops --detect-every 5": {"share_crops": True, "detect_every": 5},
}
SURE = 0.3
#: People of two results are the same from this overlap of their boxes on.
SAME_IOU = 0.5

#: (clip, settings of the mode, JSON to write) -> crops through the backbone.
Run = Callable[[Path, dict[str, Any], Path], int]


def main(arguments: Sequence[str] | None = None, *, run: Run | None = None) -> int:
    """run: a stand-in for the real one (tests)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--detector", default="person-n")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="write the figures here too; an existing file is replaced")
    options = parser.parse_args(arguments)
    for clip in options.clips:
        if not clip.is_file():
            parser.error(f"{clip} is not there")
    report = {**circumstances(options.device), "model": options.model, "detector": options.detector}
    run = run or runner(options)
    report["clips"] = {clip.name: measure(clip, run) for clip in options.clips}
    print(as_text(report))
    if options.json is not None:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    return 0


def runner(options: argparse.Namespace) -> Run:
    def run(clip: Path, settings: dict[str, Any], target: Path) -> int:
        people = dcpose_cli.PoseEstimator(options.model, options.device, detector=options.detector, **settings)
        dcpose_cli.export_json(clip, target, estimator=people)
        return people.network.encoded

    return run


def measure(clip: Path, run: Run) -> dict[str, Any]:
    """Figures of every mode on one clip."""
    truth = clip.with_suffix(".json")
    out: dict[str, Any] = {"sha256": sha256_of(clip), "modes": {}}
    exact: Sequence[FrameResult] = ()
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in MODES.items():
            target = Path(folder) / f"{len(out['modes'])}.json"
            crops = run(clip, settings, target)
            frames = read_posetrack(target).frames
            people = sum(len(frame.people) for frame in frames)
            figures: dict[str, Any] = {"frames": len(frames), "people": people, "crops": crops / max(people, 1)}
            if name != EXACT:
                moved = differences(exact, frames)
                figures |= {f"{q} %": float(np.percentile(moved, q)) if len(moved) else None for q in (50, 95)}
            else:
                exact = frames
            if truth.is_file():
                figures["accuracy"] = score_clip(target, truth).value
            out["modes"][name] = figures
    return out


def differences(one: Sequence[FrameResult], other: Sequence[FrameResult]) -> NDArray[np.float64]:
    """Distances of joints both are sure of, in percent of the box's diagonal."""
    moved = [np.zeros(0)]
    for mine, theirs in zip(one, other, strict=True):
        for person, same in pairs(mine.people, theirs.people):
            sure = np.minimum(person.keypoints[:, 2], same.keypoints[:, 2]) >= SURE
            apart = np.linalg.norm(person.keypoints[sure, :2] - same.keypoints[sure, :2], axis=1)
            moved.append(100 * apart / np.hypot(*person.bbox[2:]))
    return np.concatenate(moved)


def pairs(mine: Sequence[Person], theirs: Sequence[Person]) -> Iterator[tuple[Person, Person]]:
    for person in mine if theirs else ():
        overlap = iou(person.bbox, np.stack([other.bbox for other in theirs]))
        best = max(range(len(theirs)), key=lambda n: (theirs[n].track_id == person.track_id, overlap[n]))
        if overlap[best] >= SAME_IOU:
            yield person, theirs[best]


def as_text(report: dict[str, Any]) -> str:
    lines = [f"{report['date']}, {report['machine']}, {report['model']}, {report['detector']}"]
    lines += ["", f"{'':42} {'crops':>6} {'median':>8} {'95 %':>8} {'accuracy':>9}"]
    for clip, figures in report["clips"].items():
        lines.append(f"{clip}: {figures['modes']['exact']['frames']} frames")
        for name, row in figures["modes"].items():
            cells = [f"{row['crops']:6.2f}"]
            cells += [f"{row[key]:6.2f} %" if row.get(key) is not None else " " * 8 for key in ("50 %", "95 %")]
            cells.append(f"{row['accuracy']:9.3f}" if "accuracy" in row else "")
            lines.append(f"  {name:40} {' '.join(cells)}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
