"""The table of docs/guides/gait.md: steps and knee angles of the walk in a sample clip, estimated and true.

    python benchmarks/gait.py                       # runs the network over sample_videos/plaza.mp4
    python benchmarks/gait.py --result gait.json    # takes the result of the guide's second step

The result is smoothed and exported as in the guide; the true joints become a table in the same way. The true person is
the one whose hips are nearest to those of the estimated track.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

import dcpose_cli
from dcpose_cli.evaluation.sample_truth import posetrack_ground_truth, read_truth
from dcpose_cli.render.results import smooth_result

ROOT = Path(__file__).resolve().parents[1]
CLIP = ROOT / "sample_videos/plaza.mp4"
KNEES = ("left_knee_flexion", "right_knee_flexion")


def nearest_track(joints: pl.DataFrame, truth: pl.DataFrame) -> int:
    """The true track whose hips are nearest to those of a table of one person, on average over the frames."""
    hips = pl.col("joint").is_in(["left_hip", "right_hip"])
    both = truth.filter(hips).join(joints.filter(hips), on=["frame", "joint"], suffix="_found").drop_nulls()
    away = ((pl.col("x") - pl.col("x_found")) ** 2 + (pl.col("y") - pl.col("y_found")) ** 2).sqrt().mean()
    return int(both.group_by("track_id").agg(away.alias("away")).sort("away")["track_id"][0])


def steps_of(joints: pl.DataFrame) -> list[float]:
    """Seconds of the steps of one person, as examples/steps.py finds them."""
    step_times = runpy.run_path(str(ROOT / "examples/steps.py"))["step_times"]
    wide = joints.pivot(on="joint", index=["frame", "time"], values="x").sort("frame")
    apart = (wide["left_ankle"] - wide["right_ankle"]).to_numpy().astype(np.float64)
    return [float(time) for time in step_times(wide["time"].to_numpy().astype(np.float64), apart)]


def as_text(found: Path, true: Path) -> str:
    """The table, of a joint table of one person and one of true people; their angles lie beside them."""
    joints, truth = pl.read_csv(found), pl.read_csv(true)
    track = pl.col("track_id") == nearest_track(joints, truth)
    steps = steps_of(joints), steps_of(truth.filter(track))
    angles = [
        pl.read_csv(found.with_stem(f"{found.stem}_angles")),
        pl.read_csv(true.with_stem(f"{true.stem}_angles")).filter(track),
    ]
    knees = [tuple(table.filter(pl.col("angle") == knee) for table in angles) for knee in KNEES]
    errors = []
    for one, other in knees:
        both = one.join(other, on="frame", suffix="_true")
        errors.append((both["degrees"] - both["degrees_true"]).abs().mean())
    lines = [
        ["", "estimated", "true"],
        ["---"] * 3,
        ["steps at (s)", *(", ".join(f"{time:.2f}" for time in times) for times in steps)],
        ["step time (s)", *(f"{np.diff(times).mean():.2f}" if len(times) > 1 else "" for times in steps)],
        ["largest knee flexion, left and right (degrees)",
         *(", ".join(f"{knee[place]['degrees'].max():.0f}" for knee in knees) for place in (0, 1))],
        ["mean absolute error of the knee angle, left and right (degrees)", ", ".join(f"{e:.1f}" for e in errors), ""],
    ]  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The table of the gait guide.")
    parser.add_argument("--result", type=Path, help="a result of the clip, made before; else the network runs")
    parser.add_argument("--track", type=int, default=0, help="track of the person who is measured")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        result = options.result or folder / "gait.json"
        if options.result is None:
            dcpose_cli.export_json(CLIP, result, fix_swaps=True)
        smooth_result(result, folder / "smooth.json")
        dcpose_cli.convert(folder / "smooth.json", folder / "gait.csv", to="csv", track=options.track, kpt_thr=0.3)
        truth = posetrack_ground_truth(read_truth(CLIP.with_suffix(".json")))
        (folder / "true.json").write_text(json.dumps(truth), encoding="utf-8")
        dcpose_cli.convert(folder / "true.json", folder / "true.csv", to="csv", fps=25)
        print(as_text(folder / "gait.csv", folder / "true.csv"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
