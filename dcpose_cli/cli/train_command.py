"""Body of `dcpose train`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ..checkpoints.files import WEIGHTS_NAME
from ..errors import UsageError
from ..files import printable, require_free_target
from ..pose.network import resolve_device
from ..training.engine.distributed import own_ranks
from ..training.engine.log import Progress
from ..training.engine.run import RunOptions
from ..training.recipes import KINDS, load_recipe
from .terminal import message
from .times import time_left


def train_model(
    recipe: Path,
    data: Path,
    out: Path | None,
    work: Path | None,
    *,
    init: str | None = None,
    teacher: str | None = None,
    device: str,
    threads: int | None,
    workers: int = 0,
    stages: str | None = None,
    tensorboard: bool = False,
    accept_changes: bool = False,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Train by the recipe and save the network."""
    plan = load_recipe(recipe)
    kind = KINDS[plan.kind]
    folder = out or recipe.parent
    if teacher is not None and not kind.teacher:
        raise UsageError(
            "--teacher is for recipes of detectors", hint=f"{printable(recipe)} is of the kind {plan.kind}"
        )
    if not data.is_dir():
        raise UsageError("--data is not a folder", path=data)
    if not overwrite:
        require_free_target(folder / WEIGHTS_NAME, overwrite=False)

    def report(progress: Progress) -> None:
        if not quiet:
            parts = "".join(f" {name} {value:.4f}" for name, value in progress.parts.items())
            left = f", about {time_left(progress.left)}" if progress.step < progress.steps else ""
            message(
                f"{progress.stage} {progress.step}/{progress.steps} loss {progress.loss:.4f}{parts} "
                f"lr {progress.lr:.2e} {progress.rate:.1f} samples/s{left}"
            )

    def notice(text: str) -> None:
        if not quiet and own_ranks().first:
            message(f"dcpose: {text}")

    options: RunOptions = {
        "device": str(resolve_device(device)),
        "threads": threads,
        "workers": workers,
        "stages": None if stages is None else parse_stages(stages),
        "with_tensorboard": tensorboard,
        "accept_changes": accept_changes,
        "report": report,
        "notice": notice,
    }
    start = None if init is None else kind.read_init(init)
    place = work or Path("runs") / plan.name
    extra = {"teacher": teacher} if kind.teacher else {}
    with stop_between_steps() as after_step:
        options["after_step"] = after_step
        net = kind.train(plan, data, place, init=start, **extra, **options)
    if own_ranks().first:
        message(f"{printable(kind.save(net, plan, folder, overwrite=overwrite))} written")


def parse_stages(text: str) -> list[int]:
    """ "2,3" -> [2, 3]. Raises UsageError."""
    parts = text.split(",")
    if not all(part.strip() in ("1", "2", "3") for part in parts):
        raise UsageError(f"--stages is a list such as 2,3, got {text}")
    return sorted({int(part) for part in parts})


@contextmanager
def stop_between_steps() -> Iterator[Callable[[], None]]:
    """SIGINT and SIGTERM end a training after the step under way, with a checkpoint; a second one ends it at once.

    So does the first one before the end of the first step, when there is nothing to keep; of processes that train
    together none can end before the others do.
    Yields the function that training calls after every step.
    """
    asked: list[int] = []
    waits = own_ranks().count > 1

    def note(number: int, frame: FrameType | None) -> None:
        if asked or not waits:
            raise SystemExit(128 + number)
        asked.append(number)

    def after_step() -> None:
        nonlocal waits
        waits = True
        if asked:
            message("dcpose: the checkpoint is kept; the same command goes on from it")
            raise SystemExit(128 + asked[0])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield after_step
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
