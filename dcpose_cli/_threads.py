"""Work beside the main thread: bounded queues that pass errors on and always end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
#: Seconds between checks whether the other side has ended.
_POLL = 0.1


class _End:
    """Last entry of a queue; carries the error that ended the work, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class ReadAhead(Generic[T]):
    """Iterates over `source` in a thread, at most `depth` items ahead. A context manager: leaving it ends the thread.

    What `source` raises is raised by the iteration, at its place in the order. Iterate once.
    """

    def __init__(self, source: Iterable[T], depth: int) -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._work, args=(source,), name="dcpose-read", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        _join(self._thread, self._stop)

    def __iter__(self) -> Iterator[T]:
        while not self._ended:
            item = self._queue.get()
            if isinstance(item, _End):
                self._ended = True
                if item.error is not None:
                    raise item.error
                return
            yield item

    def _work(self, source: Iterable[T]) -> None:
        try:
            for item in source:
                if not _put(self._queue, item, self._stop):
                    return
            _put(self._queue, _End(), self._stop)
        except BaseException as error:  # handed to the consumer, who raises it
            _put(self._queue, _End(error), self._stop)


class WriteBehind(Generic[T]):
    """Calls `work(item)` in a thread, at most `depth` items behind. A context manager.

    What `work` raises is raised by the next `put` or when the block ends; after that nothing more is done. When the
    block itself raises, items that wait are dropped.
    """

    def __init__(self, work: Callable[[T], None], depth: int) -> None:
        self._work = work
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dcpose-write", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._gone.set()
        try:
            _put(self._queue, _End(), self._gone)
            self._thread.join()
        finally:  # a signal may end the wait; the thread must not outlive this block all the same
            _join(self._thread, self._gone)
        if kind is None and self._error is not None:
            raise self._error

    def put(self, item: T) -> None:
        """Queue an item, waiting while `depth` of them are ahead of it."""
        if not _put(self._queue, item, self._gone) and self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not self._gone.is_set():
            try:
                item = self._queue.get(timeout=_POLL)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                return
            try:
                self._work(item)
            except BaseException as error:  # handed to the producer, who raises it
                self._error = error
                self._gone.set()
                return


def _put(line: queue.Queue[T | _End], item: T | _End, gone: threading.Event) -> bool:
    """Queue `item` as soon as there is room; False when the other side has ended."""
    while not gone.is_set():
        try:
            line.put(item, timeout=_POLL)
        except queue.Full:
            continue
        return True
    return False


def _join(thread: threading.Thread, stop: threading.Event) -> None:
    """End a thread that checks `stop`, even when a signal handler raises while we wait for it."""
    stop.set()
    try:
        thread.join()
    except BaseException:
        thread.join()
        raise
