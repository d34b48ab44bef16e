"""The CPU's cores at work at once, each on items of its own.

Torch's own way, all cores on every operation, waits for the slowest core at each of hundreds of small operations, and
one that is busy decoding or encoding holds up all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

T = TypeVar("T")
R = TypeVar("R")


def cores_for(device: torch.device) -> int:
    """How many items to work on at a time: torch's number of threads on a CPU, else one."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def on_cores(work: Callable[[T], R], items: Sequence[T], cores: int) -> list[R]:
    """`work` of every item, in order; up to `cores` at a time, each in a thread in which torch uses one core.

    Grad mode, autocast and the like are the thread's own: `work` sets what it needs. What it raises is raised.
    """
    if cores < 2 or len(items) < 2:
        return [work(item) for item in items]
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(min(cores, len(items)), "dcpose-core", torch.set_num_threads, (1,)) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)  # setting it in a thread also sets what later threads begin with


def pieces(items: NDArray[np.int64], most: int, cores: int) -> list[NDArray[np.int64]]:
    """Items (N, ...) in order, in parts of about the same size: at most `most`, and one for each core where that many
    items are left. Parts that are small beside all items keep a core that is held up from holding up the others."""
    count = max(-(-len(items) // most), min(cores, len(items)), 1)
    return np.array_split(items, count)
