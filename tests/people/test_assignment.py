"""The assignment is optimal, of allowed pairs, and as many as there can be."""

from __future__ import annotations

import numpy as np

from dcpose_cli.people.assignment import assign


def test_the_sum_of_the_benefits_decides_not_the_best_pair() -> None:
    benefit = np.array([[0.9, 0.8], [0.8, 0.1]])
    assert assign(benefit, np.ones((2, 2), bool)) == [(0, 1), (1, 0)]
    assert assign(np.array([[0.9, 0.1], [0.8, 0.5]]), np.ones((2, 2), bool)) == [(0, 0), (1, 1)]


def test_pairs_that_are_not_allowed_are_not_made() -> None:
    benefit = np.array([[0.9, 0.8], [0.8, 0.1]])
    assert assign(benefit, np.array([[True, False], [True, False]])) == [(0, 0)]
    assert assign(benefit, np.zeros((2, 2), bool)) == []
    assert assign(np.zeros((2, 0)), np.zeros((2, 0), bool)) == []


def test_more_pairs_are_worth_more_than_a_better_one() -> None:
    assert assign(np.array([[1.5, -0.5], [-0.9, 0.0]]), np.array([[True, True], [True, False]])) == [(0, 1), (1, 0)]
