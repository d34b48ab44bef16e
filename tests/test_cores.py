"""Work on several cores: in order, one core each."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from dcpose_cli import _cores
from dcpose_cli._cores import cores_for, on_cores, on_one_core, pieces, single_threaded

#: Seconds after which something that must happen has not; nothing waits that long otherwise.
LONG = 60


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_items_are_worked_on_at_the_same_time_and_come_back_in_order():
    together = threading.Barrier(3, timeout=LONG)

    def work(item):
        together.wait()  # nobody passes unless three work at once
        return item, torch.get_num_threads(), threading.current_thread().name

    found = on_cores(work, [5, 3, 4], 3)
    assert [item for item, _, _ in found] == [5, 3, 4]
    assert {threads for _, threads, _ in found} == {1}
    assert len({name for _, _, name in found}) == 3
    assert torch.get_num_threads() == 4
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [4]


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(("items", "cores"), [([7], 4), ([7, 8, 9], 1), ([], 4)])
def test_one_item_or_one_core_stays_in_the_thread(items, cores):
    here = threading.current_thread()
    assert on_cores(lambda item: (item, threading.current_thread()), items, cores) == [(i, here) for i in items]


@pytest.mark.usefixtures("four_threads")
def test_two_callers_do_not_change_each_others_threads():
    inside, leave, seen = threading.Event(), threading.Event(), []

    def slow(item):
        inside.set()
        leave.wait(LONG)
        return torch.get_num_threads()

    with single_threaded:
        other = threading.Thread(target=lambda: seen.extend(on_cores(slow, [1, 2], 3)))
        other.start()
        assert inside.wait(LONG)
        assert on_cores(lambda item: torch.get_num_threads(), [1], 3) == [4]  # one item stays here
        assert on_one_core(torch.get_num_threads, 3) == 1
        leave.set()
        other.join()
        assert seen == [1, 1]
    assert torch.get_num_threads() == 4
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen[2:] == [4]


def test_what_goes_wrong_is_raised_when_all_have_ended():
    ended = []

    def work(item):
        if item == 1:
            raise MemoryError("too much")
        ended.append(item)

    with pytest.raises(MemoryError, match="too much"):
        on_cores(work, [0, 1, 2], 2)
    assert 0 in ended
    assert on_cores(lambda item: item + 1, [1, 2], 2) == [2, 3]  # the threads go on


@pytest.mark.usefixtures("four_threads")
def test_what_had_not_begun_when_something_went_wrong_never_begins(monkeypatch):
    """The items at work are held until the rest has been cancelled, so the order of events is always the same."""
    cancelled, begun, ended = threading.Event(), [], []
    real = _cores.wait

    def wait(running):  # called when all that can be cancelled has been
        cancelled.set()
        return real(running)

    def work(item):
        begun.append(item)
        if item == 0:
            raise MemoryError("too much")
        assert cancelled.wait(LONG)
        ended.append(item)

    monkeypatch.setattr(_cores, "wait", wait)
    with pytest.raises(MemoryError):
        on_cores(work, list(range(60)), 2)
    assert set(begun) <= {0, 1, 2}  # item 0, and what its two threads took before it was known
    assert sorted(ended) == sorted(set(begun) - {0})  # the error is raised when these have ended
    both = threading.Barrier(2, timeout=LONG)
    on_cores(lambda _: both.wait(), [1, 2], 2)  # the threads take what is next in their queue: nothing was left there
    assert set(begun) <= {0, 1, 2}


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(("cores", "threads"), [(3, 1), (1, 4)])
def test_one_core_for_one_piece_of_work(cores, threads):
    assert on_one_core(torch.get_num_threads, cores) == threads
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("four_threads")
def test_threads_stay_and_do_not_grow_in_number():
    together = threading.Barrier(3, timeout=LONG)

    def work(_):
        together.wait()  # each of the three threads has one item
        return threading.current_thread()

    first, *later = [set(on_cores(work, [0, 1, 2], 3)) for _ in range(5)]
    assert len(first) == 3
    assert all(threads == first for threads in later)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_has_threads_of_its_own():
    code = """
import os, sys, torch
from dcpose_cli._cores import on_cores
torch.set_num_threads(2)
assert on_cores(lambda item: item, [1, 2, 3], 2) == [1, 2, 3]
child = os.fork()
if not child:
    os._exit(0 if on_cores(lambda item: item, [4, 5], 2) == [4, 5] else 1)
sys.exit(os.waitpid(child, 0)[1])
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("count", "most", "cores", "sizes"),
    [
        (0, 6, 3, [0]),
        (1, 6, 3, [1]),
        (7, 6, 3, [3, 2, 2]),  # every core gets something
        (7, 6, 1, [4, 3]),  # and nothing is larger than asked for
        (48, 6, 2, [6] * 8),
        (13, 6, 2, [5, 4, 4]),
    ],
)
def test_pieces_hold_everything_once_in_parts_of_even_size(count, most, cores, sizes):
    parts = pieces(np.arange(count), most, cores)
    assert np.concatenate(parts).tolist() == list(range(count))
    assert [len(part) for part in parts] == sizes


def in_new_thread(work):
    """What `work` returns in a thread of its own."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.usefixtures("four_threads")
def test_a_thread_that_begins_during_another_run_has_all_cores():
    """Torch gives it the one thread that the run at work uses, for ever; `cores_for` must not take that for the
    process's number, during that run or later, nor may the thread leave one thread to the process."""
    cpu = torch.device("cpu")
    begun, run_ended, seen = threading.Event(), threading.Event(), []

    def during_and_after():
        seen.append((torch.get_num_threads(), cores_for(cpu)))
        begun.set()
        assert run_ended.wait(LONG)
        seen.append((torch.get_num_threads(), cores_for(cpu)))
        seen.append(on_cores(lambda _: torch.get_num_threads(), [1, 2], 2))

    with single_threaded:
        assert on_one_core(torch.get_num_threads, 4) == 1  # as in a run: what threads begin with is one now
        late = threading.Thread(target=during_and_after)
        late.start()
        assert begun.wait(LONG)
    run_ended.set()
    late.join()
    assert seen == [(1, 4), (1, 4), [1, 1]]
    assert in_new_thread(torch.get_num_threads) == 4
    assert in_new_thread(lambda: cores_for(cpu)) == 4


@pytest.mark.usefixtures("four_threads")
def test_cores_are_torchs_threads_on_a_cpu_and_one_elsewhere():
    assert cores_for(torch.device("cpu")) == 4
    assert cores_for(torch.device("meta")) == 1
