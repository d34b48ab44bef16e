"""Cost of the models of docs/models.md on this machine: multiply-accumulates, and time per person and frame.

    python benchmarks/ladder.py                                      # all of them, on the best device
    python benchmarks/ladder.py --models hrnet-w48-posetrack18 --device cpu --people 8
    python benchmarks/ladder.py --count                              # no times

Time is that of the network with cropping and decoding, as in `dcpose compare`: the median of several rounds over the
same people. It does not depend on what the weights say: a published model that is not on this machine is timed as an
untrained network of its shape, and marked so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from speed import processor, timed

from dcpose_cli.checkpoints.files import AUTO_MODELS, open_model
from dcpose_cli.checkpoints.published import is_fetched
from dcpose_cli.evaluation.cost import cost_of
from dcpose_cli.nets import DCPoseConfig, HRNetConfig, PoseWarperConfig, SimpleBaselineConfig
from dcpose_cli.pose.methods import KINDS
from dcpose_cli.pose.model import LoadedModel, ModelHeader, PoseConfig
from dcpose_cli.pose.network import PoseNetwork, resolve_device
from dcpose_cli.published.table import DETECTOR, PUBLISHED, PublishedModel
from dcpose_cli.skeleton.sets import JOINT_SETS

#: Shipped models, then the published ones in the order of the table.
NAMES = ("dsta-s", *AUTO_MODELS, *(name for name, entry in PUBLISHED.items() if entry.kind != DETECTOR))
#: Size of the frames, pixels; people stand side by side in them.
WIDTH, HEIGHT = 1920, 1080


@dataclass(frozen=True, slots=True)
class Row:
    """gmac: per person and frame. milliseconds: likewise, None where not measured. trained: not a stand-in."""

    name: str
    frames: int
    parameters: int
    gmac: float
    milliseconds: float | None
    trained: bool


def config_of(entry: PublishedModel) -> PoseConfig:
    """The shape of a published network."""
    backbone = HRNetConfig(width=32 if "w32" in entry.name else 48)
    if entry.kind == "posewarper":
        return PoseWarperConfig(backbone=backbone, input_size=entry.input_size)
    if entry.kind == "dcpose":
        return DCPoseConfig(backbone=backbone, input_size=entry.input_size)
    return SimpleBaselineConfig() if entry.kind == "simplebaseline" else backbone


def model_of(name: str) -> tuple[LoadedModel, bool]:
    """A model, and whether it is the one of that name; of what is not here an untrained network of its shape."""
    entry = PUBLISHED.get(name)
    if entry is None or is_fetched(entry):
        return open_model(name), True
    config = config_of(entry)
    header = ModelHeader(
        kind=entry.kind,
        name=name,
        input_size=entry.input_size,
        predicts=JOINT_SETS[entry.joints].predicted,
        joints=entry.joints,
        network=config,
        decoding=entry.decoding,
    )
    torch.manual_seed(0)
    return LoadedModel(KINDS[entry.kind].network(config).eval(), header, Path(), ""), False


def measured(name: str, options: argparse.Namespace, device: torch.device) -> Row:
    model, trained = model_of(name)
    cost = cost_of(model)
    seconds = None if options.count else seconds_of(model, options, device)
    milliseconds = None if seconds is None else 1000 * seconds / options.people
    return Row(name, cost.frames, cost.parameters, cost.gmac, milliseconds, trained)


def seconds_of(model: LoadedModel, options: argparse.Namespace, device: torch.device) -> float:
    """Median time of all people in one frame."""
    network = PoseNetwork(
        model, device=device, precision=options.precision, batch=options.batch, flip_test=options.flip_test
    )
    random = np.random.default_rng(0)
    count, reach = options.people, network.reach
    frames = [random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(2 * reach + 1)]
    left = np.linspace(0, WIDTH - 200, count)
    boxes = np.stack([left, np.full(count, 300.0), np.full(count, 200.0), np.full(count, 500.0)], 1).astype(np.float32)
    windows = np.tile(np.arange(2 * reach + 1), (count, 1))
    margins = np.ones((count, 2), np.int64)
    return timed(lambda: network.poses(frames, windows, boxes, margins), options.rounds, device)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(NAMES), metavar="NAME")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--people", type=int, default=16, help="in the frame (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement (default: %(default)s)")
    parser.add_argument("--flip-test", action="store_true")
    parser.add_argument("--count", action="store_true", help="count multiply-accumulates only")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    unknown = [name for name in options.models if name not in NAMES]
    if unknown:
        raise SystemExit(f"unknown models: {', '.join(unknown)}; known are {', '.join(NAMES)}")
    device = resolve_device(options.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{processor()}, {os.cpu_count()} cores"
    print(f"{date.today().isoformat()}, {where}, {platform.system()}, torch {torch.__version__}")
    print(f"{'model':32} frames  parameters    GMAC  ms per person and frame")
    rows = []
    for name in options.models:
        row = measured(name, options, device)
        rows.append(row)
        time = "not measured" if row.milliseconds is None else f"{row.milliseconds:.1f}"
        untrained = "" if row.trained else "  (untrained network of its shape)"
        print(f"{name:32} {row.frames:6} {row.parameters:11,} {row.gmac:7.2f}  {time}{untrained}", flush=True)
    if options.json:
        found = {"date": date.today().isoformat(), "device": where, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
