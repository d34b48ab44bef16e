"""Engines on this machine's CPU: time of the networks, and of the whole program, by engine and precision.

    python benchmarks/engines.py --json engines.json
    python benchmarks/engines.py sample_videos/plaza.mp4 --only torch:auto openvino:bf16

Processor time in one process on one thread, everything in turns, medians: other programs on the machine change it
little. Engines that are not installed are left out and named. `detector` is one frame, `pose` all people of one frame
with three crops each, `whole` a frame of the clip from the file to the joints (`PoseEstimator.video`).
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from accuracy import circumstances

import dcpose_cli
from dcpose_cli.engines import ENGINES
from dcpose_cli.errors import UsageError
from dcpose_cli.video.reader import VideoReader

#: What the others are compared with: the default.
BASE = "torch:auto"
FRAMES = 24


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(1)
    estimators, missing = load(options)
    report: dict[str, Any] = circumstances("cpu") | {"clip": options.clip.name, "missing": missing}
    report["milliseconds"] = times(options, estimators)
    print(as_text(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path, nargs="?", default=Path("sample_videos/plaza.mp4"))
    parser.add_argument("--model", default="auto")
    parser.add_argument("--detector", default="person-n")
    parser.add_argument("--only", nargs="+", metavar="ENGINE:PRECISION", default=every(), help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    options.only = list(dict.fromkeys([BASE, *options.only]))
    return options


def every() -> list[str]:
    """Every engine in every precision it has."""
    torch_only = ["torch:fp32"]
    return [BASE, *torch_only, *(f"{e.name}:{p}" for e in ENGINES.values() for p in e.precisions)]


def load(options: argparse.Namespace) -> tuple[dict[str, dcpose_cli.PoseEstimator], dict[str, str]]:
    """What can be loaded here, and why the rest cannot."""
    estimators, missing = {}, {}
    for name in options.only:
        engine, _, precision = name.partition(":")
        try:
            estimators[name] = dcpose_cli.PoseEstimator(
                options.model, "cpu", detector=options.detector, engine=engine, precision=precision, share_crops=False
            ).load()
        except UsageError as error:
            missing[name] = str(error)
    return estimators, missing


def times(options: argparse.Namespace, estimators: dict[str, dcpose_cli.PoseEstimator]) -> dict[str, dict[str, float]]:
    """Milliseconds of processor time by what is done, then by engine."""
    with VideoReader(options.clip, max_frames=3) as reader:
        frames = [frame.image for frame in reader]
    (people,) = estimators[BASE].detector.detect(frames[1:2])
    count = len(people.boxes)
    if not count:
        raise SystemExit(f"nobody is in the second frame of {options.clip}")
    windows, margins = np.tile(np.arange(3), (count, 1)), np.ones((count, 2), np.int64)

    def pose(estimator: dcpose_cli.PoseEstimator) -> object:
        return estimator.network.poses(frames, windows, people.boxes, margins)

    def whole(estimator: dcpose_cli.PoseEstimator) -> object:
        return list(estimator.video(options.clip, max_frames=FRAMES))

    work: dict[str, tuple[Callable[[dcpose_cli.PoseEstimator], object], int]] = {
        "detector": (lambda estimator: estimator.detector.detect(frames[1:2]), 1),
        f"pose, {count} people": (pose, 1),
        "whole": (whole, FRAMES),
    }
    found: dict[str, dict[str, list[float]]] = {part: {name: [] for name in estimators} for part in work}
    for part, (do, share) in work.items():
        for turn, (name, estimator) in itertools.product(range(options.rounds + 1), estimators.items()):
            began = time.process_time()
            do(estimator)
            if turn:  # the first one makes things ready
                found[part][name].append((time.process_time() - began) / share * 1e3)
    return {part: {name: median(values) for name, values in names.items()} for part, names in found.items()}


def as_text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['date']}, {report['machine']}, {report['clip']}, milliseconds of one core (times as fast as {BASE})"
    ]
    for part, names in report["milliseconds"].items():
        lines.append(part)
        lines += [f"  {name:<16} {value:7.1f}  ({names[BASE] / value:.2f})" for name, value in names.items()]
    lines += [f"left out: {name}: {why}" for name, why in report["missing"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
