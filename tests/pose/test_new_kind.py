"""A new kind of network is one file and one line in the registry: it is saved, loaded and run like the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from dcpose_cli import PoseEstimator
from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.pose.methods import KINDS, HeatmapMethod, Kind


@dataclass(frozen=True)
class NextFrameConfig:
    """A network of one convolution, trained for this input."""

    input_size: tuple[int, int] = (48, 64)
    kernel: int = 4


class NextFrame(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.maps = nn.Conv2d(3, 17, config.kernel, config.kernel)


class NextFrameMethod(HeatmapMethod):
    """Sees the next frame and the one after it."""

    frames = (0, 1, 2)

    def __init__(self, net, decoder):
        self.net, self.decoder = net, decoder

    def encode(self, crops):
        return self.net.maps(crops)

    def predict(self, codes, margin):
        return codes.mean(0)


@pytest.mark.parametrize("flip_test", [False, True])
def test_a_registered_kind_is_saved_loaded_and_run(tmp_path, monkeypatch, flip_test):
    monkeypatch.setitem(KINDS, "nextframe", Kind("nextframe", NextFrameConfig, NextFrame, NextFrameMethod))
    torch.manual_seed(1)
    net = NextFrame(NextFrameConfig())
    save_model(net, tmp_path / "m", name="mine")
    loaded = open_model(tmp_path / "m")
    assert (loaded.header.kind, loaded.header.network, loaded.header.input_size) == (
        "nextframe",
        NextFrameConfig(),
        (48, 64),
    )
    estimator = PoseEstimator(tmp_path / "m", "cpu", flip_test=flip_test)
    assert estimator.network.reach == 2
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    points = estimator.poses(image, image, image, [[8, 8, 40, 48]])
    assert points.shape == (1, 17, 3)
    assert np.isfinite(points).all()
