from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.pose.crop import apply_affine, crop_affines
from dcpose_cli.pose.heatmaps import DECODERS, peaks, smoothed_peaks, taylor_peaks, to_image, unmirrored
from dcpose_cli.pose.methods import keypoints_of_heatmaps
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


@pytest.mark.parametrize(("size", "sigma"), [((48, 64), 2.0), ((72, 96), 3.0)], ids=["256x192", "384x288"])
def test_the_taylor_step_finds_the_place_between_the_pixels(size, sigma):
    generator = torch.Generator().manual_seed(3)
    places = 10 + torch.rand(8, 17, 2, generator=generator) * (torch.tensor(size) - 20)
    found = taylor_peaks(gaussians(places, size, sigma))
    assert (found[..., :2] - places).abs().max() < 0.02
    # Also where the network draws broader and lower than its targets.
    found = taylor_peaks(0.4 * gaussians(places, size, sigma * 1.3))
    assert (found[..., :2] - places).abs().max() < 0.02


def test_the_taylor_step_follows_its_formula():
    """m - P''(m)^-1 P'(m) of the blurred map's logarithm, written out for one map with numpy in float64."""
    height, width, sigma = 64, 48, 2.0
    generator = torch.Generator().manual_seed(4)
    row, column = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    dx, dy = column - 20.3, row - 30.6
    heat = torch.exp(-(dx**2 + dy**2 + 0.8 * dx * dy) / 9) + 0.02 * torch.rand(64, 48, generator=generator)
    drawn = heat.double().numpy()
    reach = np.arange(-5, 6)  # 11 pixels, as the paper takes for this size
    kernel = np.exp(-(reach**2) / (2 * sigma**2))
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    padded = np.pad(drawn, 5)
    blurred = np.array([[(padded[r : r + 11, c : c + 11] * kernel).sum() for c in range(width)] for r in range(height)])
    y, x = np.unravel_index(drawn.argmax(), drawn.shape)
    p = np.log(blurred[y - 1 : y + 2, x - 1 : x + 2])
    gradient = np.array([(p[1, 2] - p[1, 0]) / 2, (p[2, 1] - p[0, 1]) / 2])
    mixed = (p[2, 2] - p[0, 2] - p[2, 0] + p[0, 0]) / 4
    hessian = np.array([[p[1, 2] - 2 * p[1, 1] + p[1, 0], mixed], [mixed, p[2, 1] - 2 * p[1, 1] + p[0, 1]]])
    expected = np.array([x, y]) - np.linalg.solve(hessian, gradient)
    assert np.abs(expected - (x, y)).max() > 0.1
    assert np.abs(taylor_peaks(heat[None, None])[0, 0, :2].numpy() - expected).max() < 1e-3


def test_the_taylor_step_needs_a_maximum():
    maps = torch.zeros(3, 1, 12, 9)
    maps[0, 0, 0, 8] = 1.0  # at the border
    maps[1] = torch.arange(9.0) + 12 * torch.arange(12.0)[:, None]  # nothing but a slope
    found = taylor_peaks(maps)[:, 0]
    assert found.tolist() == [[8.0, 0.0, 1.0], [8.0, 11.0, 140.0], [0.0, 0.0, 0.0]]


def udp_pixel(x, y, box, size):
    """UDP's transform, written out: lengths are measured between the first and the last pixel."""
    return (x - box[0]) * (size[0] - 1) / box[2], (y - box[1]) * (size[1] - 1) / box[3]


def test_udp_measures_from_the_first_to_the_last_pixel():
    """A joint in the picture, its pixel in the crop and in the heatmap, and the way back: under 0.02 map pixels off."""
    size, maps = (192, 256), (48, 64)
    box = np.array([[40.0, 30.0, 150.0, 200.0]], np.float32)  # of the crop's aspect: it is not grown
    affine = crop_affines(box, size, 1.0, udp=True)[0]
    joints = np.array([[70.3, 111.7], [140.9, 60.2], [101.4, 190.8]])
    expected = np.array([udp_pixel(x, y, box[0], size) for x, y in joints])
    assert np.abs(apply_affine(affine[None], joints[None])[0] - expected).max() < 1e-3
    on_map = np.array([udp_pixel(x, y, box[0], maps) for x, y in joints])
    drawn = gaussians(torch.tensor(on_map, dtype=torch.float32)[None], maps, 2.0)
    decoder = DECODERS["udp"]
    crop = keypoints_of_heatmaps(drawn, size, decoder, udp=decoder.udp)
    assert np.abs(crop[0, :, :2].numpy() - expected).max() < 0.02 * 4
    back = to_image(crop.numpy(), box, size, 1.0, udp=True)[0, :, :2]
    assert np.abs(back - joints).max() < 0.02 * 150 / 47
    assert np.abs(to_image(crop.numpy(), box, size, 1.0)[0, :, :2] - joints).max() > 0.3  # the plain way is off


def test_udp_flip_needs_no_shift():
    """Pixel x of a crop is pixel W - 1 - x of its mirror image, and so it is with the heatmaps."""
    width = 48
    places = torch.rand(2, 17, 2, generator=torch.Generator().manual_seed(2)) * 24 + 10
    seen = places[:, list(FLIP_ORDER)].clone()
    seen[..., 0] = width - 1 - seen[..., 0]
    back = taylor_peaks(unmirrored(gaussians(seen, (width, 64)), udp=True))
    assert (back[..., :2] - places).abs().max() < 0.02
