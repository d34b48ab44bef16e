"""Batches made ahead by threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

_Made = TypeVar("_Made")


class Prefetched(Generic[_Made]):
    """Batches of coming steps, made by threads while the network computes the current one; the same batches."""

    def __init__(self, make: Callable[[int], _Made], steps: int, workers: int) -> None:
        self._make, self._steps, self._ahead = make, steps, 2 * workers
        self._pool = ThreadPoolExecutor(workers, "dcpose-batch") if workers else None
        self._coming: dict[int, Future[_Made]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __call__(self, step: int) -> _Made:
        """The batch of a step; what making it raised is raised here."""
        if self._pool is None:
            return self._make(step)
        for coming in range(step, min(step + self._ahead, self._steps)):
            if coming not in self._coming:
                self._coming[coming] = self._pool.submit(self._make, coming)
        return self._coming.pop(step).result()
