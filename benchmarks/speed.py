"""Speed on this machine: the bare network, the stages around it, the whole program, and a peer beside it.

    python benchmarks/speed.py sample_videos/sprint.mp4
    python benchmarks/speed.py clip.mp4 --model dcpose-s --peer yolo11n-pose.yaml --json speed.json
    python benchmarks/speed.py crowd   # or 4k: clips that speed_clips.py makes

Every figure is the median of several rounds in one process, one thing after the other; compare ratios, not runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from speed_clips import SCENES, make_clip
from speed_peer import peer

import dcpose_cli
from dcpose_cli._cores import cores_for, on_cores, pieces
from dcpose_cli.chunks import CHUNK_FRAMES
from dcpose_cli.evaluation.cost import cost_of
from dcpose_cli.files import sha256_of
from dcpose_cli.people.appearance import appearances_of
from dcpose_cli.people.association import AssociationTracker
from dcpose_cli.pose.network import PEOPLE_AT_ONCE
from dcpose_cli.render.people import draw_on, drawn_parts
from dcpose_cli.stages import Stream, estimate
from dcpose_cli.video.painting import Drawn
from dcpose_cli.video.reader import VideoReader
from dcpose_cli.video.writer import VideoWriter
from dcpose_cli.window import mark_cuts, windows

#: Ways to run the whole program: name -> settings.
MODES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "--no-share-crops": {"share_crops": False},
    "--flip-test": {"flip_test": True},
    "--detect-every 5": {"detect_every": 5},
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the program makes of the clip before the network: frames, the people in them, and their windows."""

    frames: list[dcpose_cli.Frame]
    tracked: list[dcpose_cli.TrackedBoxes]
    windows: list[dcpose_cli.Window]

    @property
    def people(self) -> int:
        return sum(len(people) for people in self.tracked)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if str(options.clip) in SCENES:
            options.clip = make_clip(str(options.clip), Path(folder), options.frames)
        return measure(options)


