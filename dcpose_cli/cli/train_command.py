"""Body of `dcpose train`."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import UsageError
from ..files import require_free_target, shown
from ..infer import resolve_device
from ..training.loop import Progress
from ..training.recipe import load_recipe
from ..training.train import train
from ..weights import WEIGHTS_NAME, save_model
from .console import message


def train_model(
    recipe: Path,
    data: Path,
    out: Path | None,
    work: Path | None,
    *,
    device: str,
    threads: int | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Train by the recipe and save the network in float16."""
    plan = load_recipe(recipe)
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

    place = work or Path("runs") / plan.name
    net = train(plan, data, place, device=str(resolve_device(device)), threads=threads, report=report)
    path = save_model(net, folder, name=plan.name, dtype=torch.float16, source="dcpose train", overwrite=overwrite)
    message(f"{shown(path)} written")
