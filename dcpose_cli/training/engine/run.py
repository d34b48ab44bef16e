"""What trainings of all kinds share: where they work and whom they tell, their samples, the sizes of their crops."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import torch
from torch import nn

from ..._memory import keep_freed_memory
from ...errors import UsageError
from ...files import output_error
from ..data.pack import PoseSample
from ..data.readers import read_samples
from ..dcpose.recipe import DataConfig, StageConfig
from .curves import draw_curves, tensorboard
from .distributed import ALONE, Ranks, joined
from .loop import Loop, Progress, Scalars

#: People of the validation split looked at, per part.
VALIDATION_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class Run:
    """Where a training works and whom it tells. workers: threads that make batches ahead, 0 for none. on_device: make
    batches on the device, all pictures in its memory; None: where they fit into that of a CUDA device."""

    work: Path
    device: torch.device
    report: Callable[[Progress], None]
    between: Callable[[], None]
    scalars: Scalars
    workers: int = 0
    on_device: bool | None = None
    ranks: Ranks = ALONE

    def loop(self, name: str, net: nn.Module, config: StageConfig) -> Loop:
        """The loop of a stage over what has gradients."""
        parameters = [p for p in net.parameters() if p.requires_grad]
        return Loop(
            name,
            net,
            parameters,
            config,
            self.work,
            device=self.device,
            report=self.report,
            between=self.between,
            scalars=self.scalars,
            ranks=self.ranks,
        )

    def autocast(self, config: StageConfig) -> contextlib.AbstractContextManager[object]:
        """bfloat16 where the stage wants it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16)


@contextmanager
def open_run(
    work: Path,
    device: str,
    *,
    threads: int | None,
    workers: int,
    with_tensorboard: bool,
    report: Callable[[Progress], None],
    between: Callable[[], None],
    on_device: bool | None = None,
) -> Iterator[Run]:
    """A run in the folder `work`, which is made; arguments as those of `train`. Curves are drawn when it is done.

    Raises OutputError, or UsageError when TensorBoard is asked for and not installed.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, work) from error
    if device == "cpu":
        keep_freed_memory()
    with joined(device) as ranks, _threads(threads):
        with tensorboard(work if with_tensorboard and ranks.first else None) as scalars:
            yield Run(work, ranks.device(device), report, between, scalars, workers, on_device, ranks)
        if ranks.first:
            draw_curves(work)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """torch's number of threads, put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stages_to_run(name: str, configs: Mapping[int, StageConfig], wanted: Sequence[int] | None) -> Sequence[int]:
    """The wanted stages of the recipe `name`, all of `configs` by default. Raises UsageError for one it lacks."""
    stages = wanted or sorted(configs)
    missing = [number for number in stages if number not in configs]
    if missing:
        raise UsageError(f"the recipe {name} has no stage {missing[0]}; it has {', '.join(map(str, configs))}")
    return stages


def read_splits(
    data: Path, config: DataConfig, limit: int | None, *, nothing: str
) -> tuple[list[PoseSample], list[PoseSample]]:
    """Samples to train on and samples held out. limit: of each part; nothing: what to say when there are none.

    Raises InputError or UsageError.
    """
    held = read_samples(data, config, split="val", limit=VALIDATION_LIMIT if limit is None else limit)
    samples = read_samples(data, config, split="train", limit=limit)
    if not samples:
        raise UsageError(nothing)
    times = {one.source: one.times for one in config.repeat}
    measured = {source for group in config.measure for source in group.sources}
    for key, named, there, what in (
        ("repeat", set(times), samples, "train"),
        ("validate", {one.source for one in config.validate}, held, "validate"),
        ("measure", measured, held, "validate"),
    ):
        unknown = sorted(named - {s.source for s in there})
        if unknown:
            raise UsageError(f"data.{key} names {unknown[0]}, a source that no person to {what} on has")
    more = [[s] * (times.get(s.source, config.human_repeat if s.human else 1) - 1) for s in samples]
    return samples + list(chain.from_iterable(more)), held


def phase(config: StageConfig, step: int, full: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """Crop size and target sigma of a step; sigma keeps its size relative to the person."""
    done = 0.0
    for stretch in config.phases:
        done += stretch.share
        if step < done * config.steps - 0.5:
            return stretch.size, config.sigma * stretch.size[1] / full[1]
    size = config.phases[-1].size if config.phases else full
    return size, config.sigma * size[1] / full[1]


def with_motion(samples: list[PoseSample], config: StageConfig) -> list[PoseSample]:
    """Windows as they are, and `stills_share` as many stills set in motion: real motion is rarer than people are
    different."""
    windows = [s for s in samples if len(s.pictures) == 3]
    stills = [s for s in samples if len(s.pictures) == 1]
    wanted = config.stills_share * len(windows) if windows else len(stills)
    if not wanted:
        return windows
    every = max(1, int(len(stills) / wanted))
    return [*windows, *stills[::every]]