def measure(options: argparse.Namespace) -> int:
    estimator = loaded(options)
    inputs = prepare(options, estimator)
    if not inputs.people:
        raise SystemExit(f"nobody was found in the first {len(inputs.frames)} frames of {options.clip}")
    report = circumstances(options, estimator, inputs)
    with peak_memory() as memory:
        report["stages"] = stages(options, estimator, inputs)
        report["whole"] = {name: whole(options, **settings) for name, settings in MODES.items()}
    report["memory"] = memory | device_memory(estimator.device)
    if options.peer:
        report["peer"] = peer(options)
    report |= ratios(report, inputs)
    report["operators"] = costliest(estimator, options.batch or estimator.network.batch)
    print(as_text(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path, help=f"a video, or {' or '.join(SCENES)}")
    add_options(parser)
    parser.add_argument("--frames", type=int, default=96, help="of the clip (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement (default: %(default)s)")
    return parser.parse_args(arguments)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is timed, and beside whom."""
    parser.add_argument("--model", default="auto")
    parser.add_argument("--detector", default="person-n")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--peer", help="also time `yolo pose predict` with these weights; a .yaml is run untrained")
    parser.add_argument("--json", type=Path)


def loaded(options: argparse.Namespace, **settings: Any) -> dcpose_cli.PoseEstimator:
    return dcpose_cli.PoseEstimator(
        options.model, options.device, detector=options.detector, precision=options.precision, batch=options.batch,
        **settings,
    ).load()  # fmt: skip


def prepare(options: argparse.Namespace, estimator: dcpose_cli.PoseEstimator) -> Inputs:
    with VideoReader(options.clip, max_frames=options.frames) as reader:
        frames = list(reader)
        tracker = AssociationTracker(float(reader.info.fps or 30))
    find = estimator.finder(0)
    found = find([frame.pixels for frame in frames])
    tracked = [
        tracker.follow(people, appearances_of(people.boxes, frame.pixels), frame.pixels.shape[1::-1])
        for people, frame in zip(found, frames, strict=True)
    ]
    return Inputs(frames, tracked, list(windows(mark_cuts(frames))))


def stages(
    options: argparse.Namespace, estimator: dcpose_cli.PoseEstimator, inputs: Inputs
) -> dict[str, dict[str, float]]:
    """Seconds of each stage alone, for all frames or people of the clip."""
    bare, made = bare_network(estimator, inputs)

    def decode() -> None:
        with VideoReader(options.clip, max_frames=options.frames) as reader:
            for _ in reader:
                pass

    def pose() -> list[dcpose_cli.FrameResult]:
        height, width = inputs.frames[0].pixels.shape[:2]
        pairs = zip(inputs.windows, inputs.tracked, strict=True)
        settings = estimator.resolve()
        find = estimator.finder(settings.detect_size)
        found = estimate(pairs, Stream(width, height), settings, find, estimator.network)
        return [result for _, result in found]

    results = pose()

    def encode() -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            VideoReader(options.clip) as reader,
            VideoWriter(Path(folder) / "out.mp4", reader.info, audio_from=None, overwrite=True) as writer,
        ):
            for frame, result in zip(inputs.frames, results, strict=True):
                parts = drawn_parts(frame.pixels.shape, result.people, kpt_thr=0.3)
                paint = partial(draw_on, people=result.people, kpt_thr=0.3)
                writer.write(Drawn(frame.pixels, parts, paint), frame.pts)

    seconds = {name: timed(work, options.rounds, estimator.device) for name, work in {
        "bare network": bare, "decode": decode, "detect": detection(estimator, inputs),
        "crop, network, decode": pose,
        "draw, encode": encode,
    }.items()}  # fmt: skip
    seconds["bare network"] *= inputs.people / made
    return {
        name: {"seconds": value, "ms per frame": 1000 * value / len(inputs.frames)} for name, value in seconds.items()
    }


def bare_network(estimator: dcpose_cli.PoseEstimator, inputs: Inputs) -> tuple[Callable[[], None], int]:
    """What runs the pose network on crops at hand, and on how many people: about as many as there are."""
    network = estimator.network
    method = network.method
    width, height = network.input_size
    count = network.batch
    crops = torch.randn(len(method.frames) * count, 3, height, width, device=estimator.device)
    crops = crops.contiguous(memory_format=torch.channels_last)
    crops = crops.view(len(method.frames), count, 3, height, width)
    margin = torch.ones(count, 2, dtype=torch.int64)
    rounds = max(1, round(inputs.people / count))

    # As the program does it: on a CPU every core works on people of its own.
    cores = cores_for(estimator.device)
    parts = pieces(np.arange(count), PEOPLE_AT_ONCE, cores) if cores > 1 else [slice(None)]

    def bare() -> None:
        low = network.precision != torch.float32

        def run(part: np.ndarray | slice) -> None:
            cast = torch.autocast(estimator.device.type, network.precision) if low else contextlib.nullcontext()
            with torch.inference_mode(), cast:
                method.run(crops[:, part], margin[part])

        for _ in range(rounds):
            on_cores(run, parts, cores)

    return bare, rounds * count


def detection(estimator: dcpose_cli.PoseEstimator, inputs: Inputs) -> Callable[[], None]:
    """What runs the detector on the frames."""
    find = estimator.finder(0)

    def detect() -> None:
        for first in range(0, len(inputs.frames), CHUNK_FRAMES):
            find([frame.pixels for frame in inputs.frames[first : first + CHUNK_FRAMES]])

    return detect


def whole(options: argparse.Namespace, **settings: Any) -> dict[str, float]:
    """The program from file to file, the networks loaded."""
    people = loaded(options, **settings)
    frames = persons = 0

    def work() -> None:
        nonlocal frames, persons
        with tempfile.TemporaryDirectory() as folder:
            summary = dcpose_cli.estimate(
                options.clip, Path(folder) / "out.mp4", estimator=people, max_frames=options.frames
            )
        frames, persons = summary.frames, summary.people

    seconds = timed(work, options.rounds, people.device)
    people.network.encoded = 0
    work()
    return {
        "seconds": seconds,
        "ms per frame": 1000 * seconds / frames,
        "person-frames per second": persons / seconds,
        "crops through the backbone per person and frame": people.network.encoded / max(1, persons),
    }


def timed(work: Callable[[], Any], rounds: int, device: torch.device) -> float:
    """Median seconds of `rounds` rounds after a first one that does not count."""
    seconds = []
    for number in range(rounds + 1):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:
            seconds.append(time.perf_counter() - begin)
    return median(seconds)


@contextlib.contextmanager
def peak_memory() -> Any:
    """Fills "host MiB" with the most this process held while the block ran."""
    import psutil

    process, peak, done = psutil.Process(), {"host MiB": 0.0}, threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak["host MiB"] = max(peak["host MiB"], process.memory_info().rss / 2**20)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def device_memory(device: torch.device) -> dict[str, float]:
    return {"device MiB": torch.cuda.max_memory_allocated(device) / 2**20} if device.type == "cuda" else {}


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measured TFLOP/s of a large matrix product."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / timed(lambda: a @ b, 5, device) / 1e12


def costliest(estimator: dcpose_cli.PoseEstimator, batch: int) -> list[dict[str, Any]]:
    """The five operators of the network that take the most time themselves."""
    from torch.profiler import ProfilerActivity, profile

    network = estimator.network
    method = network.method
    width, height = network.input_size
    crops = torch.randn(len(method.frames), batch, 3, height, width, device=estimator.device)
    cuda = estimator.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with torch.inference_mode(), profile(activities=activities) as trace:
        method.run(crops, torch.ones(batch, 2, dtype=torch.int64))
    field = "self_device_time_total" if cuda else "self_cpu_time_total"
    rows = sorted(trace.key_averages(), key=lambda row: -getattr(row, field))
    total = sum(getattr(row, field) for row in rows) or 1
    return [{"operator": row.key, "share": getattr(row, field) / total, "calls": row.count} for row in rows[:5]]


def circumstances(options: argparse.Namespace, estimator: dcpose_cli.PoseEstimator, inputs: Inputs) -> dict[str, Any]:
    cost = cost_of(estimator.network.model)
    device = estimator.device
    return {
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "clip": {
            "name": options.clip.name,
            "frames": len(inputs.frames),
            "people": inputs.people,
            "sha256": sha256_of(options.clip),
        },
        "model": {"name": estimator.network.model.header.name, "sha256": estimator.network.model.sha256},
        "detector": estimator.detector.name,
        "precision": str(estimator.network.precision).removeprefix("torch."),
        "batch": estimator.network.batch,
        "GFLOP per person and frame": 2 * cost.gmac,
        "matrix TFLOP/s": matrix_rate(device, estimator.network.precision),
    }


def processor() -> str:
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def ratios(report: dict[str, Any], inputs: Inputs) -> dict[str, Any]:
    parts, exact = report["stages"], report["whole"]["--no-share-crops"]
    bare = parts["bare network"]["seconds"]
    rate = report["GFLOP per person and frame"] * inputs.people / bare / 1000
    out: dict[str, Any] = {
        "bare network, person-frames per second": inputs.people / bare,
        "bare network, share of the matrix rate": rate / report["matrix TFLOP/s"],
        "whole over bare network and detector": exact["seconds"] / (bare + parts["detect"]["seconds"]),
    }
    if "peer" in report:
        out["whole over peer"] = {
            name: row["ms per frame"] / report["peer"]["ms per frame"] for name, row in report["whole"].items()
        }
    return out


def as_text(report: dict[str, Any]) -> str:
    clip = report["clip"]
    lines = [
        f"{report['date']}, {report['machine']}, {report['device']}, {report['threads']} threads, "
        f"torch {report['torch']}",
        f"{clip['name']}: {clip['frames']} frames, {clip['people']} people in them; {report['model']['name']}, "
        f"{report['detector']}, {report['precision']}, batch {report['batch']}",
        "",
        "one stage alone                      ms per frame",
    ]
    lines += [f"  {name:34} {row['ms per frame']:10.1f}" for name, row in report["stages"].items()]
    lines += ["", "the whole program                    ms per frame   crops per person and frame"]
    for name, row in report["whole"].items():
        crops = row["crops through the backbone per person and frame"]
        lines.append(f"  {name:34} {row['ms per frame']:10.1f} {crops:14.2f}")
    if "peer" in report:
        lines.append(f"  {'yolo pose predict':34} {report['peer']['ms per frame']:10.1f}")
    for name in ("bare network, person-frames per second", "bare network, share of the matrix rate"):
        lines.append(f"{name}: {report[name]:.3g}")
    lines.append(f"whole over bare network and detector: {report['whole over bare network and detector']:.2f}")
    for name, value in report.get("whole over peer", {}).items():
        lines.append(f"{name} over peer: {value:.2f}")
    lines.append("memory: " + ", ".join(f"{name} {value:.0f}" for name, value in report["memory"].items()))
    lines.append(f"{report['GFLOP per person and frame']:.2f} GFLOP per person and frame; costliest operators:")
    lines += [f"  {row['operator']:34} {100 * row['share']:10.0f} %" for row in report["operators"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
