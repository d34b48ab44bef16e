"""How well joints are read from the same heatmaps: the published way, and smoothed maxima between the pixels.

    python benchmarks/decoding.py --model dcpose-s --data DIR [--json FILE]

On the validation people of the training pack, on whom choices are made: the share of sure joints within a tenth, a
twentieth and a fiftieth of the longer side of the box.
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

import dcpose_cli
from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.files import write_atomic
from dcpose_cli.nets import DCPose
from dcpose_cli.pose.heatmaps import DECODERS
from dcpose_cli.training.data.batches import plain_batch
from dcpose_cli.training.data.readers import read_samples
from dcpose_cli.training.dcpose.recipe import Recipe
from dcpose_cli.training.dcpose.validation import SURE, chunks, truth_side
from dcpose_cli.training.recipes import load_recipe

WITHIN = (0.1, 0.05, 0.02)


@torch.no_grad()
def measure(net: DCPose, data: Path, recipe: Recipe) -> dict[str, dict[str, list[float]]]:
    """Frames looked at -> decoder -> shares, in the order of WITHIN. Stills are triplets of the same picture."""
    samples = read_samples(data, recipe.data, split="val", limit=None)
    shape = recipe.shape()
    errors: dict[str, dict[str, list[float]]] = {w: {name: [] for name in DECODERS} for w in ("single", "three")}
    for pictures in (1, 3):
        group = [s for s in samples if len(s.pictures) == pictures]
        for chunk in chunks(group, shape, 32):
            batch = plain_batch(chunk, shape)
            frames = torch.cat(batch.images.split(3, dim=1)).contiguous(memory_format=torch.channels_last)
            current, *others = net.backbone(frames).chunk(pictures)
            previous, following = others or (current, current)
            final = net.head(current, previous, following, batch.margin).final
            truth = batch.joints.numpy()
            side = truth_side(chunk, shape)[:, None]
            for which, seen in (("single", current), ("three", final)):
                for name, decoder in DECODERS.items():
                    error = np.linalg.norm(decoder(seen).numpy()[..., :2] - truth[..., :2], axis=2) / side
                    errors[which][name].extend(error[truth[..., 2] >= SURE].tolist())
    return {
        which: {name: [float(np.mean(np.array(found) <= limit)) for limit in WITHIN] for name, found in by.items()}
        for which, by in errors.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="decoding", description="How joints are read from heatmaps.")
    parser.add_argument("--model", default="dcpose-s", help="a DCPose (default: %(default)s)")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pack")
    parser.add_argument("--recipe", type=Path, default=Path("models/dcpose-s/recipe.toml"), help="names the parts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    model = open_model(options.model)
    if not isinstance(model.net, DCPose):
        raise SystemExit(f"{options.model} is no DCPose")
    shares = measure(model.net.to(memory_format=torch.channels_last), options.data, load_recipe(options.recipe))
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "dcpose": dcpose_cli.__version__,
        "model": {"name": model.header.name, "sha256": model.sha256},
        "within": list(WITHIN),
        "shares": shares,
    }
    print("joints within " + ", ".join(f"{limit:g}" for limit in WITHIN) + " of the box, %:")
    for which, by in shares.items():
        for name, found in by.items():
            print(f"  {which:8}{name:10}" + "  ".join(f"{100 * share:.1f}" for share in found))
    if options.json:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
