"""What the three frames add: DCPose against the single-frame heatmaps of its own backbone.

    python benchmarks/temporal_gain --data DIR --backbone dcpose-s --out runs/temporal_gain --json FILE
    python benchmarks/temporal_gain --data DIR --heads models/dcpose-s

Three heads (seeds 1, 2, 3) are trained on the cached heatmaps of one frozen backbone, on the clips that are not held
out; a second call continues. Then windows of the held-out clips and of the sample clips are looked at, the current
frame clean and damaged (damage.py; fixed before training). Measured: the share of sure joints within 0.2 of the torso
(left shoulder to right hip). Controls, which learn nothing: the mean of the three heatmaps, and the neighbours alone.
Intervals: 95 %, paired, whole clips drawn anew. --heads measures a finished model as it is instead.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import torch

import dcpose_cli
from dcpose_cli.checkpoints.files import find_weights, load_model, read_weights, save_model
from dcpose_cli.files import sha256_of, write_atomic
from dcpose_cli.nets import DCPose
from dcpose_cli.pose.heatmaps import DECODERS
from dcpose_cli.training.data.readers import read_samples
from dcpose_cli.training.data.splits import with_motion
from dcpose_cli.training.dcpose.recipe import Recipe
from dcpose_cli.training.recipes import load_recipe

sys.path.insert(0, str(Path(__file__).resolve().parent))

from heads import cache_maps, train_head
from measure import CONDITIONS, backbone_maps, compare
from windows import LEAST_CLIPS, held_out_windows, prepare, require_clips, sample_windows


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="temporal_gain", description="What the three frames of DCPose add.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pack")
    parser.add_argument("--recipe", type=Path, default=Path("models/dcpose-s/recipe.toml"))
    parser.add_argument("--backbone", default="dcpose-s", help="model whose backbone is frozen (default: %(default)s)")
    parser.add_argument("--heads", nargs="+", help="measure these finished models instead of training heads")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--cached", type=int, default=8000, help="augmented windows in the cache (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, help="of each head (default: the recipe's stage 2)")
    parser.add_argument("--hold-out", type=float, help="share of the clips (default: the recipe's, or 0.12)")
    parser.add_argument("--least-clips", type=int, default=LEAST_CLIPS, help="fewer say nothing (default: %(default)s)")
    parser.add_argument("--samples", type=Path, default=Path("sample_videos"))
    parser.add_argument("--out", type=Path, default=Path("runs/temporal_gain"), help="cache, heads, checkpoints")
    parser.add_argument("--sheet", type=Path, help="write a picture of damaged windows here")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    recipe = load_recipe(options.recipe)
    share = options.hold_out or recipe.data.hold_out_clips or 0.12
    recipe = replace(recipe, data=replace(recipe.data, hold_out_clips=share))
    measured = options.heads[0] if options.heads else options.backbone
    base = _dcpose(measured)
    recipe = replace(recipe, model=base.config)
    if options.heads:
        heads = {Path(name).name: _dcpose(name) for name in options.heads}
    else:
        heads = trained_heads(options, recipe, base)
    size, enlarge = base.config.input_size, recipe.augment.enlarge
    windows = prepare(held_out_windows(options.data, recipe.data, share), size, enlarge)
    require_clips(windows, options.least_clips)
    windows += prepare(sample_windows(options.samples), size, enlarge)
    if options.sheet:
        draw(windows[:: max(1, len(windows) // 16)][:16], options.sheet)
    decoding = read_weights(find_weights(measured))[0].decoding
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "dcpose": dcpose_cli.__version__,
        "backbone": {"name": options.backbone, "sha256": sha256_of(find_weights(options.backbone))},
        "decoding": decoding,
        "hold_out_clips": share,
        "trained": None if options.heads else {"cached": options.cached, "steps": options.steps or recipe.stage2.steps},
        **compare(heads, backbone_maps(base, windows), windows, DECODERS[decoding]),
    }
    print(as_text(report))
    if options.json:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    return 0


def _dcpose(name: str) -> DCPose:
    net = load_model(name)
    if not isinstance(net, DCPose):
        raise SystemExit(f"{name} is no DCPose")
    return net.to(memory_format=torch.channels_last)


def trained_heads(options: argparse.Namespace, recipe: Recipe, base: DCPose) -> dict[str, DCPose]:
    """A network per seed ("seed 1"), trained or taken from where a call before left it."""
    stage = recipe.stage2
    if stage is None:
        raise SystemExit(f"{options.recipe} has no stage 2")
    if options.steps:
        stage = replace(stage, steps=options.steps, epochs=0.0)
    folders = {str(seed): options.out / f"seed-{seed}" for seed in options.seeds}
    todo = {seed: folder for seed, folder in folders.items() if not (folder / "model.safetensors").is_file()}
    if todo:
        samples = with_motion(read_samples(options.data, recipe.data, split="train"), stage.stills_share)
        stage = stage.in_steps(len(samples))
        cache = cache_maps(
            base, samples, recipe, options.cached, options.out / "cache", lambda text: print(text, flush=True)
        )
        for seed, folder in todo.items():

            def report(progress: Any, seed: str = seed) -> None:
                print(f"seed {seed}: {progress.step}/{progress.steps} loss {progress.loss:.4f}", flush=True)

            net = DCPose(base.config)
            net.load_state_dict(base.state_dict())
            net = train_head(net.to(memory_format=torch.channels_last), cache, stage, int(seed), folder, report)
            save_model(net, folder, name=f"{recipe.name}-seed-{seed}", decoding=recipe.decoding, overwrite=True)
    return {f"seed {seed}": _dcpose(str(folder)) for seed, folder in folders.items()}


def say(text: str) -> None:
    print(text, flush=True)


def draw(windows: Sequence[Any], path: Path) -> None:
    """Previous, the current frame in every condition, next; one window per row."""
    rows = [cv2.hconcat([w.previous, *(w.current[c] for c in CONDITIONS), w.following]) for w in windows]
    cv2.imwrite(str(path), cv2.vconcat(rows)[..., ::-1])


def as_text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['windows']} windows of {report['clips']} clips, {report['joints']} joints, {report['date']}",
        "joints found within 0.2 of the torso, %:",
    ]
    for condition, row in report["conditions"].items():
        cells = "  ".join(f"{name} {value:.1f}" for name, value in row.items() if name != "gain")
        lines.append(f"  {condition:8} {cells}  gain {_interval(row['gain'])}")
    damaged = report["damaged"]
    lines.append(f"damaged, all kinds: gain {_interval(damaged['gain'])}")
    lines += [f"  {name}: {_interval(values)}" for name, values in damaged["gain by head"].items()]
    lines += [f"  {name}: {_interval(values)}" for name, values in damaged.items() if name.startswith("against")]
    return "\n".join(lines)


def _interval(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    sys.exit(main())
