"""Writes a pose model's card from its weights, its recipe, its notes, its logs and the figures of other benchmarks.

    python benchmarks/accuracy.py --model models/dcpose-s --data DIR --json benchmarks/results/dcpose-s.json \\
        --pictures models/dcpose-s
    python benchmarks/temporal_gain --data DIR --backbone models/dcpose-s --json benchmarks/results/dcpose-s-gain.json
    python benchmarks/card.py --model models/dcpose-s --accuracy benchmarks/results/dcpose-s.json --data DIR \\
        --logs runs/dcpose-s --gain benchmarks/results/dcpose-s-gain.json --ablation benchmarks/results/ablation.json

--logs is the folder that the training worked in: its CSV files are kept in benchmarks/results, and its curves beside
the card. Without it the kept ones are used. Nothing in a card is typed by hand but models/NAME/notes.md, which says
what the model is for and what it is bad at.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ablation.figures import as_table
from torch.utils.flop_counter import FlopCounterMode

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.evaluation.cost import cost_of
from dcpose_cli.files import sha256_of, write_atomic
from dcpose_cli.pose.model import LoadedModel
from dcpose_cli.training.data.pack import is_held_out, split_of
from dcpose_cli.training.dcpose.recipe import Recipe
from dcpose_cli.training.dsta.recipe import DSTARecipe
from dcpose_cli.training.engine.curves import draw_curves
from dcpose_cli.training.recipes import load_recipe

#: The labelling networks' own figures on the same people (all teachers combined), published with the data.
TEACHERS = {"stills": {"pck@0.2 torso": 0.918, "pckh@0.5": 0.962}, "lspet": {"pck@0.2 torso": 0.649, "pckh@0.5": 0.690}}
RESULTS = Path(__file__).resolve().parent / "results"
GROUPS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a pose model's card.")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, with recipe.toml and notes.md")
    parser.add_argument("--accuracy", type=Path, required=True, help="JSON of benchmarks/accuracy.py")
    parser.add_argument("--data", type=Path, required=True, help="training data, for counts, licences and hashes")
    parser.add_argument("--logs", type=Path, help="folder the training worked in")
    parser.add_argument("--gain", type=Path, help="JSON of benchmarks/temporal_gain")
    parser.add_argument("--ablation", type=Path, help="JSON of benchmarks/ablation")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where logs are kept (default: %(default)s)")
    options = parser.parse_args(arguments)
    model = open_model(options.model)
    figures = read_json(options.accuracy)
    if figures["samples"]["model"]["sha256"] != model.sha256:
        raise SystemExit(
            f"{options.accuracy} measured another file than {model.path}: run benchmarks/accuracy.py again"
        )
    path = options.model / "recipe.toml"
    recipe = load_recipe(path)
    parts = [
        network_section(model),
        (options.model / "notes.md").read_text(encoding="utf-8").strip(),
        accuracy_section(figures),
        scores_section(figures),
        *([gain_section(read_json(options.gain))] if options.gain else []),
        *([ablation_section(read_json(options.ablation), model.sha256)] if options.ablation else []),
        *pictures_section(options.model),
        training_section(
            recipe, options.data, log_of(options, recipe), curves=(options.model / "curves.png").is_file()
        ),
    ]
    write_atomic(options.model / "card.md", "\n\n".join(parts) + "\n", overwrite=True)
    return 0


def read_json(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def ablation_section(report: dict[str, Any], sha256: str) -> str:
    """What each piece of the head brings: the paper's table 5 on our data. sha256: of the model the card is for."""
    same = report["sha256"] == sha256
    backbone = "this model's backbone" if same else f"an earlier version's backbone (sha256 `{report['sha256']}`)"
    heading, *table = as_table(report).splitlines()
    return "\n".join(
        [
            "## What each piece of the head brings",
            "",
            f"`benchmarks/ablation`: heads of every kind trained alike, small, on heatmaps of {backbone}; "
            f"{heading.removeprefix(report['model'] + ', ')}. Per cent of the joints found: as they are, with the "
            "current frame blurred along the motion, with part of the person covered, and of the covered joints alone; "
            "± over seeds, in brackets the difference to the complete head (95 %, over clips). The held-out clips are "
            "new to the heads; the backbone learnt from frames of most of them, the same for all rows.",
            *table,
        ]
    )


