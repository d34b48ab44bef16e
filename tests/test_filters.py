"""Filters of whole tracks: their gain over frequency, no lag, gaps, and what they leave alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcpose_cli import UsageError
from dcpose_cli.filters import Filter, filtered, said_of
from dcpose_cli.types import FrameResult, Person


def track_of(xs, times, *, absent=()):
    """One person whose joints are at x, 2 x; absent: frames without them."""
    frames = []
    for k, (x, time) in enumerate(zip(xs, times, strict=True)):
        points = np.full((17, 3), 0.9, np.float32)
        points[:, 0], points[:, 1], points[3] = x, 2 * x, 0
        person = Person(4, np.array([0, 0, 300, 300], np.float32), 0.9, points)
        frames.append(FrameResult(k, k, float(time), () if k in absent else (person,)))
    return frames


def xs_of(frames, slot=0):
    return np.array([p.keypoints[slot, 0] for frame in frames for p in frame.people], float)


@pytest.mark.parametrize("order", [2, 4, 8])
@pytest.mark.parametrize("hertz", [1, 6, 12, 18])
def test_the_gain_of_butterworth_without_lag(order, hertz):
    """That of two Butterworth filters of half the order, -3 dB at the cut-off together (bilinear transform)."""
    angle = {f: math.tan(math.pi * f / 100) for f in (6, hertz)}
    nominal = angle[6] / (math.sqrt(2) - 1) ** (1 / order)
    expected = 1 / (1 + (angle[hertz] / nominal) ** order)
    if hertz == 6:
        assert expected == pytest.approx(math.sqrt(0.5))
    times = np.arange(600) / 100
    wave = 100 + 20 * np.sin(2 * math.pi * hertz * times)
    out = xs_of(filtered(track_of(wave, times), Filter(method="butterworth", order=order, cutoff=6)))
    part = slice(150, 450)
    gain = (out[part] - 100) @ (wave[part] - 100) / ((wave[part] - 100) @ (wave[part] - 100))
    assert gain == pytest.approx(expected, abs=0.005)
    side = 20 * np.cos(2 * math.pi * hertz * times)[part]
    assert abs((out[part] - 100) @ side / (side @ side)) < 0.01


def test_butterworth_on_irregular_times():
    generator = np.random.default_rng(1)
    times = np.cumsum(generator.uniform(0.008, 0.012, 500))
    slow = 100 + 30 * np.sin(2 * math.pi * times)
    out = xs_of(filtered(track_of(slow + generator.normal(0, 2, 500), times), Filter(method="butterworth")))
    assert np.abs(out - slow)[50:450].mean() < 0.9
    y = [p.keypoints[0, 1] for f in filtered(track_of(slow, times), Filter(method="butterworth")) for p in f.people]
    np.testing.assert_allclose(y, 2 * slow, atol=0.8)


def test_median_takes_spikes_out_and_keeps_steps():
    times, xs = np.arange(40) / 25, np.where(np.arange(40) < 20, 50.0, 90.0)
    spiked = xs.copy()
    spiked[[7, 30, 39]] = 200
    out = xs_of(filtered(track_of(spiked, times), Filter(method="median", window=5)))
    np.testing.assert_array_equal(out[:39], xs[:39])
    assert out[39] == 200  # at the very end there is nothing to compare it with


@pytest.mark.parametrize("method", ["butterworth", "median"])
def test_nothing_goes_across_a_gap(method):
    times = np.arange(200) / 100
    noise = np.random.default_rng(3).normal(0, 3, 200)
    whole = track_of(100 + noise, times, absent=range(90, 110))
    other = [*whole[:110], *track_of(150 + noise, times)[110:]]
    first, second = (filtered(frames, Filter(method=method)) for frames in (whole, other))
    np.testing.assert_array_equal(xs_of(first[:90]), xs_of(second[:90]))
    assert np.abs(xs_of(first[:90]) - xs_of(whole[:90])).max() > 0.5
    assert [len(frame.people) for frame in first] == [len(frame.people) for frame in whole]
    assert all((p.keypoints[3] == 0).all() and (p.keypoints[0, 2] == np.float32(0.9)) for f in first for p in f.people)


def test_what_could_not_be_smoothed_is_said():
    slow = track_of([10.0, 30, 20, 50, 40], range(5))  # one frame per second
    fast = track_of(100 + np.arange(100.0), np.arange(100) / 50)
    for method in ("gaussian", "one-euro", "butterworth", "median"):
        by = Filter(method=method)
        assert "nothing could be smoothed: frames are up to 1.00 s apart" in said_of(slow, by), method
        np.testing.assert_array_equal(xs_of(filtered(slow, by)), xs_of(slow))
        assert said_of(fast, by) == "", method
    short = track_of(np.arange(100.0), np.arange(100) / 50, absent=[*range(40), *range(45, 60)])
    said = said_of(short, Filter(method="butterworth"))
    assert said == "80 of 720 joints could not be smoothed: they stand alone, or in stretches too short for the filter"
    said = said_of(fast, Filter(method="butterworth", cutoff=25.0))
    assert said == "nothing could be smoothed: a cut-off of 25 Hz needs more than 50 frames/s"
    assert "they stand alone" in said_of(fast[:1], Filter(method="butterworth"))
    instant = track_of(np.arange(100.0), np.arange(100) / 1e15)
    said = said_of(instant, Filter(method="butterworth"))
    assert said == "nothing could be smoothed: a cut-off of 6 Hz is too low for 1e+15 frames/s"
    np.testing.assert_array_equal(xs_of(filtered(instant, Filter(method="butterworth"))), xs_of(instant))


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "magic"},
        {"order": 3},
        {"order": 0},
        {"cutoff": 0.0},
        {"cutoff": math.nan},
        {"window": 4},
        {"window": 1},
    ],
)
def test_what_cannot_be_meant(wrong):
    with pytest.raises(UsageError):
        filtered([], Filter(**wrong))
