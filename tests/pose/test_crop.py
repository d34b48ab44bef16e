from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dcpose_cli.pixels import ArrayPixels
from dcpose_cli.pose import crop
from dcpose_cli.pose.crop import (
    MEAN,
    STD,
    box_to_center_scale,
    crop_affine,
    crop_affines,
    invert_affine,
    sample_crops,
    sample_pixels,
)


@pytest.fixture(scope="module")
def prepost(golden):
    return golden.arrays(golden.DATA / "prepost.npz")


@pytest.mark.parametrize(("tag", "enlarge"), [("_125", 1.25), ("_100", 1.0)])
def test_golden_affines(prepost, tag, enlarge):
    boxes = prepost["boxes"]
    center, scale = box_to_center_scale(boxes, (288, 384), enlarge)
    assert np.abs(center - prepost["center" + tag]).max() < 1e-3
    assert np.abs(scale - prepost["scale" + tag]).max() < 1e-6
    assert np.abs(crop_affines(boxes, (288, 384), enlarge) - prepost["affine_fwd" + tag]).max() < 1e-3
    inverse = np.stack([invert_affine(crop_affine(c, s, (72, 96))) for c, s in zip(center, scale, strict=True)])
    assert np.abs(inverse - prepost["affine_inv_heatmap" + tag]).max() < 1e-3


def test_golden_rotations(prepost):
    center, scale = box_to_center_scale(prepost["boxes"][:5], (288, 384), 1.25)
    for i in range(5):
        for k, degrees in enumerate(prepost["rotations"]):
            ours = crop_affine(center[i], scale[i], (288, 384), float(degrees))
            assert np.abs(ours - prepost["affine_rot_125"][i, k]).max() < 1e-3


@pytest.mark.parametrize("stored", ["crops_stride4", "crops_stride4_opencv410"])
def test_golden_crops(prepost, golden, stored):
    image = golden.module("inputs").smooth_image(480, 640, 99, 24)
    affines = prepost["affine_fwd_125"][prepost["crop_box_index"]]
    index = torch.zeros(len(affines), dtype=torch.int64)
    out = sample_crops(torch.from_numpy(image)[None], index, affines, (288, 384)).permute(0, 2, 3, 1)
    pixels = (out * torch.tensor(STD) + torch.tensor(MEAN)).numpy()[:, ::4, ::4] * 255
    assert np.abs(pixels - prepost[stored]).max() < 2.0


def test_crops_come_from_their_own_frame():
    frames = torch.stack([torch.full((40, 30, 3), v, dtype=torch.uint8) for v in (10, 200)])
    affines = crop_affines([[8, 10, 12, 16]] * 2, (24, 32))
    out = sample_crops(frames, torch.tensor([1, 0]), affines, (24, 32))
    means = [(out[k].mean(dim=(1, 2)) * torch.tensor(STD) + torch.tensor(MEAN)).mean() * 255 for k in range(2)]
    assert means[0] == pytest.approx(200, abs=0.1)
    assert means[1] == pytest.approx(10, abs=0.1)


def test_outside_is_black():
    frames = torch.full((1, 20, 20, 3), 255, dtype=torch.uint8)
    affines = crop_affines([[100, 100, 10, 10]], (24, 32))
    out = sample_crops(frames, torch.zeros(1, dtype=torch.int64), affines, (24, 32))
    black = -torch.tensor(MEAN) / torch.tensor(STD)
    assert torch.allclose(out[0], black[:, None, None].expand(3, 32, 24), atol=1e-5)


def test_no_boxes():
    assert crop_affines(np.zeros((0, 4)), (24, 32)).shape == (0, 2, 3)


def test_forward_and_back_are_inverse():
    matrix = crop_affine(np.array([40, 30], np.float32), np.array([0.3, 0.4], np.float32), (24, 32), 33.0)
    points = np.random.default_rng(0).uniform(0, 100, (1, 7, 2))
    there = crop.apply_affine(matrix[None], points)
    assert np.allclose(crop.apply_affine(invert_affine(matrix)[None], there), points)