def network_section(model: LoadedModel) -> str:
    net, header = model.net, model.header
    width, height = header.input_size
    whole = cost_of(model)
    parameters = whole.parameters
    lines = [f"# {header.name}", ""]
    cost = f"{whole.gmac:.2f} GMAC per person and frame"
    if whole.frames > 1:
        crop = gmac(net.backbone, torch.zeros(1, 3, height, width))
        cost = f"{crop:.2f} GMAC per crop (backbone), {cost} ({whole.frames} crops and the head)"
    lines += [
        f"{type(net).__name__} with {parameters:,} parameters, input {width}x{height}, {cost}.",
        f"`model.safetensors`: {model.path.stat().st_size / 2**20:.2f} MiB, sha256 `{model.sha256}`.",
    ]
    return "\n".join(lines)


@torch.no_grad()
def gmac(net: torch.nn.Module, *inputs: torch.Tensor) -> float:
    """Multiply-accumulates of one pass in billions; sampling in the deformable step is not counted."""
    with FlopCounterMode(display=False) as counter:
        net(*inputs)
    return counter.get_total_flops() / 2e9


def accuracy_section(figures: dict[str, Any]) -> str:
    lines = [
        "## Measured",
        "",
        f"`benchmarks/accuracy.py`, {figures['date']}, {figures['machine']}, device {figures['device']}. Intervals: "
        "95 % bootstrap over people. The held-out pictures cannot be passed on; their hashes are below.",
        "",
        "Pictures with human labels and human boxes (one picture serves as all three frames, no flip test):",
        "",
        f"| people | measure | all | 95 % | {' | '.join(GROUPS)} | labelling networks |",
        f"|---|---|---|---|{'---|' * len(GROUPS)}---|",
    ]
    for name, part in figures["heldout"]["parts"].items():
        for measure in ("pck@0.2 torso", "pckh@0.5"):
            total = part[measure]["total"]
            low, high = total["interval"]
            cells = [number(part[measure].get(group, {}).get("value")) for group in GROUPS]
            lines.append(
                f"| {name} ({part['people']}) | {measure} ({total['joints']} joints) | **{total['value']:.3f}** | "
                f"{low:.3f}-{high:.3f} | {' | '.join(cells)} | {TEACHERS[name][measure]:.3f} |"
            )
    lines += ["", "OKS-AP (COCO's, the area of the box as the person's) on the same people, their boxes given:", ""]
    lines += ap_table({name: part["oks_ap"] for name, part in figures["heldout"]["parts"].items()})
    samples = figures["samples"]
    joints = samples["people"]["joints"]
    low, high = joints["total"]["interval"]
    lines += [
        "",
        f"The rendered sample clips, end to end with detector `{samples['detector']['name']}`: share of the visible "
        f"joints within half a head size, {joints['total']['value']:.3f} in all ({low:.3f}-{high:.3f}, over "
        f"{joints['total']['people']} people), and PoseTrack AP:",
        "",
        "| clip | joints | people found | surplus people | AP |",
        "|---|---|---|---|---|",
    ]
    for name, clip in samples["clips"].items():
        lines.append(
            f"| {name} | {clip['value']:.3f} of {clip['joints']} | {clip['matched']} of {clip['people']} | "
            f"{clip['surplus']} | {clip['ap']['Total']:.1f} |"
        )
    groups = ", ".join(f"{name} {number(joints[name]['value'])}" for name in GROUPS)
    lines += ["", f"By joint: {groups}. OKS-AP end to end, hidden joints included:", ""]
    lines += ap_table({"sample clips": samples["people"]["oks_ap"]})
    lines += [
        "",
        f"The {samples['frames']} frames of the clips took {samples['seconds']} s, everything included.",
        "",
        *(f"`{name}` sha256 `{digest}`  " for name, digest in figures["heldout"]["sha256"].items()),
    ]
    return "\n".join(lines)


