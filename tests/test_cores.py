"""Work on several cores: in order, one core each, and nothing left behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from dcpose_cli._cores import cores_for, on_cores, pieces


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_items_are_worked_on_at_the_same_time_and_come_back_in_order():
    together = threading.Barrier(3, timeout=20)

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


def test_what_goes_wrong_is_raised_when_all_have_ended():
    ended = []

    def work(item):
        if item == 1:
            raise MemoryError("too much")
        ended.append(item)

    with pytest.raises(MemoryError, match="too much"):
        on_cores(work, [0, 1, 2], 2)
    assert 0 in ended
    assert not [t for t in threading.enumerate() if t.name.startswith("dcpose-core")]


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


@pytest.mark.usefixtures("four_threads")
def test_cores_are_torchs_threads_on_a_cpu_and_one_elsewhere():
    assert cores_for(torch.device("cpu")) == 4
    assert cores_for(torch.device("meta")) == 1
