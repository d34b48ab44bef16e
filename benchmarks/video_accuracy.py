"""Accuracy on human-labelled video, end to end: joints found, people found, left taken for right.

    python benchmarks/video_accuracy.py --labels ../shared/data/video-dev --json video.json

LABELS holds NAME.mp4 and NAME.json (dcpose_cli.evaluation.labelled_video says what is in it). Every clip goes through
`dcpose_cli.export_json` as a user's video would. PCK@0.2: labelled joints within a fifth of the torso; people not found
count as missed joints. With --true-boxes the labelled boxes are given instead of the detector's and the tracker's.
--results keeps the results; --score scores results that are there already and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import circumstances

import dcpose_cli
from dcpose_cli.evaluation.labelled_video import LabelledPose, VideoScore, read_labels, score_video
from dcpose_cli.files import sha256_of, write_atomic
from dcpose_cli.results import PoseTrackWriter, read_posetrack
from dcpose_cli.sides import repair_results
from dcpose_cli.types import FrameResult, Person
from dcpose_cli.video.reader import VideoReader

#: Turns a clip into a result file: (clip, JSON to write).
Run = Callable[[Path, Path], None]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", help="names of clips, without .mp4; default: all")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the clips and their labels")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--ensemble", default="", help="further models, separated by commas")
    parser.add_argument("--detector", default="person-n")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--engine", default="auto", help="as of dcpose estimate (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="as of dcpose estimate (default: %(default)s)")
    parser.add_argument("--flip-test", action="store_true")
    parser.add_argument(
        "--share-crops", action=argparse.BooleanOptionalAction, default=dcpose_cli.EstimateConfig().share_crops
    )
    parser.add_argument(
        "--fix-swaps", action=argparse.BooleanOptionalAction, help="repair legs; by default as the program does"
    )
    parser.add_argument("--detect-size", default=dcpose_cli.EstimateConfig().detect_size, help="pixels, or auto")
    parser.add_argument(
        "--true-boxes", action="store_true", help="the labelled boxes instead of detection and tracking"
    )
    parser.add_argument("--results", type=Path, help="keep the results in this folder")
    parser.add_argument("--score", type=Path, help="score the results in this folder; nothing is run")
    parser.add_argument("--json", type=Path, help="write the figures here too; an existing file is replaced")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, *, run: Run | None = None) -> int:
    """run: a stand-in for the real one (tests)."""
    options = parse(arguments)
    names = options.clips or sorted(path.stem for path in options.labels.glob("*.json"))
    if not names:
        raise SystemExit(f"{options.labels} holds no labels (NAME.json)")
    report: dict[str, Any] = circumstances(options.device, options.engine, options.precision)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.score or options.results or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if options.score is None:
            run = run or runner(options)
            for name in names:
                run(options.labels / f"{name}.mp4", folder / f"{name}.json")
        results = [read_posetrack(folder / f"{name}.json") for name in names]
    repair = options.fix_swaps and (options.score is not None or options.true_boxes)
    scores = {
        name: score_video(
            repair_results(result.frames) if repair else result.frames, read_labels(options.labels / f"{name}.json")
        )
        for name, result in zip(names, results, strict=True)
    }
    header = results[0].header
    report |= {key: header[key] for key in ("model", "detector", "settings") if key in header}
    report["true boxes"] = options.true_boxes
    report["labels"] = {name: sha256_of(options.labels / f"{name}.json") for name in names}
    report["clips"] = {name: figures(score) for name, score in scores.items()}
    report["all"] = figures(sum(scores.values(), start=VideoScore()))
    print(as_text(report))
    if options.json is not None:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    return 0


def runner(options: argparse.Namespace) -> Run:
    config = dcpose_cli.EstimateConfig(
        model=options.model,
        ensemble=options.ensemble,
        detector=options.detector,
        device=options.device,
        engine=options.engine,
        precision=options.precision,
        flip_test=options.flip_test,
        share_crops=options.share_crops,
        detect_size=options.detect_size,
        fix_swaps=options.fix_swaps,
        overwrite=True,
    )
    estimator = dcpose_cli.PoseEstimator.from_config(config)

    def run(clip: Path, target: Path) -> None:
        if options.true_boxes:
            labels = read_labels(clip.with_suffix(".json"))
            write(target, with_true_boxes(estimator, clip, labels))
        else:
            dcpose_cli.export_json(clip, target, config=config, estimator=estimator)

    return run


def with_true_boxes(
    estimator: dcpose_cli.PoseEstimator, clip: Path, labels: dict[int, list[LabelledPose]]
) -> list[FrameResult]:
    """The labelled people of every frame in their labelled boxes, each window with crops of its own."""
    with VideoReader(clip) as reader:
        frames = list(reader)
    last = len(frames) - 1
    results = []
    for number, frame in enumerate(frames):
        people = labels.get(number, [])
        boxes = np.array([person.bbox for person in people], np.float32).reshape(-1, 4)
        around = [frames[min(max(number + step, 0), last)].image for step in (-1, 0, 1)]
        joints = estimator.poses(*around, boxes)
        persons = (Person(p.track_id, box, 1.0, k) for p, box, k in zip(people, boxes, joints, strict=True))
        results.append(FrameResult(number, frame.pts, frame.time, tuple(persons), frame.damaged))
    return results


def write(target: Path, results: Sequence[FrameResult]) -> None:
    with PoseTrackWriter(target, {"time_base": "1/1000"}, overwrite=True) as writer:
        for result in results:
            writer.write(result)


def figures(score: VideoScore) -> dict[str, Any]:
    return {"pck@0.2": score.pck if score.joints else None, "hits": score.hits, "joints": score.joints, **asdict(score)}


def as_text(report: dict[str, Any]) -> str:
    lines = [f"{report['date']}, {report['machine']}, device {report['device']}, {report['engine']}"]
    lines += [
        f"  {key} {report[key]['name']} sha256 {report[key]['sha256']}"
        for key in ("model", "detector")
        if key in report
    ]
    if report["true boxes"]:
        lines.append("  labelled boxes given")
    for name, clip in {**report["clips"], "all": report["all"]}.items():
        pck = "no joints" if clip["pck@0.2"] is None else f"PCK@0.2 {clip['pck@0.2']:.3f}"
        lines.append(
            f"{name:14} {pck}  people {clip['found']}/{clip['people']}  swapped {clip['swapped']}/{clip['pairs']}"
        )
    groups = report["all"]["groups"]
    lines.append("  ".join(f"{name} {hits / joints:.2f}" for name, (hits, joints) in groups.items() if joints))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
