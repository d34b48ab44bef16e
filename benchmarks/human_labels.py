"""Backbones on the validation people whose joints people placed, by the groups that a recipe measures.

    python benchmarks/human_labels.py RECIPE NET... --data DIR [--size 176x224] [--flip-test] [--json FILE]

NET: a checkpoint (its averaged weights) or a DCPose model. Of each group: the limbs' joints within 0.2 of the torso,
and the left/right pairs, more than 0.3 torso apart, that fit better exchanged (training/validation.py). The differences
to the first network have intervals of 95 %, drawn from the people.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import dcpose_cli
from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.files import write_atomic
from dcpose_cli.nets import DCPose
from dcpose_cli.nets.backbones import heatmap_net
from dcpose_cli.pose.heatmaps import DECODERS
from dcpose_cli.skeleton import FLIP_ORDER
from dcpose_cli.training.data.config import MeasureConfig
from dcpose_cli.training.data.readers import read_samples
from dcpose_cli.training.dcpose.recipe import Recipe
from dcpose_cli.training.dcpose.validation import Forward, Found, find, human_counts
from dcpose_cli.training.recipes import load_recipe

DRAWS = 2000


def load_backbone(named: str, recipe: Recipe) -> nn.Module:
    """The backbone of a model, or the averaged one of a checkpoint, in eval mode."""
    if not named.endswith(".ckpt"):
        model = open_model(named)
        if not isinstance(model.net, DCPose):
            raise SystemExit(f"{named} is no DCPose")
        net: nn.Module = model.net.backbone
    else:
        net = heatmap_net(recipe.model.backbone)
        state = torch.load(named, map_location="cpu", weights_only=True)["average"]
        inside = {name.removeprefix("backbone."): value for name, value in state.items()}
        net.load_state_dict({name: inside[name] for name in net.state_dict()})
    return net.eval().to(memory_format=torch.channels_last)


def forward_of(net: nn.Module, flip_test: bool) -> Forward:
    """Heatmaps of the current frames; flip_test: averaged with those of the mirror images, moved by a pixel."""

    def forward(x: Tensor, margin: Tensor) -> Tensor:
        crops = x[:, :3].contiguous(memory_format=torch.channels_last)
        maps: Tensor = net(crops)
        if not flip_test:
            return maps
        mirrored: Tensor = net(crops.flip(3).contiguous(memory_format=torch.channels_last))
        back = mirrored[:, list(FLIP_ORDER)].flip(3)
        return (maps + torch.cat([back[..., :1], back[..., :-1]], dim=3)) / 2

    return forward


def counts(people: Sequence[Found], group: MeasureConfig) -> NDArray[np.float64]:
    """(people, 4) of a group: joints found, joints, pairs swapped, pairs."""
    return np.array([human_counts(p) for p in people if p.sample.human and p.sample.source in group.sources], float)


def shares(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., people, 4) -> (..., 2): of joints found and of pairs swapped."""
    total = table.sum(axis=-2)
    return np.stack([total[..., 0] / total[..., 1], total[..., 2] / np.maximum(total[..., 3], 1)], axis=-1)


def interval(table: NDArray[np.float64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 2): low and high end of the differences of both shares, people drawn again."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(table), size=(DRAWS, len(table)))
    return np.percentile(shares(table[drawn]) - shares(base[drawn]), [2.5, 97.5], axis=0)


def _text(share: float, low: float, high: float) -> str:
    """In per cent, with the interval of the difference."""
    return f"{100 * share:5.1f} ({100 * low:+.1f}..{100 * high:+.1f})"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="human_labels", description="Backbones against human labels.")
    parser.add_argument("recipe", type=Path, help="names the parts, who is held out and the groups")
    parser.add_argument("nets", nargs="+", help="checkpoints of stage 1, or models")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pack")
    parser.add_argument("--size", help="of the crops, such as 176x224; default: the recipe's")
    parser.add_argument("--flip-test", action="store_true", help="average with the mirror image")
    parser.add_argument("--limit", type=int, help="at most so many people per part")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    recipe = load_recipe(options.recipe)
    width, height = map(int, options.size.split("x")) if options.size else recipe.model.input_size
    samples = read_samples(options.data, recipe.data, split="val", limit=options.limit)
    wanted = {source for group in recipe.data.measure for source in group.sources}
    samples = [s for s in samples if s.human and s.source in wanted]
    decoder, device = DECODERS[recipe.decoding], torch.device("cpu")
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "dcpose": dcpose_cli.__version__,
        "size": [width, height],
        "flip_test": options.flip_test,
        "nets": [],
    }
    first: dict[str, NDArray[np.float64]] = {}
    for named in options.nets:
        forward = forward_of(load_backbone(named, recipe), options.flip_test)
        _, people = find(forward, samples, recipe.shape((width, height)), decoder, device)
        entry: dict[str, Any] = {"net": named, "groups": {}}
        print(named)
        for group in recipe.data.measure:
            table = counts(people, group)
            found, swapped = shares(table)
            low, high = interval(table, first.setdefault(group.name, table))
            entry["groups"][group.name] = {
                "people": len(table),
                "joints": int(table[:, 1].sum()),
                "pairs": int(table[:, 3].sum()),
                "pck": float(found),
                "swapped": float(swapped),
                "pck_change": [float(low[0]), float(high[0])],
                "swapped_change": [float(low[1]), float(high[1])],
            }
            print(
                f"  {group.name:12}{len(table):5} people  pck {_text(found, low[0], high[0])}"
                f"  swapped {_text(swapped, low[1], high[1])}"
            )
        report["nets"].append(entry)
    if options.json:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
