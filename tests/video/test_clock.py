"""PTS that only go forward, whatever the file says."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dcpose_cli.video.clock import Clock


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([0, 33, 67, 100], [0, 33, 67, 100]),
        ([None, None, None], [0, 40, 80]),
        ([5, None, 85], [5, 45, 85]),
        ([100, 100, 140], [100, 101, 140]),
        ([100, 60, 140], [100, 101, 140]),
        ([9000, 9040, 0, 40, 100], [9000, 9040, 9080, 9120, 9180]),
        ([-50, -10, 30], [-50, -10, 30]),
        ([0, 2**62, 80], [0, 40, 80]),
    ],
    ids=["good", "missing", "one missing", "twice", "out of order", "set anew", "negative", "absurd"],
)
def test_clock(stamps, expected):
    clock = Clock(Fraction(1, 1000), Fraction(25))
    assert [clock.next(stamp) for stamp in stamps] == expected


def test_step_is_at_least_one_tick():
    clock = Clock(Fraction(1, 25), Fraction(1000))
    assert [clock.next(None) for _ in range(3)] == [0, 1, 2]
