"""A network on a CUDA device, as far as shapes, dtypes and devices go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dcpose_cli.pose.ensemble import PoseEnsemble
from dcpose_cli.pose.methods import KINDS
from dcpose_cli.pose.model import LoadedModel, ModelHeader
from dcpose_cli.pose.network import PoseNetwork


@pytest.fixture
def model(small_nets):
    """What loads a model of a kind."""

    def model(kind, decoding="quarter"):
        net = small_nets.net(kind)
        header = ModelHeader(
            kind=kind,
            name=kind,
            input_size=small_nets.SIZE,
            predicts=tuple(range(17)),
            joints="posetrack",
            network=net.config,
            decoding=decoding,
        )
        return LoadedModel(net, header, Path("model.safetensors"), "0" * 64)

    return model


def people():
    """Five frames, six people, seen in windows of five frames."""
    rng = np.random.default_rng(2)
    frames = list(rng.integers(0, 255, (5, 80, 100, 3), np.uint8))
    windows = np.clip(np.arange(-2, 3) + np.array([[0], [1], [2], [2], [3], [4]]), 0, 4)
    boxes = np.concatenate([rng.uniform(0, 50, (6, 2)), rng.uniform(20, 45, (6, 2))], 1).astype(np.float32)
    return frames, windows, boxes, np.ones((6, 2), np.int64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("precision", "flip_test"), [("fp32", False), ("auto", True), ("fp16", False)])
def test_poses(fake_cuda, model, kind, precision, flip_test):
    loaded = model(kind)
    with fake_cuda():
        net = PoseNetwork(loaded, device=torch.device("cuda"), precision=precision, batch=4, flip_test=flip_test)
        assert {p.device.type for p in net._net.parameters()} == {"cuda"}
        assert net.poses(*people()).shape == (6, 17, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_shared_crops_and_pixels_that_are_not_square(fake_cuda, model, kind):
    loaded = model(kind, "smoothed")
    with fake_cuda():
        net = PoseNetwork(loaded, device=torch.device("cuda"), precision="bf16")
        assert net.poses(*people(), pixel_aspect=1.5, tracks=np.array([0, 0, 0, 1, 1, 1])).shape == (6, 17, 3)


def test_ensemble(fake_cuda, model):
    models = [model("dcpose"), model("hrnet", "smoothed")]
    with fake_cuda():
        net = PoseEnsemble(
            models, device=torch.device("cuda"), precision="bf16", batch=4, box_scale=1.25, flip_test=True
        )
        assert net.poses(*people()).shape == (6, 17, 3)


def test_the_device_of_these_tests_refuses_what_a_real_one_refuses(fake_cuda):
    with fake_cuda():
        here, there = torch.zeros(3), torch.zeros(3, device="cuda")
        with pytest.raises(RuntimeError, match="same device"):
            _ = here + there
        half = torch.zeros(4, 3, device="cuda", dtype=torch.bfloat16)
        with pytest.raises(RuntimeError, match="dtype"):
            torch.nn.functional.linear(there, half)
        with pytest.raises(RuntimeError, match="dtype"):
            torch.nn.functional.conv2d(there.view(1, 3, 1, 1), half[..., None, None])
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        with torch.autocast("cuda", torch.bfloat16):
            assert torch.nn.functional.linear(there, torch.zeros(4, 3, device="cuda")).dtype == torch.bfloat16
