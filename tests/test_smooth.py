"""Smoothing: less jitter, no lag, nothing across gaps, and bounded look-ahead."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest

from dcpose_cli.errors import UsageError
from dcpose_cli.smooth import FEW_FRAMES, GAP_SECONDS, MAX_FRAMES, METHODS, smooth, smooth_results
from dcpose_cli.types import FrameResult, Person

SMOOTHERS = METHODS[1:]


def path(times):
    """True places (F, 17, 2) of joints that swing about a walker, about 100 pixels tall."""
    joints = np.arange(17)
    x = 40 * times[:, None] + 3 * joints + 8 * np.sin(2 * np.pi * times[:, None] + joints)
    y = 100 + 5 * joints + 8 * np.cos(2 * np.pi * times[:, None] + joints)
    return np.stack([x, y], axis=2)


def frames_of(places, times, confidence=0.8, track=4):
    """One person at these places; the box follows."""
    results = []
    for index, (place, time) in enumerate(zip(places, times, strict=True)):
        points = np.concatenate([place, np.full((17, 1), confidence)], axis=1).astype(np.float32)
        box = np.array([place[0, 0] - 20, 90, 40, 100], np.float32)
        results.append(FrameResult(index, index, float(time), (Person(track, box, 0.9, points),)))
    return results


def places_of(results):
    return np.array([result.people[0].keypoints[:, :2] for result in results], np.float64)


def wobbly(seed=1, frames=75, fps=25.0, noise=1.5, irregular=False):
    generator = np.random.default_rng(seed)
    steps = generator.uniform(0.4, 1.6, frames) if irregular else np.ones(frames)
    times = np.cumsum(steps) / fps
    true = path(times)
    return times, true, true + generator.normal(0, noise, true.shape)


@pytest.mark.parametrize("irregular", [False, True])
@pytest.mark.parametrize("method", SMOOTHERS)
def test_jitter_and_error_fall_without_lag(method, irregular):
    times, true, noisy = wobbly(irregular=irregular)
    smoothed = places_of(smooth_results(frames_of(noisy, times), method))

    def jitter(places):
        return np.sqrt(np.mean(np.diff(places - true, 2, axis=0) ** 2))

    assert jitter(smoothed) < 0.6 * jitter(noisy)
    assert np.sqrt(np.mean((smoothed - true) ** 2)) < np.sqrt(np.mean((noisy - true) ** 2))
    late = [np.mean((smoothed - path(times - shift)) ** 2) for shift in (-0.04, 0.0, 0.04)]
    assert np.argmin(late) == 1


@pytest.mark.parametrize("method", SMOOTHERS)
def test_a_spike_of_low_confidence_goes(method):
    times, true, _ = wobbly(noise=0)
    results = frames_of(true, times)
    spoiled = results[30].people[0].keypoints.copy()
    spoiled[9] += (60, 0, -0.5)
    results[30] = replace(results[30], people=(replace(results[30].people[0], keypoints=spoiled),))
    smoothed = places_of(smooth_results(results, method))
    assert np.abs(smoothed[30, 9] - true[30, 9]).max() < 2.5
    assert np.abs(smoothed[28:33] - true[28:33]).max() < 4


def test_uneven_times_count_as_they_are():
    times = np.cumsum([0.01, 0.05, 0.02, 0.03, 0.06, 0.01, 0.04, 0.02, 0.05])
    straight = times[:, None, None] * np.ones((1, 17, 2)) * 200
    smoothed = places_of(smooth_results(frames_of(straight, times), "gaussian"))
    np.testing.assert_allclose(smoothed, straight, atol=1e-3)  # a line stays itself, ends included


def without(results, gone):
    return [replace(r, people=()) if k in gone else r for k, r in enumerate(results)]


def paused(results, at):
    later = [replace(r, time=r.time + GAP_SECONDS) for r in results[at:]]
    return [*results[:at], *later]


def cut(results, at):
    moved = []
    for r in results[at:]:
        person = r.people[0]
        moved.append(replace(r, people=(replace(person, bbox=person.bbox + np.array([500, 0, 0, 0], np.float32)),)))
    return [*results[:at], *moved]


@pytest.mark.parametrize("method", SMOOTHERS)
@pytest.mark.parametrize("gap", ["absent", "pause", "cut"])
def test_nothing_crosses_a_gap(method, gap):
    times, _, noisy = wobbly(frames=40)
    results = frames_of(noisy, times)
    joined = {"absent": without(results, {20}), "pause": paused(results, 20), "cut": cut(results, 20)}[gap]
    whole = list(smooth_results(joined, method))
    apart = [*smooth_results(joined[:20], method), *smooth_results(joined[20:], method)]
    for one, other in zip(whole, apart, strict=True):
        for a, b in zip(one.people, other.people, strict=True):
            np.testing.assert_array_equal(a.keypoints, b.keypoints)
    assert [len(r.people) for r in whole] == [len(r.people) for r in joined]


@pytest.mark.parametrize("method", SMOOTHERS)
def test_an_absent_joint_is_a_gap_of_that_joint_alone(method):
    times, _, noisy = wobbly(frames=30)
    results = frames_of(noisy, times)
    points = results[15].people[0].keypoints.copy()
    points[9] = 0
    holed = [*results]
    holed[15] = replace(results[15], people=(replace(results[15].people[0], keypoints=points),))
    full, less = list(smooth_results(results, method)), list(smooth_results(holed, method))
    assert (less[15].people[0].keypoints[9] == 0).all()
    a, b = places_of(full), places_of(less)
    others = [j for j in range(17) if j != 9]
    np.testing.assert_array_equal(a[:, others], b[:, others])
    before = places_of(smooth_results(results[:15], method))
    np.testing.assert_array_equal(b[:15, 9], before[:, 9])


@pytest.mark.parametrize("method", SMOOTHERS)
def test_only_places_change(method):
    times, _, noisy = wobbly(frames=20)
    results = frames_of(noisy, times)
    kept = [r.people[0].keypoints.copy() for r in results]
    for before, after in zip(results, smooth_results(results, method), strict=True):
        assert (after.index, after.pts, after.time, after.damaged) == (
            before.index, before.pts, before.time, before.damaged,
        )  # fmt: skip
        one, other = before.people[0], after.people[0]
        assert (other.track_id, other.score) == (one.track_id, one.score)
        np.testing.assert_array_equal(other.bbox, one.bbox)
        np.testing.assert_array_equal(other.keypoints[:, 2], one.keypoints[:, 2])
        assert other.keypoints.dtype == np.float32
    for raw, result in zip(kept, results, strict=True):
        np.testing.assert_array_equal(raw, result.people[0].keypoints)


def test_two_people_do_not_mix():
    times, true, _ = wobbly(frames=20, noise=0)
    one, other = frames_of(true, times, track=1), frames_of(true[:, ::-1], times, track=2)
    both = [replace(a, people=(b.people[0], a.people[0])) for a, b in zip(one, other, strict=True)]
    smoothed = [r.people[1] for r in smooth_results(both, "gaussian")]
    alone = [r.people[0] for r in smooth_results(one, "gaussian")]
    for a, b in zip(smoothed, alone, strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)


@pytest.mark.parametrize(("method", "ahead"), [("none", 0), ("one-euro", FEW_FRAMES), ("gaussian", MAX_FRAMES)])
def test_look_ahead_is_bounded_at_any_frame_rate(method, ahead):
    times, _, noisy = wobbly(frames=4, fps=10_000)
    taken = []

    def endless():
        for index in count():
            taken.append(index)
            yield index, replace(frames_of(noisy[:1], times[:1])[0], index=index, pts=index, time=index * 1e-4)

    for position, (item, result) in enumerate(islice(smooth(endless(), method), 200)):
        assert item == result.index == position
        assert len(taken) - position <= ahead + 1


def test_none_hands_everything_through():
    times, _, noisy = wobbly(frames=5)
    results = frames_of(noisy, times)
    assert all(a is b for a, b in zip(smooth_results(results, "none"), results, strict=True))


def test_other_names_are_refused():
    with pytest.raises(UsageError, match="gaussian"):
        smooth([], "kalman")