def ap_table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """OKS-AP of several sets, per joint group."""
    lines = [f"| people | all | 95 % | {' | '.join(GROUPS)} |", f"|---|---|---|{'---|' * len(GROUPS)}"]
    for name, groups in rows.items():
        total = groups["all"]
        low, high = total["interval"]
        cells = [number(groups[group]["value"]) for group in GROUPS]
        lines.append(
            f"| {name} ({total['people']}) | **{total['value']:.3f}** | {low:.3f}-{high:.3f} | {' | '.join(cells)} |"
        )
    return lines


def scores_section(figures: dict[str, Any]) -> str:
    """What a score means, on every set it was measured on."""
    sets = {f"{name}: within 0.2 torso": part["scores"] for name, part in figures["heldout"]["parts"].items()}
    sets["sample clips: within half a head"] = figures["samples"]["people"]["scores"]
    scores = [rate["score"] for rate in next(iter(sets.values()))]
    lines = [
        "## What a score means",
        "",
        "Share of joints in the right place among those whose score is within 0.1 of:",
        "",
        f"| people | {' | '.join(f'{score:.1f}' for score in scores)} |",
        f"|---|{'---|' * len(scores)}",
    ]
    for name, rates in sets.items():
        lines.append(f"| {name} | {' | '.join(rate_cell(rate) for rate in rates)} |")
    return "\n".join(lines)


def rate_cell(rate: dict[str, Any]) -> str:
    if rate["value"] is None:
        return "-"
    low, high = rate["interval"]
    return f"{rate['value']:.2f} ({low:.2f}-{high:.2f}, {rate['joints']} joints)"


def gain_section(gain: dict[str, Any]) -> str:
    """What the three frames add."""
    damaged = gain["damaged"]
    lines = [
        "## What the three frames add",
        "",
        f"`benchmarks/temporal_gain`, {gain['date']}: {gain['windows']} windows of {gain['clips']} clips, "
        f"{gain['joints']} joints, backbone sha256 `{gain['backbone']['sha256']}`. Joints within 0.2 of the torso, "
        "in %; gains in points with their 95 % interval over clips.",
        "",
    ]
    names = [name for name in next(iter(gain["conditions"].values())) if name != "gain"]
    lines += [f"| current frame | {' | '.join(names)} | gain |", f"|---|{'---|' * len(names)}---|"]
    for condition, row in gain["conditions"].items():
        cells = " | ".join(f"{row[name]:.1f}" for name in names)
        lines.append(f"| {condition} | {cells} | {points(row['gain'])} |")
    seeds = ", ".join(f"{name} {points(value)}" for name, value in damaged["gain by head"].items())
    against = ", ".join(f"{name} {points(value)}" for name, value in damaged.items() if name.startswith("against"))
    lines += ["", f"Damaged, all kinds together: {points(damaged['gain'])}; {seeds}; {against}."]
    return "\n".join(lines)


def points(values: Sequence[float]) -> str:
    return f"{values[0]:+.1f} ({values[1]:+.1f} to {values[2]:+.1f})"


def pictures_section(model: Path) -> list[str]:
    """The sheets of benchmarks/accuracy.py --pictures, if they were made."""
    shown = {"good.jpg": "Done best", "bad.jpg": "Done worst"}
    lines = [f"{text} (truth green, found red):\n\n![{text}]({name})" for name, text in shown.items()
             if (model / name).is_file()]  # fmt: skip
    return ["\n\n".join(["## People of the sample clips", *lines])] if lines else []


@dataclass(frozen=True, slots=True)
class StageLog:
    """Of one stage: steps made, and hours that they took, validation and pauses not counted."""

    steps: int
    hours: float


