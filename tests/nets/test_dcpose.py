from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.files import load_model
from dcpose_cli.nets import DCPose, DCPoseConfig, HRNet, HRNetConfig
from dcpose_cli.nets.dcpose import init_head, init_published_head, interleave, sample_deformed, start_near_merged
from dcpose_cli.nets.official import from_official
from dcpose_cli.training.dcpose.losses import gaussian_targets

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def net(w48_folder):
    return load_model(w48_folder)


@pytest.fixture(scope="module")
def small(golden):
    return golden.arrays(golden.DATA / "model_small_64x96.npz")


@pytest.fixture(scope="module")
def small_maps(net, golden):
    x = torch.from_numpy(golden.module("inputs").model_input([3, 5], height=96, width=64, cell=12))
    with torch.no_grad():
        return net.maps(x, torch.tensor([[1, 1], [3, 1]]))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("final", "final"),
        ("current", "backbone_c"),
        ("previous", "backbone_p"),
        ("next", "backbone_n"),
        ("merged", "ptm"),
    ],
)
def test_small_golden(small_maps, small, ours, theirs):
    difference = np.abs(getattr(small_maps, ours).numpy() - small[theirs]).max()
    assert np.abs(small[theirs]).max() > 0.1  # the comparison means something
    assert difference < TOLERANCE


def test_public_call_takes_integer_margins(net, small, golden):
    x = torch.from_numpy(golden.module("inputs").model_input([3, 5], height=96, width=64, cell=12))
    with torch.no_grad():
        out = net(x, torch.tensor([[1, 1], [3, 1]], dtype=torch.int64))
    assert out.dtype == torch.float32
    assert out.shape == (2, 17, 24, 16)
    assert np.abs(out.numpy() - small["final"]).max() < TOLERANCE


def test_margins_and_order_matter(net, small, golden):
    x = torch.from_numpy(golden.module("inputs").model_input([3, 5], height=96, width=64, cell=12))
    with torch.no_grad():
        swapped = net(x, torch.tensor([[1, 1], [1, 3]]))
        mirrored = net(torch.cat([x[:, :3], x[:, 6:], x[:, 3:6]], dim=1), torch.tensor([[1, 1], [3, 1]]))
    assert np.abs(swapped.numpy() - small["final"])[1].max() > 0.1
    assert np.abs(mirrored.numpy() - small["final"]).max() > 0.1


@pytest.mark.shared
def test_full_golden(net, golden, shared):
    full = golden.arrays(shared / "reference/dcpose/golden/model_full_288x384.npz")
    x = torch.from_numpy(golden.module("inputs").model_input([7, 11]))
    with torch.no_grad():
        maps = net.maps(x, torch.tensor([[1, 1], [1, 2]]))
        other = net.head(maps.current[:1], maps.previous[:1], maps.next[:1], torch.tensor([[3, 1]])).final
        start = net.head(maps.current[:1], maps.current[:1], maps.next[:1], torch.tensor([[1, 1]])).final
    for ours, theirs in (("final", "final"), ("current", "backbone_c"), ("next", "backbone_n")):
        assert np.abs(getattr(maps, ours).numpy() - full[theirs]).max() < TOLERANCE, ours
    assert np.abs(other.numpy().squeeze() - full["final_item0_margin_3_1"].squeeze()).max() < TOLERANCE
    assert np.abs(start.numpy().squeeze() - full["final_item0_prev_is_cur_margin_1_1"].squeeze()).max() < TOLERANCE


def test_official_counts():
    net = DCPose()
    assert sum(p.numel() for p in net.backbone.parameters()) == 63_595_745
    assert sum(p.numel() for p in net.parameters()) == 65_198_798


def test_w32_is_the_same_family():
    net = HRNet(HRNetConfig(width=32))
    assert sum(p.numel() for p in net.parameters()) == 28_536_113
    with torch.no_grad():
        assert net.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 17, 16, 16)


def test_sides_that_are_odd_at_stride_16():
    config = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
    with torch.no_grad():
        assert HRNet(config).eval()(torch.zeros(2, 3, 192, 144)).shape == (2, 17, 48, 36)


def test_sampling_equals_torchvision():
    from torchvision.ops import deform_conv2d

    torch.manual_seed(0)
    x = torch.rand(2, 17, 20, 14)
    offset, mask = torch.randn(2, 306, 20, 14) * 4, torch.randn(2, 153, 20, 14)
    weight, bias = torch.randn(17, 17, 3, 3), torch.randn(17)
    expected = deform_conv2d(x, offset, weight, bias, padding=6, dilation=6, mask=mask)
    ours = sample_deformed(x, offset, mask, weight, bias, 6)
    assert (ours - expected).abs().max() < 1e-4 * expected.abs().max()


def test_half_precision_runs_the_deformable_step_in_float32(tiny_folder):
    net = load_model(tiny_folder)
    x, margin = torch.rand(2, 9, 64, 48), torch.ones(2, 2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        out = net(x, margin)
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()


def test_interleave_is_joint_major():
    a, b = torch.zeros(1, 2, 1, 1), torch.ones(1, 2, 1, 1)
    assert interleave(a, b).flatten().tolist() == [0, 1, 0, 1]


def test_an_untrained_head_passes_heatmaps_through():
    """Maps with peaks: with masks of one on average, the final ones are several times as high where joints are."""
    torch.manual_seed(0)
    net = DCPose(DCPoseConfig(backbone=HRNetConfig(width=8, modules=(1, 1, 1)), combine_width=16, dilations=(2, 4)))
    init_head(net)
    maps = gaussian_targets(torch.rand(24, 17, 3) * torch.tensor([20.0, 28.0, 1.0]), (24, 32), 1.5).split(8)
    start_near_merged(net.eval(), *maps, torch.ones(8, 2))
    assert not net.training
    with torch.no_grad():
        found = net.train().head(*maps, torch.ones(8, 2))
    assert torch.allclose(found.merged.mean(), (maps[0] + (maps[1] + maps[2]) / 2).mean() / 2, rtol=0.2)
    off = (found.final - found.merged).square().mean() / found.merged.square().mean()
    assert off < 0.35


def test_unknown_official_names_survive_the_renaming():
    state = from_official({"offsets_list.0.0.weight": torch.zeros(1), "stranger": torch.zeros(1)})
    assert set(state) == {"offsets_list.0.0.weight", "stranger"}


def test_the_published_start_is_almost_nothing():
    backbone = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1)
    net = DCPose(DCPoseConfig(input_size=(96, 128), backbone=backbone))
    torch.manual_seed(0)
    init_published_head(net)
    maps = [torch.rand(2, 17, 32, 24) for _ in range(3)]
    out = net.head(*maps, torch.ones(2, 2))
    assert out.merged.abs().max() > 0.1  # batch norm scales what the small weights let through
    assert out.final.abs().max() < 0.15 * out.merged.abs().max()
    assert net.warps[0].weight[:, :, 1, 1].equal(torch.eye(17))