@pytest.mark.parametrize("degrees", [0.0, 35.0])
def test_opencv_and_torch_cut_the_same_pixels(degrees):
    rng = np.random.default_rng(1)
    frames = torch.from_numpy(rng.integers(0, 256, (2, 90, 120, 3), dtype=np.uint8))
    boxes = [[-30, 10, 50, 70], [20, 20, 8, 14], [0, 0, 120, 90], [100, 80, 60, 60], [500, 500, 20, 20]]
    index = torch.tensor([0, 1, 0, 1, 0])
    centers, scales = box_to_center_scale(boxes, (48, 64))
    affines = np.stack([crop_affine(c, s, (48, 64), degrees) for c, s in zip(centers, scales, strict=True)])
    fast, exact = (sample(frames, index, affines, (48, 64)) for sample in (sample_crops, crop._sample_torch))
    levels = (fast - exact).abs() * 255 * torch.tensor(STD)[:, None, None]
    # Rounding is half a level; OpenCV before version 5 also rounds positions to 1/32 pixel, 16 levels in this noise.
    assert levels.max() < (0.51 if int(cv2.__version__.split(".")[0]) >= 5 else 16)
    assert fast.std() > 0.1


class Parts(ArrayPixels):
    """Pixels of which only parts may be looked at."""

    def __init__(self, image):
        super().__init__(image)
        self.looked_at = []

    def rgb(self):
        raise AssertionError("looked at as a whole")

    def region(self, part):
        self.looked_at.append(part)
        return super().region(part)


def test_crops_of_large_frames_look_at_what_they_show():
    """Positions are counted from another place, which moves what is interpolated by a grey level here and there."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2, 1000, 1100, 3), dtype=np.uint8)
    boxes = np.array(
        [
            [-30, 10, 50, 70],
            [700, 20, 80, 140],
            [0, 0, 1100, 1000],
            [1090, 980, 60, 60],
            [5000, 500, 20, 20],
            [300, 900, 9, 9],
        ],
        np.float32,
    )
    index, affines = torch.tensor([0, 1, 0, 1, 0, 1]), crop_affines(boxes, (48, 64))
    frames = [Parts(image) for image in images]
    found = sample_pixels(frames, index, affines, (48, 64))
    levels = (found - sample_crops(torch.from_numpy(images), index, affines, (48, 64))).abs()
    levels *= 255 * torch.tensor(STD)[:, None, None]
    assert levels.max() < 1.01
    assert (levels > 0.5).float().mean() < 0.01
    looked_at = [(x1 - x0) * (y1 - y0) for frame in frames for x0, y0, x1, y1 in map(frame.clipped, frame.looked_at)]
    assert sorted(looked_at)[-2] < 300 * 300


def test_crops_of_small_frames_are_those_of_arrays():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2, 90, 120, 3), dtype=np.uint8)
    affines = crop_affines([[20, 20, 8, 14], [-30, 10, 50, 70]], (48, 64))
    found = sample_pixels([ArrayPixels(image) for image in images], torch.tensor([0, 1]), affines, (48, 64))
    assert torch.equal(found, sample_crops(torch.from_numpy(images), torch.tensor([0, 1]), affines, (48, 64)))


def test_a_frame_too_large_for_opencv():
    frame = torch.zeros((1, 4, 2**15, 3), dtype=torch.uint8)
    frame[:, :, -20:] = 200
    affines = crop_affines([[2**15 - 16, 1, 3, 2]], (24, 32))
    out = sample_crops(frame, torch.zeros(1, dtype=torch.int64), affines, (24, 32))
    middle = out[0, :, 16, 12] * torch.tensor(STD) + torch.tensor(MEAN)
    assert middle.tolist() == pytest.approx([200 / 255] * 3, abs=1e-3)
