"""How much boxes overlap."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.people.boxes import iou


def test_overlap_is_shared_area_over_the_area_of_both():
    box = np.array([10, 10, 10, 20], np.float32)
    others = np.array([[10, 10, 10, 20], [15, 10, 10, 20], [20, 10, 10, 20], [12, 12, 5, 4]], np.float32)
    assert iou(box, others) == pytest.approx([1, 1 / 3, 0, 0.1])
    assert iou(box, np.zeros((0, 4), np.float32)).shape == (0,)
