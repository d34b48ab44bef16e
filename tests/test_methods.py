"""One interface for every network: which frames, in which order, and keypoints in crop pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.crop import crop_affines
from dcpose_cli.decode import peaks, to_image
from dcpose_cli.errors import WeightsError
from dcpose_cli.methods import keypoints_of_heatmaps, method_of
from dcpose_cli.nets import DCPose, DCPoseConfig, HRNet, HRNetConfig
from dcpose_cli.nets.dcpose import init_head as init_dcpose
from dcpose_cli.nets.dsta import DSTA, DSTAConfig, init_head
from dcpose_cli.nets.dsta_backbone import init_backbone
from dcpose_cli.nets.hrnet import init_weights

TINY = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
SIZE = (48, 64)


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    dcpose = DCPose(DCPoseConfig(backbone=TINY, input_size=SIZE, combine_width=8, dilations=(2, 4)))
    init_weights(dcpose)
    init_dcpose(dcpose)
    dsta = DSTA(DSTAConfig(input_size=SIZE, backbone=TINY))
    init_backbone(dsta.backbone)
    init_head(dsta)
    torch.nn.init.normal_(dsta.to_tokens.weight)
    torch.nn.init.normal_(dsta.temporal.place)
    hrnet = HRNet(TINY)
    init_weights(hrnet)
    return {"dcpose": dcpose.eval(), "dsta": dsta.eval(), "hrnet": hrnet.eval()}


@pytest.fixture(scope="module")
def pictures():
    """Crops of previous, current and next frame, by offset; two people."""
    generator = torch.Generator().manual_seed(5)
    return {offset: torch.rand(2, 3, 64, 48, generator=generator) for offset in (-1, 0, 1)}


MARGIN = torch.tensor([[1, 1], [3, 1]])


def run(net, pictures):
    method = method_of(net)
    with torch.no_grad():
        return method.run(torch.stack([pictures[offset] for offset in method.frames]), MARGIN)


@pytest.mark.parametrize("kind", ["dcpose", "dsta", "hrnet"])
def test_keypoints_of_every_method(nets, pictures, kind):
    points = run(nets[kind], pictures)
    assert points.shape == (2, 17, 3)
    assert points.dtype == torch.float32
    assert torch.isfinite(points).all()


def test_frames():
    with torch.device("meta"):
        assert method_of(HRNet(TINY)).frames == (0,)
        assert method_of(DCPose(DCPoseConfig(backbone=TINY))).frames == (0, -1, 1)
        assert method_of(DSTA(DSTAConfig(backbone=TINY))).frames == (-1, 0, 1)
        assert method_of(DSTA(DSTAConfig(backbone=TINY, frames=1))).frames == (0,)


def test_dsta_is_the_network_times_the_crop(nets, pictures):
    with torch.no_grad():
        poses = nets["dsta"](torch.stack([pictures[k] for k in (-1, 0, 1)], dim=1))
    points = run(nets["dsta"], pictures)
    assert torch.allclose(points[..., :2], poses.coordinates * torch.tensor([48.0, 64.0]), atol=1e-4)
    assert torch.allclose(points[..., 2:], poses.score, atol=1e-6)


def test_dcpose_is_the_network_and_its_peaks(nets, pictures):
    with torch.no_grad():
        maps = nets["dcpose"](torch.cat([pictures[0], pictures[-1], pictures[1]], dim=1), MARGIN)
    expected = peaks(maps) * torch.tensor([4.0, 4.0, 1.0])
    assert torch.allclose(run(nets["dcpose"], pictures), expected, atol=1e-4)
    assert expected[..., :2].std() > 1  # not all in one place


def test_hrnet_sees_the_current_frame_only(nets, pictures):
    others = {**pictures, -1: pictures[1], 1: pictures[-1]}
    assert torch.equal(run(nets["hrnet"], pictures), run(nets["hrnet"], others))
    with torch.no_grad():
        expected = peaks(nets["hrnet"](pictures[0])) * torch.tensor([4.0, 4.0, 1.0])
    assert torch.allclose(run(nets["hrnet"], pictures), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["dcpose", "dsta"])
def test_order_of_frames_reaches_the_network(nets, pictures, kind):
    others = {**pictures, -1: pictures[1], 1: pictures[-1]}
    assert not torch.allclose(run(nets[kind], pictures), run(nets[kind], others), atol=1e-4)


@pytest.mark.parametrize("kind", ["dcpose", "dsta", "hrnet"])
def test_low_precision_gives_float32(nets, pictures, kind):
    with torch.autocast("cpu", torch.bfloat16):
        points = run(nets[kind], pictures)
    assert points.dtype == torch.float32


def test_channels_last_changes_nothing(nets, pictures):
    net = nets["dsta"]
    flat = torch.cat([pictures[k] for k in (-1, 0, 1)]).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        points = method_of(net).run(flat.unflatten(0, (3, 2)), MARGIN)
    assert torch.allclose(points, run(net, pictures), atol=1e-4)


def test_crop_pixels_and_heatmap_pixels_meet_in_the_picture():
    """The way over crop pixels is the published way over heatmap pixels."""
    boxes = np.array([[10, 20, 33, 91], [300, 100, 120, 60]], np.float32)
    maps = torch.rand(2, 17, 96, 72, generator=torch.Generator().manual_seed(0))
    over_maps = to_image(peaks(maps).numpy(), boxes, (72, 96))
    over_crops = to_image(keypoints_of_heatmaps(maps, (288, 384)).numpy(), boxes, (288, 384))
    assert np.abs(over_maps - over_crops).max() < 1e-3
    affines = crop_affines(boxes, (288, 384))
    assert not np.allclose(affines[0], affines[1])


def test_more_frames_than_a_window_holds_are_refused():
    with torch.device("meta"):
        net = DSTA(DSTAConfig(frames=5, backbone=TINY))
    with pytest.raises(WeightsError, match="looks at 5 frames at once, a window holds 3"):
        method_of(net)
