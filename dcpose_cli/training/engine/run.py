"""A run of a training: its folder, device and logs, which trainings of all kinds share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import torch
from torch import nn

from ..._memory import keep_freed_memory
from ..._recovery import remove_stale
from ...errors import UsageError
from ...files import output_error
from .checkpoint import settings_of
from .config import LoopConfig
from .curves import draw_curves, tensorboard
from .distributed import SINGLE_PROCESS, Ranks, process_group
from .log import Progress, Scalars
from .loop import Loop
from .sources import Sources

_Stage = TypeVar("_Stage", bound=LoopConfig)


class RunOptions(TypedDict, total=False):
    """How a training runs; nothing here changes the result, but for `stages`, `limit`, `device` and `threads`.

    device: "cpu" (default) or "cuda". threads: torch's threads while training, as they are by default. workers: threads
    that make batches ahead, 0 by default. stages: which to run, all of the recipe's by default. limit: at most so many
    samples of each part of the data. with_tensorboard: also write event files. on_device: keep all pictures in the
    device's memory and make batches there; None (default): where a CUDA device has room for them. accept_changes:
    continue also from checkpoints that were trained on other labels, or with another `init` or teacher. report:
    receives every line of the log, the first step, and between lines the progress after half a minute. notice: receives
    lines for the user. after_step: called after every step; to stop early, raise from it: a checkpoint is written
    and the exception passed on.
    """

    device: str
    threads: int | None
    workers: int
    stages: Sequence[int] | None
    limit: int | None
    with_tensorboard: bool
    on_device: bool | None
    accept_changes: bool
    report: Callable[[Progress], None]
    notice: Callable[[str], None]
    after_step: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Run:
    """An open run. work: folder of checkpoints and logs. sources: what is learnt from, where the training says it.
    The rest as in RunOptions."""

    work: Path
    device: torch.device
    report: Callable[[Progress], None]
    after_step: Callable[[], None]
    scalars: Scalars
    stages: Sequence[int] | None = None
    limit: int | None = None
    workers: int = 0
    on_device: bool | None = None
    ranks: Ranks = SINGLE_PROCESS
    accept_changes: bool = False
    notice: Callable[[str], None] = lambda text: None
    sources: Sources | None = None

    def loop(self, recipe: Any, number: int, net: nn.Module, config: LoopConfig) -> Loop:
        """The loop of stage `number` of a recipe, over the parameters that have gradients."""
        parameters = [p for p in net.parameters() if p.requires_grad]
        return Loop(
            f"stage{number}",
            net,
            parameters,
            config,
            self.work,
            device=self.device,
            report=self.report,
            after_step=self.after_step,
            scalars=self.scalars,
            ranks=self.ranks,
            settings=settings_of(recipe, number),
            sources=self.sources,
            accept_changes=self.accept_changes,
            notice=self.notice,
        )

    def autocast(self, config: LoopConfig) -> contextlib.AbstractContextManager[object]:
        """bfloat16 where the stage wants it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16)

    def stages_of(self, name: str, configs: Mapping[int, _Stage]) -> Sequence[int]:
        """The stages to run of the recipe `name`. Raises UsageError for one it lacks."""
        stages = self.stages or sorted(configs)
        missing = [number for number in stages if number not in configs]
        if missing:
            raise UsageError(
                f"the recipe {name} has no stage {missing[0]}", hint=f"it has {', '.join(map(str, configs))}"
            )
        return stages


@contextmanager
def open_run(work: Path, **options: Unpack[RunOptions]) -> Iterator[Run]:
    """A run in the folder `work`, which is made. Curves are drawn when it is done.

    Raises OutputError, or UsageError when TensorBoard is asked for and not installed.
    """
    device = options.get("device", "cpu")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, work) from error
    if device == "cpu":
        keep_freed_memory()
    with process_group(device) as ranks, _threads(options.get("threads")):
        if ranks.first:
            remove_stale(work)  # a resumed run does not write every file again
        with tensorboard(work if options.get("with_tensorboard") and ranks.first else None) as scalars:
            yield Run(
                work,
                ranks.device(device),
                options.get("report", lambda progress: None),
                options.get("after_step", lambda: None),
                scalars,
                options.get("stages"),
                options.get("limit"),
                options.get("workers", 0),
                options.get("on_device"),
                ranks,
                options.get("accept_changes", False),
                options.get("notice", lambda text: None),
            )
        if ranks.first:
            draw_curves(work)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """torch's number of threads, restored afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
