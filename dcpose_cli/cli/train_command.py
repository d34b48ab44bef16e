"""Body of `dcpose train`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from ..errors import UsageError
from ..files import require_free_target, shown
from ..infer import resolve_device
from ..nets import DCPose, HRNet, SimpleBaseline
from ..training.dsta_recipe import is_dsta_recipe
from ..training.loop import Progress
from ..training.recipe import load_recipe
from ..training.train import train
from ..weights import WEIGHTS_NAME, load_model, save_model
from .console import message


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
    if is_dsta_recipe(recipe):
        from .train_dsta_command import train_dsta_model

        train_dsta_model(
            recipe, data, out, work, init=init, device=device, threads=threads, overwrite=overwrite, quiet=quiet
        )
        return
    plan = load_recipe(recipe)
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
    if start is not None and not isinstance(start, (DCPose, HRNet, SimpleBaseline)):
        raise UsageError(f"--init is a model of the kind {type(start).__name__}; give a DCPose, or its backbone")
    place = work or Path("runs") / plan.name
    target = str(resolve_device(device))
    with stop_between_steps() as between:
        net = train(
            plan, data, place, device=target, threads=threads, workers=workers, stages=chosen, init=start,
            with_tensorboard=tensorboard, report=report, between=between,
        )  # fmt: skip
    path = save_model(net, folder, name=plan.name, dtype=torch.float16, source="dcpose train", overwrite=overwrite)
    message(f"{shown(path)} written")


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
