"""Data-parallel training: every process computes a part of each batch, gradients are averaged over the processes.

`torchrun --nproc-per-node 4 --no-python dcpose train …` starts them and sets each one's rank in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor

from ...errors import UsageError

#: Variables that torchrun sets in every process.
_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process' rank among those that train together. Only the first one writes files and reports."""

    rank: int = 0
    local: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def share(self, step: int, batch: int) -> tuple[int, int]:
        """(step, batch) whose samples are this process' part of the common batch of `step`.

        Raises UsageError where the batch cannot be shared equally.
        """
        if batch % self.count:
            raise UsageError(
                f"a batch of {batch} cannot be shared by {self.count} processes", hint="make it a multiple"
            )
        return step * self.count + self.rank, batch // self.count

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace the floating tensors, shaped alike in all processes, by their mean over the processes."""
        if self.count == 1:
            return
        flat = torch.cat([t.detach().reshape(-1).float() for t in tensors])
        dist.all_reduce(flat)
        parts = torch.split(flat / self.count, [t.numel() for t in tensors])
        with torch.no_grad():
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def any(self, here: bool, device: torch.device) -> bool:
        """Whether `here` is true in any process; every process must call it."""
        if self.count == 1:
            return here
        found = torch.tensor(float(here), device=device)
        dist.all_reduce(found)
        return bool(found > 0)

    def device(self, name: str) -> torch.device:
        """The device of this process: of "cuda", the GPU of its local rank."""
        return torch.device(f"cuda:{self.local}" if name == "cuda" and self.count > 1 else name)


#: Training in one process.
SINGLE_PROCESS: Final = Ranks()


def own_ranks() -> Ranks:
    """This process' rank in torchrun's environment; SINGLE_PROCESS where torchrun did not start it."""
    if not all(name in os.environ for name in _VARIABLES):
        return SINGLE_PROCESS
    return Ranks(int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"]))


@contextmanager
def process_group(device: str) -> Iterator[Ranks]:
    """Join torchrun's process group, if there is one, and leave it at the end. device: "cpu" or "cuda"."""
    ranks = own_ranks()
    if ranks.count == 1:
        yield ranks
        return
    here = ranks.device(device)
    if here.type == "cuda":
        torch.cuda.set_device(here)
    dist.init_process_group("nccl" if here.type == "cuda" else "gloo")
    try:
        yield ranks
    finally:
        dist.destroy_process_group()
