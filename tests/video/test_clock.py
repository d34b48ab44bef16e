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
        ([5, None, 85], [0, 40, 80]),
        ([None, 700, 740], [0, 40, 80]),
        ([100, 100, 140], [0, 1, 40]),
        ([100, 60, 140], [0, 1, 40]),
        ([9000, 9040, 0, 40, 100], [0, 40, 80, 120, 180]),
        ([0, 40, 80, 120, 160, 0, 40], [0, 40, 80, 120, 160, 200, 240]),
        ([0, 40, 80, 120, 0, 40, 80, 120, 0, 40], [0, 40, 80, 120, 160, 200, 240, 280, 320, 360]),
        ([40_000_000, 40_000_040], [0, 40]),
        ([0, 40, 60_000], [0, 40, 60_000]),
        ([-50, -10, 30], [0, 40, 80]),
        ([0, 2**62, 80], [0, 40, 80]),
    ],
    ids=[
        *("good", "missing", "one missing", "first missing", "twice", "out of order", "set anew", "short piece"),
        *("three short pieces", "late", "pause", "negative", "absurd"),
    ],
)
def test_clock(stamps, expected):
    clock = Clock(Fraction(1, 1000), Fraction(25))
    assert [clock.next(stamp) for stamp in stamps] == expected


@pytest.mark.parametrize(("jump", "expected"), [(9_000, 9_040), (40_000_000, 80)])
def test_clock_that_jumps_ahead_in_a_stream(jump, expected):
    clock = Clock(Fraction(1, 1000), Fraction(25), discontinuous=True)
    assert [clock.next(stamp) for stamp in (0, 40, 40 + jump)] == [0, 40, expected]


def test_shifts_lead_from_stamps_to_times():
    clock = Clock(Fraction(1, 1000), Fraction(25))
    for stamp in (1000, 1040, 1080, 1120, 1160, 1000, 1040):
        clock.next(stamp)
    assert clock.shifts == [-1000, -800]


def test_step_is_at_least_one_tick():
    clock = Clock(Fraction(1, 25), Fraction(1000))
    assert [clock.next(None) for _ in range(3)] == [0, 1, 2]