def log_of(options: argparse.Namespace, recipe: Recipe | DSTARecipe) -> dict[str, StageLog]:
    """What the logs say of every stage; the logs of --logs are kept first, and their curves drawn."""
    kept = {name: options.results / f"{recipe.name}-{name}" for name in ("log.csv", "validation.csv")}
    if options.logs:
        for name, path in kept.items():
            if (options.logs / name).is_file():
                write_atomic(path, (options.logs / name).read_bytes(), overwrite=True)
        curves = draw_curves(options.logs)
        if curves is not None:
            write_atomic(options.model / "curves.png", curves.read_bytes(), overwrite=True)
    log = kept["log.csv"] if kept["log.csv"].is_file() else options.results / f"{recipe.name}-training.csv"
    if not log.is_file():
        return {}
    with log.open(newline="", encoding="utf-8") as file:
        rows = list({(row["stage"], int(row["step"])): row for row in csv.DictReader(file)}.values())
    out = {}
    for number, stage in recipe.stages().items():
        steps, seconds, before = 0, 0.0, 0
        for row in rows:
            if row["stage"] == f"stage{number}":
                steps = int(row["step"])
                seconds += (steps - before) * stage.batch / max(float(row["samples_per_s"]), 1e-9)
                before = steps
        if steps:
            out[f"stage{number}"] = StageLog(steps, seconds / 3600)
    return out


def licences(data: Path) -> dict[str, str]:
    """Licence by source, out of the tables of the data's descriptions (a `source` and a `licence` column)."""
    found: dict[str, str] = {}
    for path in sorted(data.glob("*.md")):
        columns: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
            if "source" in cells and "licence" in cells:
                columns = cells
            elif not cells:
                columns = []
            elif columns and len(cells) == len(columns):
                row = dict(zip(columns, cells, strict=True))
                found.setdefault(row["source"], row["licence"])
    return found


#: In one sentence what each stage does.
STAGES = {
    "stage1": "the backbone on single frames",
    "stage2": "the head on windows of three frames, the backbone frozen",
    "stage3": "both together on windows",
}

DSTA_STAGES = {"stage1": "everything on single frames", "stage2": "everything on windows of three frames"}


def training_section(recipe: Recipe | DSTARecipe, data: Path, logs: dict[str, StageLog], *, curves: bool) -> str:
    lines = ["## Training", "", f"`dcpose train models/{recipe.name}/recipe.toml --data DIR`", ""]
    for number, stage in recipe.stages().items():
        name = f"stage{number}"
        length = f"{stage.epochs:g} epochs" if stage.epochs else f"{stage.steps:,} steps"
        took = f"; logged: {logs[name].steps:,} steps in {logs[name].hours:.1f} h" if name in logs else ""
        what = DSTA_STAGES[name] if isinstance(recipe, DSTARecipe) else STAGES[name]
        lines.append(f"* Stage {number}, {what}: {length} of {stage.batch}{took}.")
    if curves:
        lines += ["", "![Loss and validation](curves.png)"]
    if recipe.data.hold_out_clips:
        lines += ["", f"Clips held out by a hash of their names: {100 * recipe.data.hold_out_clips:g} %."]
    lines += [
        "",
        "People (stills) and windows (triplets) used, by source; the pictures are not passed on:",
        "",
        "| part | train | human labels | sha256 of the labels |",
        "|---|---|---|---|",
    ]
    sources: Counter[str] = Counter()
    for part in (*recipe.data.stills, *recipe.data.triplets):
        path = data / f"{part}.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        images = {
            image["id"]: image
            for image in content["images"]
            if split_of(image, {one.source: one.share for one in recipe.data.validate}) == "train"
            and image["source"] not in recipe.data.exclude
            and image.get("role", "c") == "c"
            and not ("clip" in image and is_held_out(image["clip"], recipe.data.hold_out_clips))
        }
        people = [a for a in content["annotations"] if a["image_id"] in images]
        human = sum(a.get("label_kind") == "human" for a in people)
        sources.update(images[a["image_id"]]["source"] for a in people)
        lines.append(f"| {part} | {len(people):,} | {human:,} | `{sha256_of(path)}` |")
    known = licences(data)
    lines += ["", "| source | train | licence |", "|---|---|---|"]
    lines += [f"| {name} | {count:,} | {known.get(name, 'not stated')} |" for name, count in sources.most_common()]
    lines += [""]
    lines += [f"Left out: {', '.join(recipe.data.exclude)}."]
    return "\n".join(lines)


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
