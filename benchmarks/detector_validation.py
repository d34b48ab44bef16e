"""Scores a detector on the validation pictures of its recipe, as training does.

python benchmarks/detector_validation.py DATA person-n --recipe models/person-n/recipe.toml --size 416 --conf 0.3
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from dcpose_cli.people.detector import load_detector
from dcpose_cli.training.detector.data import PackReader
from dcpose_cli.training.detector.score import NMS_IOU, evaluate
from dcpose_cli.training.recipes import load_recipe


def main(arguments: Sequence[str] | None = None) -> None:
    """One line of scores on the pack's validation pictures per part, size and least score."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path, help="folder of the training pack")
    parser.add_argument("detector", help="model, file or stock name; its class 0 must be the person")
    parser.add_argument("--recipe", type=Path, required=True, help="recipe.toml, for its validation parts")
    parser.add_argument("--parts", nargs="+", help="parts of the pack instead of the recipe's")
    parser.add_argument("--limit", type=int, default=100_000, help="most pictures of a part")
    parser.add_argument("--size", type=int, nargs="+", help="long side in pixels; the model's own by default")
    parser.add_argument("--conf", type=float, nargs="+", default=[0.3], help="least score for recall and false boxes")
    parser.add_argument("--iou", type=float, default=NMS_IOU, help="overlap above which the weaker box is dropped")
    options = parser.parse_args(arguments)
    model = load_detector(options.detector)
    reader = PackReader(options.data, load_recipe(options.recipe).data)
    parts = reader.validation(options.parts, options.limit)
    for part, pictures in parts.items():
        for size in options.size or [model.imgsz]:
            for conf in options.conf:
                row = evaluate(model.net, pictures, size, conf, options.iou, reduced=False)
                print(f"{model.name} on {len(pictures)} pictures of {part}: {json.dumps(row)}")


if __name__ == "__main__":
    main()
