"""Body of `dcpose train`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from ..checkpoints.files import WEIGHTS_NAME, load_model, save_model
from ..errors import UsageError
from ..files import require_free_target, shown
from ..nets import DSTA, DCPose, HRNet, SimpleBaseline
from ..pose.network import resolve_device
from ..skeleton import LABELLED_SLOTS
from ..training.dcpose.recipe import load_recipe
from ..training.dcpose.train import train
from ..training.dsta.recipe import DSTARecipe, is_dsta_recipe, load_dsta_recipe
from ..training.dsta.train import train_dsta
from ..training.engine.distributed import own_ranks
from ..training.engine.loop import Progress
from .terminal import message


def train_model(
    recipe: Path,
    data: Path,
    out: Path | None,
    work: Path | None,
    *,
    init: str | None = None,
    device: str,
    threads: int | None,
    workers: int = 0,
    stages: str | None = None,
    tensorboard: bool = False,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Train by the recipe and save the network in float16."""
    plan = load_dsta_recipe(recipe) if is_dsta_recipe(recipe) else load_recipe(recipe)
    chosen = None if stages is None else parse_stages(stages)
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
    options: dict[str, Any] = {"threads": threads, "workers": workers, "stages": chosen, "report": report}
    options |= {"with_tensorboard": tensorboard, "device": str(resolve_device(device))}
    place = work or Path("runs") / plan.name
    net: DCPose | DSTA
    predicts = None
    decoding = "quarter"
    with stop_between_steps() as between:
        if isinstance(plan, DSTARecipe):
            net = train_dsta(plan, data, place, init=start, between=between, **options)
            predicts = LABELLED_SLOTS  # the outputs of ears are those of head_top
        else:
            net = train(plan, data, place, init=_dcpose_or_backbone(start), between=between, **options)
            decoding = plan.decoding
    if not own_ranks().first:
        return
    path = save_model(
        net,
        folder,
        name=plan.name,
        dtype=torch.float16,
        predicts=predicts,
        source="dcpose train",
        decoding=decoding,
        overwrite=overwrite,
    )
    message(f"{shown(path)} written")


def _dcpose_or_backbone(start: nn.Module | None) -> DCPose | HRNet | SimpleBaseline | None:
    """The model to start a DCPose from. Raises UsageError for one of another kind."""
    if start is not None and not isinstance(start, (DCPose, HRNet, SimpleBaseline)):
        raise UsageError(f"--init is a model of the kind {type(start).__name__}; give a DCPose, or its backbone")
    return start


def parse_stages(text: str) -> list[int]:
    """ "2,3" -> [2, 3]. Raises UsageError."""
    parts = text.split(",")
    if not all(part.strip() in ("1", "2", "3") for part in parts):
        raise UsageError(f"--stages is a list such as 2,3, got {text}")
    return sorted({int(part) for part in parts})


@contextmanager
def stop_between_steps() -> Iterator[Callable[[], None]]:
    """SIGINT and SIGTERM end a training after the step under way, with a checkpoint; a second one ends it at once.

    Yields what training calls after every step.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise SystemExit(128 + number)
        asked.append(number)

    def between() -> None:
        if asked:
            message("dcpose: the checkpoint is kept; the same command goes on from it")
            raise SystemExit(128 + asked[0])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield between
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
