from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.decode import peaks, to_image


@pytest.mark.parametrize(("tag", "enlarge"), [("_125", 1.25), ("_100", 1.0)])
def test_golden_decoding(golden, tag, enlarge):
    prepost = golden.arrays(golden.DATA / "prepost.npz")
    maps = torch.from_numpy(golden.module("inputs").decode_heatmaps())
    found = peaks(maps).numpy()
    assert np.array_equal(found[..., 2], prepost["maxvals"][..., 0])
    ours = to_image(found, prepost["boxes"].astype(np.float32), (72, 96), enlarge)
    assert np.abs(ours[..., :2] - prepost["final_preds" + tag]).max() < 1e-3


def test_quarter_step_points_at_the_larger_neighbour():
    maps = torch.zeros(1, 1, 12, 9)
    maps[0, 0, 5, 4], maps[0, 0, 5, 5], maps[0, 0, 4, 4] = 1.0, 0.5, 0.3
    assert peaks(maps)[0, 0].tolist() == [4.25, 4.75, 1.0]


def test_first_of_equal_maxima_wins():
    maps = torch.zeros(1, 1, 12, 9)
    maps[0, 0, 8, 6] = maps[0, 0, 3, 5] = 2.0
    assert peaks(maps)[0, 0].tolist() == [5.0, 3.0, 2.0]


def test_nothing_positive_is_the_corner():
    assert peaks(torch.full((1, 1, 12, 9), -1.0))[0, 0].tolist() == [0.0, 0.0, -1.0]
