"""A box that is far too high or low for a moment is found, and nothing that lasts or is slow."""

from __future__ import annotations

import pytest

from dcpose_cli.people.spikes import spike_frames, spike_start


def start(*heights: float, longest: int = 3) -> int | None:
    """Of successive frames."""
    return spike_start(list(enumerate(heights)), longest)


def test_a_spike_lies_between_the_last_good_box_and_this_one() -> None:
    assert start(100, 100, 150, 100) == 1
    assert start(100, 60, 60, 60, 100) == 0
    assert start(208, 320, 310, 302, 160) == 0
    assert start(100, 140, 128, 100) == 0  # on its way back
    assert start(100, 70, 78, 100) == 0


@pytest.mark.parametrize(
    "heights",
    [
        (100, 100, 130, 100),
        (100, 150, 150, 150),
        (100, 150, 150, 150, 150, 100),
        (100, 115, 132, 152, 170),
        (100, 150, 60, 100),
        (100, 140, 122, 100),
        (100, 100),
        (100,),
    ],
    ids=["little", "it lasts", "too long", "growth", "both ways", "partly little", "nothing between", "nobody before"],
)
def test_everything_else_is_no_spike(heights: tuple[float, ...]) -> None:
    assert start(*heights) is None


def test_frames_without_a_detection_count() -> None:
    assert spike_start([(0, 100.0), (2, 150.0), (4, 100.0)], 3) == 0
    assert spike_start([(0, 100.0), (2, 150.0), (5, 100.0)], 3) is None


def test_the_time_is_the_same_for_all_rates() -> None:
    assert [spike_frames(fps) for fps in (1, 30, 60)] == [0, 4, 9]
