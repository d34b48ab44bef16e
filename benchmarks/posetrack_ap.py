"""AP of a model on PoseTrack, as poseval computes it.

    python benchmarks/posetrack_ap.py --model MODEL --truth POSETRACK/annotations/val --images POSETRACK --out results/

Truth: the annotation files, in PoseTrack17 or PoseTrack18 style. Boxes are theirs unless --boxes names a box file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import dcpose_cli
from dcpose_cli.evaluation.posetrack_set import evaluate_set


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="AP of a model on PoseTrack.")
    parser.add_argument("--model", required=True, help="folder of the model, or a shipped model's name")
    parser.add_argument("--truth", type=Path, required=True, help="annotation file, or folder of them")
    parser.add_argument("--images", type=Path, required=True, help="folder that the pictures' names start from")
    parser.add_argument("--boxes", type=Path, help="box file of a detector (default: the annotated boxes)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results, one file per video")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    estimator = dcpose_cli.PoseEstimator(options.model, options.device)
    result = evaluate_set(
        estimator, options.truth, options.images, options.out, boxes=options.boxes, progress=lambda name: print(name)
    )
    boxes = "annotated boxes" if options.boxes is None else options.boxes.name
    print(f"AP, {options.model}, {boxes}, {result.frames} frames: {json.dumps(result.table())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
