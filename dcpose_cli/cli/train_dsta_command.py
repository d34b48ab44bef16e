"""Body of `dcpose train` for recipes of the kind "dsta"."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import UsageError
from ..files import require_free_target, shown
from ..infer import resolve_device
from ..skeleton import EAR_SLOTS, NUM_JOINTS
from ..training.dsta import train_dsta
from ..training.dsta_recipe import load_dsta_recipe
from ..training.loop import Progress
from ..weights import WEIGHTS_NAME, load_model, save_model
from .console import message
from .train_command import stop_between_steps


def train_dsta_model(
    recipe: Path,
    data: Path,
    out: Path | None,
    work: Path | None,
    *,
    init: str | None,
    device: str,
    threads: int | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Train by the recipe and save the network in float16."""
    plan = load_dsta_recipe(recipe)
    folder = out or recipe.parent
    if not data.is_dir():
        raise UsageError(f"--data {shown(data)} is not a folder")
    if not overwrite:
        require_free_target(folder / WEIGHTS_NAME, overwrite=False)

    def report(progress: Progress) -> None:
        if not quiet:
            message(
                f"{progress.stage} {progress.step}/{progress.steps} loss {progress.loss:.4f} "
                f"lr {progress.lr:.2e} {progress.rate:.0f} samples/s"
            )

    start = None if init is None else load_model(init)
    target = str(resolve_device(device))
    with stop_between_steps() as between:
        net = train_dsta(
            plan, data, work or Path("runs") / plan.name, device=target, threads=threads, init=start, report=report,
            between=between,
        )  # fmt: skip
    predicts = tuple(slot for slot in range(NUM_JOINTS) if slot not in EAR_SLOTS)
    path = save_model(
        net, folder, name=plan.name, dtype=torch.float16, predicts=predicts, source="dcpose train", overwrite=overwrite
    )
    message(f"{shown(path)} written")
