"""The queues pass items in order, pass errors on, and always end."""

from __future__ import annotations

import threading
import time
from itertools import count

import pytest

from dcpose_cli._threads import ReadAhead, WriteBehind


@pytest.fixture(autouse=True)
def no_threads_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


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


def test_reader_ends_when_the_consumer_does():
    began = time.monotonic()

    def consume():
        with ReadAhead(count(), 2) as ahead:
            assert next(iter(ahead)) == 0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume()
    assert time.monotonic() - began < 5


def test_writes_everything_in_order():
    done = []

    def work(item):
        time.sleep(0.001)
        done.append(item)

    with WriteBehind(work, 2) as behind:
        for number in range(30):
            behind.put(number)
    assert done == list(range(30))


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
        time.sleep(0.2)
        done.append(item)

    def produce():
        with WriteBehind(work, 5) as behind:
            for number in range(4):
                behind.put(number)
            started.wait(5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        produce()
    assert done == [0]


def test_interrupted_wait_leaves_no_thread_at_work(monkeypatch):
    """A signal that arrives while the block's end waits for the thread: the thread ends before the error goes on."""
    release, done = threading.Event(), []

    def work(item):
        release.wait(5)
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
