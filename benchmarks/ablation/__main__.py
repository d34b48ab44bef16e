"""Ablations of DCPose (the paper's table 5) on the training pack: every variant with several seeds, one thread.

    python benchmarks/ablation --data ../shared/data --out runs/ablation

The backbone of --model is frozen; its heatmaps of all windows are computed once and kept below --out (runs/ is not
committed). Clips are held out whole: those of the validation split, and a fifth of the others by a hash of their names.
Held-out windows are looked at as they are, with the current frame blurred in the direction of its motion by a fifth of
the person, and with part of the person covered. A joint is found within a twentieth of the longer side of the
person's box. An interrupted run goes on where it was with the same command.

Figures: mean over seeds +- standard deviation between seeds; the difference to the complete network with a 95 %
bootstrap interval over clips.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.files import write_atomic
from dcpose_cli.nets import DCPose
from dcpose_cli.training.data.pack import PoseSample, read_parts
from dcpose_cli.training.dcpose.recipe import AugmentConfig, StageConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ablation.figures import as_table, figures
from ablation.maps import CONDITIONS, Maps, cache_maps, described, held_out_crops, is_held_out, training_crops
from ablation.variants import CPU_SET, VARIANTS, WITHIN, Hits, find_joints, train_head

#: Test clips, and sources licensed for non-commercial use only.
EXCLUDE = ("peers", "sapiens_itw", "propainter")
#: Options that decide the figures.
SETTINGS = ("parts", "size", "dilations", "seeds", "steps", "batch", "repeats", "limit")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ablations of DCPose on cached heatmaps.")
    parser.add_argument("--model", default="dcpose-s", help="whose backbone is used (default: %(default)s)")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pack")
    parser.add_argument("--parts", default="triplets,triplets2")
    parser.add_argument("--variants", default=",".join(CPU_SET), help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--dilations", help="of the complete network; default: those of --model")
    parser.add_argument("--size", default="96x128", help="of the crops (default: %(default)s; heatmaps have a quarter)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=2, help="random variations of every training window")
    parser.add_argument("--limit", type=int, help="at most so many windows of each part, for a trial")
    parser.add_argument("--out", type=Path, required=True, help="folder for heatmaps, checkpoints and figures")
    parser.add_argument("--json", type=Path, help="write the figures here too; an existing file is replaced")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    options.variants = options.variants.split(",")
    options.size = tuple(int(side) for side in options.size.split("x"))
    unknown = [name for name in options.variants if name not in VARIANTS]
    if unknown:
        parser.error(f"unknown variant {unknown[0]}; known are {', '.join(VARIANTS)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    model = open_model(options.model)
    if not isinstance(model.net, DCPose):
        raise SystemExit(f"{options.model} is no DCPose model: its backbone and head are needed")
    if options.dilations is None:
        options.dilations = model.net.config.dilations
    else:
        options.dilations = tuple(int(d) for d in options.dilations.split(","))
    config = replace(model.net.config, dilations=options.dilations)
    train, held = split(options)
    print(f"{len(train)} windows to train on, {len(held)} held out, of {len({s.name for s in held})} clips", flush=True)
    began = time.process_time()
    maps, tests, name = cached(options, model.net, model.sha256, train, held)
    work = described(
        options.out / "heads", maps=name, steps=options.steps, batch=options.batch, dilations=options.dilations
    )
    caching = time.process_time() - began
    del train, held
    results: dict[str, list[dict[str, Hits]]] = {}
    spent: dict[str, float] = {}
    for variant in options.variants:
        for seed in range(1 if variant == "single" else options.seeds):
            began = time.process_time()
            stage = StageConfig(steps=options.steps, batch=options.batch, lr=1e-3, warmup=50, ema=0.99)
            head = train_head(variant, config, maps, stage, seed, work / f"{variant}-{seed}")
            results.setdefault(variant, []).append({name: find_joints(head, maps_) for name, maps_ in tests.items()})
            spent[variant] = spent.get(variant, 0.0) + time.process_time() - began
            print(f"{variant} seed {seed}: {time.process_time() - began:.0f} s of CPU", flush=True)
    report = {
        "model": model.header.name,
        "sha256": model.sha256,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, {options.threads} threads",
        "settings": {key: getattr(options, key) for key in SETTINGS},
        "within": WITHIN,
        "clips": len(set(tests["plain"].clip)),
        "windows": len(tests["plain"].clip),
        "caching_cpu_s": round(caching, 1),
        "cpu_s": {name: round(value, 1) for name, value in spent.items()},
        "variants": {name: figures(config, name, runs, results) for name, runs in results.items()},
    }
    text = json.dumps(report, indent=1) + "\n"
    write_atomic(options.out / "ablation.json", text, overwrite=True)
    if options.json is not None:
        write_atomic(options.json, text, overwrite=True)
    print(as_table(report))
    return 0


def split(options: argparse.Namespace) -> tuple[list[PoseSample], list[PoseSample]]:
    """Windows to train on and held-out ones, of different clips."""
    parts = options.parts.split(",")
    read = {
        name: [
            s
            for s in read_parts(options.data, parts, split=name, exclude=EXCLUDE, limit=options.limit)
            if len(s.pictures) == 3
        ]
        for name in ("train", "val")
    }
    held = [*read["val"], *(s for s in read["train"] if is_held_out(s.name))]
    names = {s.name for s in held}
    return [s for s in read["train"] if s.name not in names], held


def cached(
    options: argparse.Namespace, net: DCPose, sha256: str, train: list[PoseSample], held: list[PoseSample]
) -> tuple[Maps, dict[str, Maps], str]:
    """Heatmaps of the training windows and, by condition, of the held-out ones; the name of the set."""
    size, augment = options.size, AugmentConfig()
    circumstances = {
        "sha256": sha256, "parts": options.parts, "size": size, "repeats": options.repeats, "limit": options.limit
    }  # fmt: skip
    folder = described(options.out / "maps", **circumstances, windows=(len(train), len(held)))
    backbone = net.backbone.to(memory_format=torch.channels_last)
    common: dict[str, Any] = {"size": size, "enlarge": augment.enlarge}
    make = training_crops(train, size, augment, 0)
    maps = cache_maps(backbone, train, folder, "train", make, options.repeats * len(train), **common)
    tests = {
        name: cache_maps(
            backbone, held, folder, name, held_out_crops(held, size, augment.enlarge, name), len(held), **common
        )
        for name in CONDITIONS
    }
    return maps, tests, folder.name


if __name__ == "__main__":
    sys.exit(main())
