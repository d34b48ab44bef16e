"""The CPU's cores at work at once, each on items of its own.

Torch's own way, all cores on every operation, waits for the slowest core at each of hundreds of small operations, and
one that is busy decoding or encoding holds up all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

T = TypeVar("T")
R = TypeVar("R")


def cores_for(device: torch.device) -> int:
    """How many items to work on at a time: the process's number of torch threads on a CPU, else one."""
    return single_threaded.threads() if device.type == "cpu" else 1


def on_cores(work: Callable[[T], R], items: Sequence[T], cores: int) -> list[R]:
    """`work` of every item, in order; up to `cores` at a time, each in a thread in which torch uses one core.

    Grad mode, autocast and the like are the thread's own: `work` sets what it needs. What it raises is raised when
    nothing runs any more. The threads stay for the next call: a new one would first have to fault its memory in.
    """
    if cores < 2 or len(items) < 2:
        return [work(item) for item in items]
    return _alone(work, items, cores)


def on_one_core(work: Callable[[], R], cores: int) -> R:
    """`work` in a thread in which torch uses one core: for small networks on single pictures. All of torch's threads
    together are hardly quicker there, and far slower where a core is busy."""
    return _alone(lambda _: work(), [None], cores)[0] if cores > 1 else work()


def _alone(work: Callable[[T], R], items: Sequence[T], cores: int) -> list[R]:
    def alone(item: T) -> R:
        torch.set_num_threads(1)  # also sets what threads begin with later, and what MKL uses everywhere
        return work(item)

    with single_threaded:
        running = [_pool(cores).submit(alone, item) for item in items]
        try:
            return [one.result() for one in running]
        finally:
            for one in running:
                one.cancel()
            wait(running)


class _SingleThreaded:
    """Inside, torch's number of threads may become one; the last to leave restores the number of before.

    Whoever has several threads call `on_cores` enters first: a thread that put the number back while another's items
    are at work would give their matrix products more threads, and with them other roundings.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """As if nobody were inside."""
        self._lock, self._inside, self._before = threading.Lock(), 0, 1

    def threads(self) -> int:
        """The process's number of torch threads, as it is while nobody is inside."""
        with self._lock:
            return self._before if self._inside else _process_threads()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = _process_threads()
            self._inside += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch.set_num_threads(self._before)


def _process_threads() -> int:
    """Torch's number of threads, whatever the calling thread has.

    A thread takes the number of the process at its first use of torch and keeps it. One that began while somebody was
    inside has taken one. So where the calling thread has one, a new thread says what the process has.
    """
    own = torch.get_num_threads()
    if own > 1:
        return own
    found: list[int] = []
    fresh = threading.Thread(target=lambda: found.append(torch.get_num_threads()), name="dcpose-threads")
    fresh.start()
    fresh.join()
    return found[0]


single_threaded = _SingleThreaded()


@lru_cache(maxsize=1)
def _pool(cores: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores, "dcpose-core")


def _forked() -> None:
    """The threads, and whoever waited for them, do not come along into a forked process."""
    _pool.cache_clear()
    single_threaded.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def pieces(items: NDArray[np.int64], most: int, cores: int) -> list[NDArray[np.int64]]:
    """Items (N, ...) in order, in parts of about the same size: at most `most`, and one for each core where that many
    items are left. Parts that are small beside all items keep a core that is held up from holding up the others."""
    count = max(-(-len(items) // most), min(cores, len(items)), 1)
    return np.array_split(items, count)
