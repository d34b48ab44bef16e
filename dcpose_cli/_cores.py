"""Data parallelism on CPU cores: each core processes its own items.

Torch divides each operation among all cores and then waits for the slowest one. With hundreds of small operations, a
core that is busy with decoding or encoding delays all others.
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
    """`work(item)` of every item, in order; up to `cores` run at a time, each in a thread in which torch uses one core.

    Grad mode and autocast belong to a thread: `work` sets what it needs. An exception is raised after all threads have
    finished. The threads are kept for the next call, because a new thread first has to fault its memory in.
    """
    if cores < 2 or len(items) < 2:
        return [work(item) for item in items]
    return _alone(work, items, cores)


def on_one_core(work: Callable[[], R], cores: int) -> R:
    """`work()` in a thread in which torch uses one core. For small networks on single images, where several threads
    are hardly faster, and much slower when a core is busy."""
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
    """A context in which torch's number of threads may be one. The last exit restores the number of the first entry.

    Code that calls `on_cores` from several threads enters it first. Otherwise one thread could restore the number while
    the items of another are running; their matrix products would use more threads and round differently.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset to the state outside the context."""
        self._lock, self._inside, self._before = threading.Lock(), 0, 1

    def threads(self) -> int:
        """The process's number of torch threads outside the context."""
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

    A thread takes the number of the process at its first use of torch and keeps it. A thread that began inside the
    context has taken one. So if the calling thread has one, the number is read in a new thread.
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
    """A forked process has none of the threads, and nothing waits for them."""
    _pool.cache_clear()
    single_threaded.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def pieces(items: NDArray[np.int64], most: int, cores: int) -> list[NDArray[np.int64]]:
    """Split items (N, ...) in order into parts of about equal size: at most `most` items each, and at least one part
    per core if there are enough items. Small parts balance the load when one core is slower."""
    count = max(-(-len(items) // most), min(cores, len(items)), 1)
    return np.array_split(items, count)
