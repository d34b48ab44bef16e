from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.pose.heatmaps import DECODERS, peaks, smoothed_peaks, to_image, unmirrored
from dcpose_cli.skeleton import FLIP_ORDER
from dcpose_cli.training.dcpose.losses import gaussian_targets


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


def gaussians(places: torch.Tensor, size: tuple[int, int] = (44, 56), sigma: float = 2.0) -> torch.Tensor:
    """(N, J, 2) -> heatmaps (N, J, h, w) as unbiased targets draw them."""
    return gaussian_targets(torch.cat([places, torch.ones(*places.shape[:2], 1)], dim=2), size, sigma)


def test_smoothed_maxima_lie_between_the_pixels():
    """Exact where the published ones are a quarter of a pixel off."""
    places = 8 + 25 * torch.rand(3, 17, 2, generator=torch.Generator().manual_seed(0))
    maps = gaussians(places)
    found = smoothed_peaks(maps)
    assert (found[..., :2] - places).abs().max() < 0.01
    assert (peaks(maps)[..., :2] - places).abs().max() > 0.2
    assert (found[..., 2] - maps.amax(dim=(2, 3))).abs().max() < 1e-6


def test_smoothing_withstands_noise():
    generator = torch.Generator().manual_seed(1)
    places = 8 + 25 * torch.rand(8, 17, 2, generator=generator)
    maps = gaussians(places)
    maps = maps + 0.1 * torch.randn(maps.shape, generator=generator)
    errors = [(decoder(maps)[..., :2] - places).norm(dim=2).mean() for decoder in (smoothed_peaks, peaks)]
    assert errors[0] < errors[1] / 2


def test_a_broad_bump_wins_over_a_narrow_one():
    maps = gaussians(torch.tensor([[[12.0, 20.0]]])) * 0.9
    maps[0, 0, 40, 30] = 1.0
    assert smoothed_peaks(maps)[0, 0, :2].round().tolist() == [12.0, 20.0]
    assert (peaks(maps)[0, 0, :2] - torch.tensor([30.0, 40.0])).abs().max() < 0.5


def test_smoothed_maxima_at_the_border():
    corner = smoothed_peaks(gaussians(torch.tensor([[[0.0, 55.0]]])))[0, 0].tolist()
    assert corner[:2] == [0.0, 55.0]


def test_nothing_positive_is_the_corner_smoothed_too():
    assert smoothed_peaks(torch.full((1, 2, 12, 9), -1.0))[0].tolist() == [[0.0, 0.0, -1.0]] * 2
    assert smoothed_peaks(torch.zeros(1, 1, 12, 9))[0].tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("name", DECODERS)
def test_each_map_is_read_alone(name):
    maps = torch.randn(4, 17, 24, 18, generator=torch.Generator().manual_seed(2))
    whole = DECODERS[name](maps)
    assert torch.equal(whole, torch.cat([DECODERS[name](one) for one in maps.split(1)]))
    assert whole.dtype == DECODERS[name](maps.bfloat16()).dtype == torch.float32


def test_unmirrored_maps_lie_a_quarter_pixel_to_the_right():
    """What a network that maps crop pixel x to heatmap pixel x / 4 draws of the mirror image, moved back."""
    width = 44
    places = torch.rand(2, 17, 2, generator=torch.Generator().manual_seed(2)) * 24 + 10
    seen = places[:, list(FLIP_ORDER)].clone()
    seen[..., 0] = (4 * width - 1 - 4 * seen[..., 0]) / 4
    back = smoothed_peaks(unmirrored(gaussians(seen, (width, 56))))
    assert torch.allclose(back[..., :2] - places, torch.tensor([0.25, 0.0]), atol=0.02)
