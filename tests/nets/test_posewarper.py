"""PoseWarper: what it starts from, how it weighs frames, and that every part of it learns."""

from __future__ import annotations

import pytest
import torch

from dcpose_cli.nets import HRNetConfig, PoseWarper, PoseWarperConfig
from dcpose_cli.nets.backbones import init_heatmap_net
from dcpose_cli.nets.posewarper import init_posewarper_head

TINY = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    made = PoseWarper(PoseWarperConfig(backbone=TINY, input_size=(48, 64), blocks=3, width=16, dilations=(3, 6)))
    init_heatmap_net(made.backbone)
    init_posewarper_head(made)
    return made.eval()


def test_it_starts_as_the_weighted_mean_of_the_frames(net):
    maps = torch.rand(5, 2, 17, 16, 12, generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([0.1, 0.25, 0.3, 0.25, 0.1])
    with torch.no_grad():
        assert torch.allclose(net.head(maps), torch.einsum("t,tbjhw->bjhw", weights, maps), atol=1e-5)


def test_published_size():
    with torch.device("meta"):
        net = PoseWarper()
    head = sum(p.numel() for p in net.parameters()) - sum(p.numel() for p in net.backbone.parameters())
    first = 17 * 128 * 9 + 128 * 128 * 9 + 4 * 128 + 17 * 128 + 2 * 128
    others = 19 * (2 * 128 * 128 * 9 + 4 * 128)
    assert head == first + others + 5 * (128 * 306 * 9 + 17 * 17 * 9)


def test_the_difference_steers_the_warp(net):
    generator = torch.Generator().manual_seed(2)
    current, other, second = (torch.rand(1, 17, 16, 12, generator=generator) for _ in range(3))
    moved = PoseWarper(net.config).eval()
    moved.load_state_dict(net.state_dict())
    torch.nn.init.normal_(moved.warps[0].offset.weight, 0.0, 0.1)
    with torch.no_grad():
        assert not torch.allclose(moved.warp(current, other), moved.warp(second, other), atol=1e-3)


def test_every_parameter_is_trained(net):
    made = PoseWarper(net.config).train()
    init_posewarper_head(made)
    for warp in made.warps:
        torch.nn.init.normal_(warp.offset.weight, 0.0, 0.1)
    made(torch.rand(1, 5, 3, 64, 48)).sum().backward()
    assert [name for name, p in made.named_parameters() if p.grad is None] == []


def test_other_shapes_and_weights_are_refused(net):
    with pytest.raises(ValueError, match=r"clip must be \(B, 5, 3, H, W\)"):
        net(torch.zeros(1, 3, 3, 64, 48))
    for weights in ((), (0.5, 0.5), (0.3, 0.25, 0.2)):
        with pytest.raises(ValueError, match="add up to 1"):
            PoseWarperConfig(weights=weights)
