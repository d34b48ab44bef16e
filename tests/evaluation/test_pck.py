"""PCK, PCKh and OKS on arrays whose answers can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcpose_cli.evaluation.pck import head_lengths, mean_oks, oks, pck_torso, pckh, torso_lengths
from dcpose_cli.skeleton import JOINT_GROUPS, OKS_SIGMAS


def truth(people: int = 1) -> np.ndarray:
    """People with head length 10 and torso length 50 (30-40-50), all but the ears labelled."""
    keypoints = np.zeros((people, 17, 3), np.float32)
    keypoints[:, :, 0] = np.arange(17) * 7 + 100
    keypoints[:, :, 1] = 200
    keypoints[:, :, 2] = 2
    keypoints[:, 1, :2] = (50, 60)
    keypoints[:, 2, :2] = (50, 50)
    keypoints[:, 5, :2] = (80, 100)
    keypoints[:, 12, :2] = (50, 140)
    keypoints[:, [3, 4]] = 0
    return keypoints


def test_reference_lengths() -> None:
    people = truth(3)
    people[1, 2, 2] = 0
    people[2, 5, 2] = 0
    np.testing.assert_allclose(head_lengths(people), [10, np.nan, 10])
    np.testing.assert_allclose(torso_lengths(people), [50, 50, np.nan])


def test_everything_right() -> None:
    result = pckh(truth(2), truth(2))
    assert (result.total.hits, result.total.joints, result.total.people) == (30, 30, 2)
    assert result.total.value == 1
    assert result.total.interval == (1, 1)
    assert {name: share.joints for name, share in result.groups.items()} == {
        name: 2 * len(slots) for name, slots in JOINT_GROUPS.items()
    }


@pytest.mark.parametrize(("shift", "right"), [(5.0, True), (5.01, False), (-5.0, True)])
def test_pckh_limit_is_half_the_head_length(shift: float, right: bool) -> None:
    guess = truth().astype(np.float64)
    guess[0, 9, 1] += shift
    result = pckh(guess, truth())
    assert result.total.hits == (15 if right else 14)
    assert result.groups["wrist"].hits == (2 if right else 1)


@pytest.mark.parametrize(("shift", "right"), [(10.0, True), (10.01, False)])
def test_torso_limit_is_a_fifth_of_the_torso(shift: float, right: bool) -> None:
    guess = truth().astype(np.float64)
    guess[0, 15, 0] += shift
    assert pck_torso(guess, truth()).total.hits == (15 if right else 14)


def test_hidden_joints_count_and_unlabelled_do_not() -> None:
    labels = truth()
    labels[0, 9, 2] = 1
    labels[0, 10, 2] = 0
    guess = truth()
    guess[0, [9, 10], 0] += 1000
    result = pck_torso(guess, labels)
    assert (result.total.hits, result.total.joints) == (13, 14)


def test_people_without_a_reference_are_left_out() -> None:
    labels = truth(2)
    labels[0, 1, 2] = 0
    guess = truth(2)
    guess[0, :, :2] += 1000
    assert pckh(guess, labels).total.value == 1
    assert pckh(guess, labels).total.people == 1
    assert pck_torso(guess, labels).total.value == pytest.approx(15 / 29)
    nobody = pckh(guess[:1], labels[:1])
    assert nobody.total.joints == 0
    assert math.isnan(nobody.total.value)
    assert math.isnan(nobody.total.interval[0])


def test_missing_predictions_are_misses() -> None:
    guess = truth()
    guess[0, 9, 0] = np.nan
    assert pckh(guess, truth()).total.hits == 14
    assert oks(guess, truth(), np.array([1000.0]))[0] == pytest.approx(14 / 15)


def test_confidence_plays_no_part() -> None:
    guess = truth()
    guess[:, :, 2] = -1
    assert pckh(guess, truth()).total.value == 1


def test_intervals_resample_people_and_are_repeatable() -> None:
    labels = truth(40)
    guess = labels.copy()
    guess[:10, :, 0] += 500  # ten people wholly wrong
    result = pckh(guess, labels)
    low, high = result.total.interval
    assert result.total.value == pytest.approx(0.75)
    # The spread of a mean over 40 people, sqrt(.75 * .25 / 40) = 0.068, not over 600 joints (0.018).
    assert 0.75 - low == pytest.approx(1.96 * 0.068, abs=0.03)
    assert high - 0.75 == pytest.approx(1.96 * 0.068, abs=0.03)
    assert pckh(guess, labels) == result


def test_oks_by_hand() -> None:
    guess = truth().astype(np.float64)
    assert oks(guess, truth(), np.array([900.0])) == pytest.approx([1.0])
    guess[0, 9, 0] += 12
    wrist = math.exp(-(12**2) / (2 * 900 * (2 * OKS_SIGMAS[9]) ** 2))
    assert oks(guess, truth(), np.array([900.0])) == pytest.approx([(14 + wrist) / 15], abs=1e-6)
    labels = truth(2)
    labels[1, :, 2] = 0
    result = mean_oks(np.concatenate([guess, guess]), labels, np.array([900.0, 900.0]))
    assert result.people == 1
    assert result.mean == pytest.approx((14 + wrist) / 15, abs=1e-6)


def test_wrong_shapes() -> None:
    with pytest.raises(ValueError, match="17"):
        pckh(np.zeros((1, 15, 3)), np.zeros((1, 15, 3)))
    with pytest.raises(ValueError, match="17"):
        pckh(np.zeros((2, 17, 3)), np.zeros((1, 17, 3)))
