"""Several processes that train one network: every one a share of each batch, gradients averaged.

`torchrun --nproc-per-node 4 --no-python dcpose train …` starts them; each is told its place by torchrun's variables.
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

#: What torchrun tells every process it starts.
_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process' place among those that train together. Only the first one writes files and reports."""

    rank: int = 0
    local: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def share(self, step: int, batch: int) -> tuple[int, int]:
        """(step, batch) whose samples are this process' part of the common batch of `step`.

        Raises UsageError where the batch cannot be shared equally.
        """
        if batch % self.count:
            raise UsageError(f"a batch of {batch} cannot be shared by {self.count} processes; make it a multiple")
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
        """Whether it holds in any process; all of them must ask."""
        if self.count == 1:
            return here
        found = torch.tensor(float(here), device=device)
        dist.all_reduce(found)
        return bool(found > 0)

    def device(self, name: str) -> torch.device:
        """Plain "cuda" is another GPU in every process of one machine."""
        return torch.device(f"cuda:{self.local}" if name == "cuda" and self.count > 1 else name)


#: A process that trains by itself.
ALONE: Final = Ranks()


def own_ranks() -> Ranks:
    """This process' place as torchrun says; the only one where it was started otherwise."""
    if not all(name in os.environ for name in _VARIABLES):
        return ALONE
    return Ranks(int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"]))


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Meet the other processes, and part from them at the end. device: that trains, "cpu" or "cuda"."""
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
