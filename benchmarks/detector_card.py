"""Writes a detector's card from its weights, its recipe, its notes, its logs and the figures of benchmarks/detector.py.

    python benchmarks/detector.py --detector models/person-n --stock yolov8n.pt --data DIR \\
        --json benchmarks/results/person-n.json
    python benchmarks/detector_card.py --model models/person-n --figures benchmarks/results/person-n.json --data DIR \\
        --logs runs/person-n

Nothing in a card is typed by hand but models/NAME/notes.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from card import RESULTS, licences
from detector import with_interval

from dcpose_cli.files import sha256_of, write_atomic
from dcpose_cli.people.detector import WEIGHTS_NAME, load_detector
from dcpose_cli.training.detector.data import PackReader, origins_of
from dcpose_cli.training.detector.recipe import DetectorRecipe
from dcpose_cli.training.recipes import load_recipe


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a detector's card.")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, with recipe.toml and notes.md")
    parser.add_argument("--figures", type=Path, required=True, help="JSON of benchmarks/detector.py")
    parser.add_argument("--data", type=Path, required=True, help="training data, for counts, licences and hashes")
    parser.add_argument("--logs", type=Path, help="folder the training worked in; its logs are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where logs are kept (default: %(default)s)")
    options = parser.parse_args(arguments)
    figures = json.loads(options.figures.read_text(encoding="utf-8"))
    digest = sha256_of(options.model / WEIGHTS_NAME)
    if figures["detectors"][0]["sha256"] != digest:
        raise SystemExit(
            f"{options.figures} measured another file than {options.model}: run benchmarks/detector.py again"
        )
    recipe = load_recipe(options.model / "recipe.toml")
    parts = [
        head_section(options.model, recipe, digest),
        (options.model / "notes.md").read_text(encoding="utf-8").strip(),
        measured_section(figures),
        training_section(recipe, options.data, log_rows(options, recipe)),
    ]
    write_atomic(options.model / "card.md", "\n\n".join(parts) + "\n", overwrite=True)
    return 0


def head_section(model: Path, recipe: DetectorRecipe, digest: str) -> str:
    path = model / WEIGHTS_NAME
    count = sum(p.numel() for p in load_detector(path).net.parameters())
    return "\n".join(
        [
            f"# {recipe.name}",
            "",
            f"Person detector, one class, architecture `{recipe.architecture}` as built by ultralytics, {count:,} "
            f"parameters, long side {recipe.imgsz} pixels.",
            f"`{WEIGHTS_NAME}`: {path.stat().st_size / 2**20:.2f} MiB, sha256 `{digest}`.",
        ]
    )


def measured_section(figures: dict[str, Any]) -> str:
    detectors = figures["detectors"]
    lines = [
        "## Measured",
        "",
        f"`benchmarks/detector.py`, {figures['date']}, {figures['machine']}, on held-out pictures with human boxes, "
        f"all detectors in one run; boxes with a score of at least {figures['conf']}. Intervals: 95 %, whole pictures "
        "drawn anew.",
        "",
        header(detectors),
        f"|---|{'---|' * len(detectors)}",
    ]
    for part in detectors[0]["recall"]:
        cells = " | ".join(with_interval(d["recall"][part]) for d in detectors)
        lines.append(f"| recall of people taller than a third of the picture, {part} | {cells} |")
    for name, text in (
        ("false boxes per picture", "false boxes per picture, everybody boxed"),
        ("ap50", "AP50, everybody boxed"),
    ):
        lines.append(f"| {text} | {' | '.join(with_interval(d[name]) for d in detectors)} |")
    lines += ["", *(f"`{name}` sha256 `{digest}`  " for name, digest in figures["sha256"].items())]
    return "\n".join(lines)


def header(detectors: Sequence[dict[str, Any]]) -> str:
    names = [f"{row['name']} at {row['imgsz']} px" for row in detectors]
    return f"| measure | {' | '.join(names)} |"


def log_rows(options: argparse.Namespace, recipe: DetectorRecipe) -> list[dict[str, str]]:
    """The training's log; that of --logs is kept first."""
    kept = options.results / f"{recipe.name}-log.csv"
    if options.logs and (options.logs / "log.csv").is_file():
        write_atomic(kept, (options.logs / "log.csv").read_bytes(), overwrite=True)
    if not kept.is_file():
        return []
    with kept.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def logged(recipe: DetectorRecipe, log: Sequence[dict[str, str]]) -> str:
    """Steps, canvases and hours of the log; logs before version 0.7 have columns for the last two."""
    if not log:
        return ""
    steps = int(log[-1]["step"])
    if "elapsed" in log[-1]:
        canvases, hours = int(log[-1]["samples"]), float(log[-1]["elapsed"]) / 3600
    else:
        canvases, hours, before = 0, 0.0, 0
        for row in log:
            made = sum(recipe.stage1.canvases_of(step, recipe.seed)[1] for step in range(before, int(row["step"])))
            canvases, before = canvases + made, int(row["step"])
            hours += made / max(float(row["samples_per_s"]), 1e-9) / 3600
    return f" Logged: {steps:,} steps, {canvases:,} canvases, {hours:.1f} h."


def training_section(recipe: DetectorRecipe, data: Path, log: Sequence[dict[str, str]]) -> str:
    sides = ", ".join(f"{phase.size} px for {100 * phase.share:g} %" for phase in recipe.stage1.phases)
    distilled = " and gives targets at every place of a canvas" if recipe.stage1.distill else ""
    lines = [
        "## Training",
        "",
        f"`dcpose train models/{recipe.name}/recipe.toml --data DIR --teacher yolov8n.pt`: "
        f"{recipe.stage1.steps:,} steps, canvases of {sides} of them.{logged(recipe, log)} "
        f"The teacher boxes the other people on crops{distilled}; no weights are taken from it.",
        "",
        "| part | pictures | boxes | boxes by people | sha256 of the labels |",
        "|---|---|---|---|---|",
    ]
    sources: Counter[str] = Counter()
    parts = (*recipe.data.whole, *recipe.data.crops, *recipe.data.validation)
    held = PackReader(data, recipe.data).origins(parts, "val")
    seen: set[str] = set()
    for part in (*recipe.data.whole, *recipe.data.crops):
        path = data / f"{part}.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        images = {
            image["id"]: image["source"].removeprefix("clip_")
            for image in content["images"]
            if image["split"] == "train"
            and image["source"].removeprefix("clip_") not in recipe.data.exclude
            and not (part in recipe.data.crops and image["source"] in recipe.data.exclude_crops)
            and image.get("role", "c") == "c"
            and not origins_of(image) & (held if part in recipe.data.crops else held | seen)
        }
        if part in recipe.data.whole:
            seen |= {
                name
                for image in content["images"]
                if image["id"] in images and not image["source"].startswith("clip_")
                for name in origins_of(image)
            }
        boxes = [a for a in content["annotations"] if a["image_id"] in images and not a.get("ignore")]
        human = sum(a.get("label_kind") == "human" for a in boxes)
        sources.update(images.values())
        lines.append(f"| {part} | {len(images):,} | {len(boxes):,} | {human:,} | `{sha256_of(path)}` |")
    known = licences(data)
    lines += ["", "| source | pictures | licence |", "|---|---|---|"]
    lines += [f"| {name} | {count:,} | {known.get(name, 'not stated')} |" for name, count in sources.most_common()]
    lines += [
        "",
        f"Left out: {', '.join(recipe.data.exclude)}, and what shares a photograph or clip with validation.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
