"""The queues pass items in order, pass errors on, and always end."""

from __future__ import annotations

import queue
import threading
from itertools import count

import pytest

from dcpose_cli._threads import ReadAhead, WriteBehind

#: Seconds after which something that must happen has not; nothing waits that long otherwise.
LONG = 60


@pytest.fixture(autouse=True)
def no_threads_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before  # threads of other tests may end meanwhile


def test_reads_in_order_and_not_too_far_ahead():
    taken = []

    def source():
        for number in range(20):
            taken.append(number)
            yield number

    with ReadAhead(source(), 3) as ahead:
        for expected, number in enumerate(ahead):
            assert number == expected
            assert len(taken) <= number + 1 + 3 + 2  # queued, one waiting for room, one just taken out
        assert list(ahead) == []
    assert taken == list(range(20))


def test_reader_passes_the_error_on_at_its_place():
    def source():
        yield 1
        raise KeyError("deep down")

    seen = []
    with pytest.raises(KeyError, match="deep down"), ReadAhead(source(), 4) as ahead:
        seen.extend(ahead)
    with ReadAhead(source(), 4) as ahead:
        each = iter(ahead)
        assert next(each) == 1
        with pytest.raises(KeyError):
            next(each)
        assert list(ahead) == []  # and not a wait for ever


def test_reader_runs_ahead_of_a_consumer_that_waits():
    taken, far_ahead = [], threading.Event()

    def source():
        for number in count():
            taken.append(number)
            if number == 3:  # three are queued, and this one waits for room
                far_ahead.set()
            yield number

    with ReadAhead(source(), 3) as ahead:
        assert far_ahead.wait(LONG)
        assert taken == [0, 1, 2, 3]
        assert next(iter(ahead)) == 0


def test_reader_ends_when_the_consumer_does():
    """An endless source, whose thread waits for room: leaving the block returns, and the thread is gone."""
    behind_it = threading.Event()

    def source():
        for number in count():
            if number == 2:
                behind_it.set()
            yield number

    def consume():
        with ReadAhead(source(), 2) as ahead:
            assert next(iter(ahead)) == 0
            assert behind_it.wait(LONG)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume()


def test_writes_everything_in_order_and_not_too_far_behind():
    put, done = [], []

    def work(item):
        assert len(put) <= len(done) + 1 + 2 + 1  # here, queued, waiting for room
        done.append(item)

    with WriteBehind(work, 2) as behind:
        for number in range(30):
            put.append(number)
            behind.put(number)
    assert done == list(range(30))


def test_producer_waits_for_a_writer_that_is_behind(monkeypatch):
    waited, done = threading.Event(), []

    def work(item):
        assert waited.wait(LONG)  # until the queue has had no room
        done.append(item)

    behind = WriteBehind(work, 2)
    real = behind._queue.put

    def put(item, timeout):
        try:
            real(item, timeout=timeout)
        except queue.Full:
            waited.set()
            raise

    monkeypatch.setattr(behind._queue, "put", put)
    with behind:
        for number in range(8):
            behind.put(number)
    assert done == list(range(8))


def test_writer_error_reaches_a_producer_that_waits():
    done = []

    def work(item):
        if item == 3:
            raise OSError("disk")
        done.append(item)

    def produce():
        with WriteBehind(work, 2) as behind:
            for number in count():
                behind.put(number)

    with pytest.raises(OSError, match="disk"):
        produce()
    assert done == [0, 1, 2]


def test_writer_error_on_the_last_item_is_not_lost():
    def work(_item):
        raise OSError("late")

    with pytest.raises(OSError, match="late"), WriteBehind(work, 2) as behind:
        behind.put(1)


def test_writer_drops_what_waits_when_the_block_fails():
    started, done = threading.Event(), []

    def work(item):
        started.set()
        assert behind._gone.wait(LONG)  # until the block's end has said that the rest is not wanted
        done.append(item)

    behind = WriteBehind(work, 5)

    def produce():
        with behind:
            for number in range(4):
                behind.put(number)
            assert started.wait(LONG)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        produce()
    assert done == [0]


def test_interrupted_wait_leaves_no_thread_at_work(monkeypatch):
    """A signal that arrives while the block's end waits for the thread: the thread ends before the error goes on."""
    release, done = threading.Event(), []

    def work(item):
        assert release.wait(LONG)
        done.append(item)

    behind = WriteBehind(work, 2)
    real, calls = behind._thread.join, []

    def interrupted():
        calls.append(1)
        if len(calls) == 1:
            release.set()
            raise SystemExit(130)
        real()

    monkeypatch.setattr(behind._thread, "join", interrupted)

    def produce():
        with behind:
            behind.put(1)
            behind.put(2)

    with pytest.raises(SystemExit):
        produce()
    assert len(done) <= 2
    assert not behind._thread.is_alive()
