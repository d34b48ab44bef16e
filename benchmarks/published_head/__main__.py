"""A DCPose head for networks that it was not trained with: trained on the heatmaps of several, measured on another.

    python benchmarks/published_head --data DIR --device cuda --out runs/published_head --json FILE \\
        --backbones dcpose-s@288x384 simplebaseline-r50 hrnet-w48-posetrack18,hrnet-w48-coco \\
        --assemble hrnet-w48-posetrack18 --model dcpose-w48
    python benchmarks/published_head --data DIR --map 36x48 --crop 192x256 --batch 8 --steps 400 --seeds 1 2 \\
        --cached 1500 --backbones dcpose-s,benchmarks/checkpoints/dcpose-s-sixth ncnn:FOLDER --out runs/small

The head has the paper's shape (17 joints, dilations 3, 6, 9, 12, 15) at any map size. Every window is seen by every
network: three crops, the current one often damaged. Training varies amplitude and sharpness of the maps. Each argument
of --backbones is a family of networks, separated by commas; each family is left out once, with every seed. Measured as
in temporal_gain (windows of held-out clips, the sample clips; clean and damaged frames): the gain over the single frame
with networks that the head has seen and with those it has not. A second call continues.

--assemble trains one more head on all families, and puts it on this network. It is written where the criterion holds:
the gain of unseen networks is at least two thirds of that of seen ones, and clean frames lose nothing.
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
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "temporal_gain"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from cache import Shape, Windows, cached_windows
from fit import HEIGHT_PER_SIGMA, empty_head, load_head, train_head
from sources import Source, families
from table import Tested, as_text, figures, tested
from windows import LEAST_CLIPS, held_out_windows, prepare, require_clips, sample_windows

import dcpose_cli
from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.checkpoints.heads import with_head
from dcpose_cli.files import write_atomic
from dcpose_cli.nets import DCPose
from dcpose_cli.nets.folding import folded
from dcpose_cli.nets.fused import fused
from dcpose_cli.pose.heatmaps import DECODERS
from dcpose_cli.training.data.pack import is_held_out, read_parts
from dcpose_cli.training.dcpose.recipe import Recipe, StageConfig
from dcpose_cli.training.engine.log import Progress
from dcpose_cli.training.recipes import load_recipe

#: Targets lie between the pixels, and so joints are read.
DECODING = "smoothed"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="published_head", description="A DCPose head for other networks.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pack")
    parser.add_argument("--backbones", nargs="+", required=True, metavar="NAME[,NAME]", help="two families or more")
    parser.add_argument("--recipe", type=Path, default=Path("models/dcpose-s/recipe.toml"), help="its data and damage")
    parser.add_argument("--map", type=_size, default=(72, 96), help="width and height of the maps (default: 72x96)")
    parser.add_argument("--crop", type=_size, help="of the crops that are cut (default: four times the map)")
    parser.add_argument("--cached", type=int, default=16000, help="augmented windows (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4000, help="of each head (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--quarters", type=float, default=0, help="share of the steps on quarters of the maps: cheaper")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--limit", type=int, help="train on at most so many windows of each part")
    parser.add_argument("--hold-out", type=float, help="share of the clips (default: the recipe's, or 0.12)")
    parser.add_argument("--least-clips", type=int, default=LEAST_CLIPS)
    parser.add_argument("--samples", type=Path, default=Path("sample_videos"))
    parser.add_argument("--out", type=Path, default=Path("runs/published_head"), help="cache, heads, checkpoints")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--assemble", metavar="NAME", help="a network of --backbones that gets the head")
    parser.add_argument("--model", type=Path, default=Path("dcpose-w48"), help="folder of the assembled model")
    options = parser.parse_args(arguments)
    options.crop = options.crop or (4 * options.map[0], 4 * options.map[1])
    if len(options.backbones) < 2:
        parser.error("give two families of networks or more: one is left out")
    return options


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    recipe = load_recipe(options.recipe)
    share = options.hold_out or recipe.data.hold_out_clips or 0.12
    shape = Shape(options.crop, options.map)
    found = families(options.backbones, options.device)
    require_same(options, found, share)
    measured = prepare(held_out_windows(options.data, recipe.data, share), shape.crop, recipe.augment.enlarge)
    require_clips(measured, options.least_clips)
    measured += prepare(sample_windows(options.samples), shape.crop, recipe.augment.enlarge)
    windows = training_windows(options, recipe, share, shape, found)
    paths = {(left, seed): trained(options, windows, found, left, seed) for left in found for seed in options.seeds}
    heads = {key: ready(load_head(empty_head(shape.map), path), options.device) for key, path in paths.items()}
    results = {}
    for number, (family, source) in enumerate((f, source) for f, sources in found.items() for source in sources):
        path = options.out / f"tested-{number}.json"
        if not path.is_file():
            say(f"measuring {source.name}")
            new = tested(family, source, measured, heads, shape, DECODERS[DECODING], options.device)
            write_atomic(path, json.dumps(new.rows()), overwrite=True)
        results[source.name] = Tested.of_rows(json.loads(path.read_text(encoding="utf-8")))
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "dcpose": dcpose_cli.__version__,
        "families": {name: {s.name: s.sha256 for s in sources} for name, sources in found.items()},
        "map": "x".join(map(str, shape.map)),
        "crop": "x".join(map(str, shape.crop)),
        **{key: getattr(options, key) for key in ("cached", "steps", "batch", "lr", "quarters", "seeds", "limit")},
        "windows": len(measured),
        "clips": len({window.clip for window in measured}),
        "joints": int(sum((w.joints[:, 2] > 0).sum() for w in measured)),
        **figures(results),
    }
    print(as_text(report))
    if options.json:
        write_atomic(options.json, json.dumps(report, indent=1) + "\n", overwrite=True)
    if options.assemble and report["criterion holds"]:
        head = trained(options, windows, found, None, options.seeds[0])
        assemble(options.assemble, head, shape.map, options.model)
        say(f"{options.model} written")
    return 0


def require_same(options: argparse.Namespace, found: dict[str, list[Source]], share: float) -> None:
    """Ends the program where --out was made with other options; notes them where it is new."""
    keys = ("map", "crop", "cached", "steps", "batch", "lr", "quarters", "limit", "recipe")
    settings = {key: str(getattr(options, key)) for key in keys} | {"hold_out": str(share)}
    settings |= {source.name: source.sha256 for sources in found.values() for source in sources}
    path = options.out / "settings.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise SystemExit(f"{options.out} was made with other options: give another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(settings, indent=1) + "\n", overwrite=True)


def training_windows(
    options: argparse.Namespace, recipe: Recipe, share: float, shape: Shape, found: dict[str, list[Source]]
) -> Windows:
    """Cached maps of the windows of the clips that are not held out."""
    data = recipe.data
    samples = read_parts(options.data, data.triplets, split="train", exclude=data.exclude, limit=options.limit)
    samples = [s for s in samples if len(s.pictures) == 3 and not is_held_out(s.name, share)]
    sources = [source for family in found.values() for source in family]
    augment = recipe.augmentation(window=True)
    return cached_windows(sources, samples, options.cached, shape, augment, options.out / "maps", say)


def trained(
    options: argparse.Namespace, windows: Windows, found: dict[str, list[Source]], left: str | None, seed: int
) -> Path:
    """The weights of the head that is trained on all families but one."""
    names = [[source.name for source in sources] for family, sources in found.items() if family != left]
    has = {source.name: source.has for sources in found.values() for source in sources}
    place = "all" if left is None else f"without-{list(found).index(left)}"
    config = StageConfig(
        steps=options.steps,
        batch=options.batch,
        lr=options.lr,
        warmup=min(100, options.steps // 8),
        ema=0.98,
        sigma=options.map[1] / HEIGHT_PER_SIGMA,
    )

    def report(progress: Progress) -> None:
        say(f"{place}, seed {seed}: {progress.step}/{progress.steps} loss {progress.loss:.4f}")

    folder = options.out / f"{place}-seed-{seed}"
    return train_head(windows, names, has, options.map, config, seed, folder, options.device, report, options.quarters)


def ready(net: DCPose, device: torch.device) -> Any:
    """A head for inference."""
    return fused(folded(net.eval()), torch.bfloat16) if device.type == "cpu" else net.eval().to(device)


def assemble(name: str, head: Path, size: tuple[int, int], folder: Path) -> None:
    """A DCPose model out of a single-frame network with the PoseTrack joints and a head for maps of this size."""
    model = open_model(name)
    if model.header.joints != "posetrack" or model.header.kind not in ("hrnet", "simplebaseline"):
        raise SystemExit(f"{name} is no network of one frame with PoseTrack's joints")
    width, height = model.header.input_size
    if size != (width // 4, height // 4):
        raise SystemExit(f"{name} makes maps of {width // 4}x{height // 4}, and the head was measured on others")
    net = with_head(model.net, head, model.header.input_size)
    predicts = model.header.predicts
    save_model(net, folder, name=folder.name, predicts=predicts, decoding=DECODING, overwrite=True)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
