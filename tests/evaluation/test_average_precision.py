"""The one integral of average precision: COCO's 101 recalls, the exact area, weights."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.evaluation.average_precision import COCO_RECALLS, average_precision


def test_known_areas():
    assert average_precision([True, True], 2, recalls=COCO_RECALLS) == 1
    assert average_precision([False, True], 1, recalls=COCO_RECALLS) == 0.5
    assert average_precision([True], 2, recalls=COCO_RECALLS) == pytest.approx(51 / 101)
    assert average_precision([True], 2) == 0.5
    # precision 1 up to recall 1/2, then 2/3
    assert average_precision([True, False, True], 2) == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize("recalls", [None, COCO_RECALLS])
def test_nothing_to_find_or_nothing_found(recalls):
    assert average_precision([], 3, recalls=recalls) == 0
    assert average_precision([True], 0, recalls=recalls) == 0


def test_a_weight_counts_as_that_many_predictions():
    rng = np.random.default_rng(0)
    right, weights = rng.random(50) < 0.6, rng.integers(0, 3, 50)
    repeated = average_precision(np.repeat(right, weights), 40, recalls=COCO_RECALLS)
    # A repeated prediction adds intermediate points of the curve, which the envelope hides unless it is wrong.
    assert average_precision(right, 40, weights=weights, recalls=COCO_RECALLS) == pytest.approx(repeated, abs=0.02)
    ones = np.ones(50)
    assert average_precision(right, 40, weights=ones) == average_precision(right, 40)
