"""Ablations of DCPose (the paper's table 5) on the training pack: every variant with several seeds, one thread.

    python benchmarks/ablation.py --data ../shared/data --out runs/ablation

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

import numpy as np
import torch

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.files import write_atomic
from dcpose_cli.nets import DCPose
from dcpose_cli.training.ablation import (
    CONDITIONS,
    CPU_SET,
    VARIANTS,
    WITHIN,
    Hits,
    Maps,
    cache_maps,
    described,
    find_joints,
    head_of,
    held_out_crops,
    is_held_out,
    train_head,
    training_crops,
)
from dcpose_cli.training.data.pack import PoseSample, read_parts
from dcpose_cli.training.dcpose.recipe import AugmentConfig, StageConfig

#: Test clips, and sources licensed for non-commercial use only.
EXCLUDE = ("peers", "sapiens_itw", "propainter")
#: What a table shows: the condition, and of it all joints or the hidden ones.
COLUMNS = ("plain", "blurred", "covered", "hidden")
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


def figures(
    config: Any, variant: str, runs: list[dict[str, Hits]], results: dict[str, list[dict[str, Hits]]]
) -> dict[str, Any]:
    """Shares of joints found by column: mean and deviation over seeds, and the difference to the complete network."""
    head = head_of(variant, config, 0)
    out: dict[str, Any] = {"parameters": 0 if head is None else sum(p.numel() for p in head.parameters())}
    for column in COLUMNS:
        values = [share(run, column) for run in runs]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        out[column] = {"mean": float(np.mean(values)), "sd": spread, "seeds": values}
        if variant != "complete" and "complete" in results:
            out[column]["minus_complete"] = difference(runs, results["complete"], column)
    return out


def counts(run: dict[str, Hits], column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Found and counted joints per window, and the windows' clips."""
    hits = run["covered" if column == "hidden" else column]
    looked_at = hits.hidden if column == "hidden" else hits.counted
    return (hits.found & looked_at).sum(axis=1), looked_at.sum(axis=1), hits.clip


def share(run: dict[str, Hits], column: str) -> float:
    found, counted, _ = counts(run, column)
    return float(found.sum() / max(counted.sum(), 1))


def difference(runs: list[dict[str, Hits]], complete: list[dict[str, Hits]], column: str) -> dict[str, float]:
    """Mean over seeds of the share, minus the complete network's; 95 % bootstrap over clips."""
    clips = np.unique(runs[0]["plain"].clip)

    def by_clip(some: list[dict[str, Hits]]) -> tuple[np.ndarray, np.ndarray]:
        found, counted = np.zeros(len(clips)), np.zeros(len(clips))
        for run in some:
            hits, looked_at, names = counts(run, column)
            place = np.searchsorted(clips, names)
            np.add.at(found, place, hits / len(some))
            np.add.at(counted, place, looked_at / len(some))
        return found, counted

    (ours, total), (theirs, _) = by_clip(runs), by_clip(complete)
    draws = np.random.default_rng(0).integers(len(clips), size=(2000, len(clips)))
    values = (ours - theirs)[draws].sum(axis=1) / np.maximum(total[draws].sum(axis=1), 1)
    low, high = np.quantile(values, (0.025, 0.975))
    return {"mean": float((ours - theirs).sum() / max(total.sum(), 1)), "low": float(low), "high": float(high)}


def as_table(report: dict[str, Any]) -> str:
    lines = [
        f"{report['model']}, {report['date']}, {report['machine']}: {report['windows']} held-out windows of "
        f"{report['clips']} clips, joints within {report['within']:.0%} of the box, "
        f"{report['settings']['steps']} steps of {report['settings']['batch']}, {report['settings']['seeds']} seeds",
        "",
        f"| variant | parameters of the head | {' | '.join(COLUMNS)} |",
        f"|---|---|{'---|' * len(COLUMNS)}",
    ]
    for name, row in report["variants"].items():
        cells = [cell(row[column]) for column in COLUMNS]
        lines.append(f"| {name} | {row['parameters']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(figure: dict[str, Any]) -> str:
    """In per cent: 71.2 ± 0.3 (-1.4 to -0.2)."""
    text = f"{100 * figure['mean']:.1f}"
    if figure["sd"] is not None:
        text += f" ± {100 * figure['sd']:.1f}"
    if "minus_complete" in figure:
        low, high = (100 * figure["minus_complete"][end] for end in ("low", "high"))
        text += f" ({low:+.1f} to {high:+.1f})"
    return text


if __name__ == "__main__":
    sys.exit(main())
