"""Step times of a person who walks across the picture, seen from the side, from the joint table of a result.

    dcpose convert gait_smooth.json --format csv --out gait.csv --track 0
    python examples/steps.py gait.csv

A step is counted where the horizontal distance between the ankles is largest. That is close to the moment at which the
heel touches the ground. The camera must stand at a right angle to the walking direction.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

SHORTEST_STEP_S = 0.3
LEAST_SHARE = 0.5  # of the largest distance: smaller peaks are not steps


def median_of_five(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) running median over five values: single wrong frames vanish. The first and last two repeat their ends."""
    return np.median(np.lib.stride_tricks.sliding_window_view(np.pad(values, 2, mode="edge"), 5), axis=1)


def step_times(time: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times of the largest ankle distances, in seconds.

    time: (N,) seconds. distance: (N,) pixels between the ankles, NaN where a joint is missing; its sign has no
    influence, so that exchanged legs do no harm. The largest peaks are taken first; a peak closer than SHORTEST_STEP_S
    to one that was taken is left out, and so is one at either end, where the step may be cut.
    """
    known = np.isfinite(distance)
    time, apart = time[known], median_of_five(np.abs(distance[known]))
    found: list[float] = []
    for index in np.argsort(-apart, kind="stable"):
        if apart[index] < LEAST_SHARE * apart.max():
            break
        near = np.abs(time - time[index]) < SHORTEST_STEP_S / 2
        is_peak = apart[index] == apart[near].max() and 0 < index < len(apart) - 1
        middle = float(time[near & (apart == apart[index])].mean())
        if is_peak and all(abs(middle - other) >= SHORTEST_STEP_S for other in found):
            found.append(middle)
    return np.array(sorted(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="joint table of one person (.csv of dcpose convert)")
    table = pl.read_csv(parser.parse_args().table)
    ankles = table.filter(pl.col("joint").is_in(["left_ankle", "right_ankle"]))
    wide = ankles.pivot(on="joint", index=["frame", "time"], values="x").sort("frame")
    distance = (wide["left_ankle"] - wide["right_ankle"]).to_numpy().astype(np.float64)
    steps = step_times(wide["time"].to_numpy().astype(np.float64), distance)
    print("steps at", ", ".join(f"{time:.2f} s" for time in steps))
    if len(steps) > 1:
        durations = np.diff(steps)
        print(f"step time {durations.mean():.2f} s, {60 / durations.mean():.0f} steps per minute")


if __name__ == "__main__":
    main()
