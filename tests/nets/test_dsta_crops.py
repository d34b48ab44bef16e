"""DSTA's crops and its way back to the picture are those of DCPose at another size (golden case E)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.nets.dsta import DSTAConfig
from dcpose_cli.pose.crop import MEAN, STD, box_to_center_scale, crop_affine, crop_affines, sample_crops
from dcpose_cli.pose.heatmaps import to_image

SIZE = DSTAConfig().input_size


@pytest.fixture(scope="module")
def case(golden, root):
    return golden.arrays(root / "tests" / "data" / "dsta" / "caseE_pre_post.npz")


@pytest.fixture(scope="module")
def crops(case, root):
    import importlib.util

    spec = importlib.util.spec_from_file_location("photo_fill", root / "tests" / "data" / "dsta" / "fill_weights.py")
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    rgb = torch.from_numpy(np.ascontiguousarray(fill.photo()[..., ::-1]))
    out = sample_crops(rgb[None], torch.zeros(3, dtype=torch.int64), crop_affines(case["boxes"], SIZE), SIZE)
    return ((out.permute(0, 2, 3, 1) * torch.tensor(STD) + torch.tensor(MEAN)) * 255).numpy()


def test_affines(case):
    center, scale = box_to_center_scale(case["boxes"], SIZE)
    assert np.abs(center - case["center"]).max() < 1e-4
    assert np.abs(scale - case["scale"]).max() < 1e-6
    assert np.allclose(crop_affines(case["boxes"], SIZE), case["trans"], rtol=1e-6, atol=1e-4)
    turned = np.stack([crop_affine(c, s, SIZE, 30.0) for c, s in zip(center, scale, strict=True)])
    assert np.allclose(turned, case["trans_rot30"], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("box", [0, 2])
def test_crops(case, crops, box):
    difference = np.abs(crops[box][::4, ::4] - case[f"crop{box}_stride4"])
    assert difference.mean() < 0.3
    assert (difference <= 2).mean() >= 0.99


def test_crop_means(case, crops):
    assert np.abs(crops.mean(axis=(1, 2)) - case["crop_mean_per_channel"]).max() < 0.5


def test_way_back(case):
    """Coordinates times the crop's size are crop pixels; from there the heatmap methods' way is ours."""
    pixels = (case["pred_norm"] * np.array(SIZE, np.float32)).astype(np.float32)
    scores = np.ones((*pixels.shape[:2], 1), np.float32)
    ours = to_image(np.concatenate([pixels, scores], axis=2), case["boxes"].astype(np.float32), SIZE)
    assert np.abs(ours[..., :2] - case["pred_image"]).max() < 1e-3
    assert (ours[..., 2] == 1).all()
