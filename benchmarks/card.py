"""Writes a pose model's card from its weights, its recipe, its notes and the figures of benchmarks/accuracy.py.

    python benchmarks/accuracy.py --model models/dcpose-s --data DIR --json benchmarks/results/dcpose-s.json
    python benchmarks/card.py --model models/dcpose-s --accuracy benchmarks/results/dcpose-s.json --data DIR

Nothing in a card is typed by hand but models/NAME/notes.md, which says what the model is for and what it is bad at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from dcpose_cli.evaluation.cost import cost_of
from dcpose_cli.files import sha256_of, write_atomic
from dcpose_cli.training.recipe import Recipe, load_recipe
from dcpose_cli.weights import LoadedModel, open_model

#: The labelling networks' own figures on the same people (all teachers combined), published with the data.
TEACHERS = {"stills": {"pck@0.2 torso": 0.918, "pckh@0.5": 0.962}, "lspet": {"pck@0.2 torso": 0.649, "pckh@0.5": 0.690}}
GROUPS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a pose model's card.")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, with recipe.toml and notes.md")
    parser.add_argument("--accuracy", type=Path, required=True, help="JSON of benchmarks/accuracy.py")
    parser.add_argument("--data", type=Path, required=True, help="training data, for counts and hashes")
    options = parser.parse_args(arguments)
    model = open_model(options.model)
    figures = json.loads(options.accuracy.read_text(encoding="utf-8"))
    if figures["samples"]["model"]["sha256"] != model.sha256:
        raise SystemExit(
            f"{options.accuracy} measured another file than {model.path}: run benchmarks/accuracy.py again"
        )
    recipe = load_recipe(options.model / "recipe.toml")
    parts = [
        network_section(model),
        (options.model / "notes.md").read_text(encoding="utf-8").strip(),
        accuracy_section(figures),
        training_section(recipe, options.data),
    ]
    write_atomic(options.model / "card.md", "\n\n".join(parts) + "\n", overwrite=True)
    return 0


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
    samples = figures["samples"]
    lines += [
        "",
        f"The rendered sample clips, end to end with detector `{samples['detector']['name']}`: share of the visible "
        "joints within half a head size, and PoseTrack AP:",
        "",
        "| clip | joints | people found | surplus people | AP |",
        "|---|---|---|---|---|",
    ]
    for name, clip in samples["clips"].items():
        lines.append(
            f"| {name} | {clip['value']:.3f} of {clip['joints']} | {clip['matched']} of {clip['people']} | "
            f"{clip['surplus']} | {clip['ap']['Total']:.1f} |"
        )
    lines += ["", *(f"`{name}` sha256 `{digest}`  " for name, digest in figures["heldout"]["sha256"].items())]
    return "\n".join(lines)


def training_section(recipe: Recipe, data: Path) -> str:
    first, second = recipe.stage1, recipe.stage2
    lines = [
        "## Training",
        "",
        f"`dcpose train models/{recipe.name}/recipe.toml --data DIR`, from random weights. Stage 1, the backbone on "
        f"single frames: {first.steps:,} steps of {first.batch}. Stage 2, the head on windows of three frames with the "
        f"backbone frozen: {second.steps:,} steps of {second.batch}.",
        "",
        "People (stills) and windows (triplets) used, by source; most photographs and clips have no stated licence, so "
        "the pictures are not passed on:",
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
            if image["split"] == "train"
            and image["source"] not in recipe.data.exclude
            and image.get("role", "c") == "c"
        }
        people = [a for a in content["annotations"] if a["image_id"] in images]
        human = sum(a.get("label_kind") == "human" for a in people)
        sources.update(images[a["image_id"]]["source"] for a in people)
        lines.append(f"| {part} | {len(people):,} | {human:,} | `{sha256_of(path)}` |")
    lines += ["", f"Sources: {', '.join(f'{name} {count:,}' for name, count in sources.most_common())}."]
    lines += [f"Left out: {', '.join(recipe.data.exclude)}."]
    return "\n".join(lines)


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
