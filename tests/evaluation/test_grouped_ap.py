from __future__ import annotations

import math

import numpy as np
import pytest

from dcpose_cli.evaluation.calibration import SCORES, hit_rates
from dcpose_cli.evaluation.grouped_ap import THRESHOLDS, Matched, grouped_ap
from dcpose_cli.skeleton import JOINT_GROUPS, OKS_SIGMAS

NOBODY = np.zeros((0, 17))


def people(count, seed=0):
    """(N, 17, 3) labelled joints and areas."""
    truth = np.random.default_rng(seed).uniform(0, 200, (count, 17, 3))
    truth[..., 2] = 2
    return truth, np.full(count, 10_000.0)


def predicted(truth, scores, shift=0.0):
    out = truth.copy()
    out[..., 0] += shift
    out[..., 2] = np.reshape(scores, (-1, 1))
    return out


def test_perfect_is_one_in_every_group():
    truth, areas = people(4)
    result = grouped_ap([Matched(predicted(truth, [0.9] * 4), truth, areas, np.arange(4), NOBODY)])
    assert set(result) == {"all", *JOINT_GROUPS}
    assert {ap.value for ap in result.values()} == {1.0}
    assert result["all"].interval == (1.0, 1.0)
    assert result["all"].people == 4


def test_thresholds_count_one_by_one():
    """A shift that gives every joint of the group the similarity s is right at the thresholds up to s."""
    truth, areas = people(1)
    similarity = 0.77
    sigma = 2 * OKS_SIGMAS[9]
    shift = math.sqrt(-2 * areas[0] * sigma**2 * math.log(similarity))
    frame = Matched(predicted(truth, [0.9], shift), truth, areas, np.arange(1), NOBODY)
    assert grouped_ap([frame])["wrist"].value == pytest.approx(
        sum(t <= similarity for t in THRESHOLDS) / len(THRESHOLDS)
    )


def test_missed_people_and_surplus_ones():
    truth, areas = people(2)
    found = predicted(truth, [0.8, 0.8])
    found[1] = np.nan
    half = grouped_ap([Matched(found, truth, areas, np.arange(2), NOBODY)])["all"]
    assert half.value == pytest.approx(51 / 101)  # the recalls 0, 0.01 ... 0.5
    both = predicted(truth, [0.8, 0.4])
    first = np.full((1, 17), 0.9)  # somebody who is not there comes first
    worse = grouped_ap([Matched(both, truth, areas, np.arange(2), first)])["all"].value
    assert worse == pytest.approx(2 / 3)  # the envelope ends at two of three
    last = np.full((1, 17), 0.1)
    assert grouped_ap([Matched(both, truth, areas, np.arange(2), last)])["all"].value == 1


def test_people_without_joints_of_a_group_do_not_count_there():
    truth, areas = people(2)
    truth[0, 15:17, 2] = 0
    frame = Matched(predicted(truth, [0.8, 0.8]), truth, areas, np.arange(2), NOBODY)
    assert (grouped_ap([frame])["ankle"].people, grouped_ap([frame])["knee"].people) == (1, 2)
    truth[..., 2] = 0
    none = grouped_ap([Matched(predicted(truth, [0.8, 0.8]), truth, areas, np.arange(2), NOBODY)])["all"]
    assert none.people == 0
    assert math.isnan(none.value)


def test_intervals_are_over_people_not_frames():
    """Two people in fifty frames each: one always right, one never."""
    truth, areas = people(2)
    found = predicted(truth, [0.8, 0.8])
    found[1, :, 0] += 500
    frames = [Matched(found, truth, areas, np.arange(2), NOBODY) for _ in range(50)]
    result = grouped_ap(frames)["all"]
    assert result.interval == (0.0, 1.0)
    assert 0.2 < result.value < 0.6


def test_hit_rates():
    scores = np.zeros((4, 17))
    scores[:, 0] = [0.25, 0.35, 0.55, 0.95]
    hits, counted = np.zeros((4, 17), bool), np.zeros((4, 17), bool)
    hits[1:, 0] = True
    counted[:, 0] = True
    rates = hit_rates(scores, hits, counted, np.array([7, 7, 9, 9]))
    assert [r.score for r in rates] == list(SCORES)
    assert [(r.value, r.joints) for r in rates[:2]] == [(0.5, 2), (1.0, 1)]
    assert rates[2].joints == 0
    assert math.isnan(rates[2].value)
    assert rates[0].interval == (0.5, 0.5)  # both belong to one person
