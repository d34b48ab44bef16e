"""DCPose with parts replaced (the paper's table 5), and on another backbone."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from dcpose_cli._schema import build
from dcpose_cli.nets import DCPose, DCPoseConfig, HRNetConfig, SimpleBaselineConfig
from dcpose_cli.nets.backbones import init_heatmap_net
from dcpose_cli.nets.dcpose import init_head

TINY = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
BASE = DCPoseConfig(backbone=TINY, input_size=(48, 64), combine_width=8, dilations=(2, 4))
VARIANTS = {
    "complete": {},
    "ptm sum": {"ptm": "sum"},
    "ptm current": {"ptm": "current"},
    "prf differences": {"prf": "differences"},
    "one dilation": {"dilations": (3,)},
    "no previous": {"neighbours": ("next",)},
    "no next": {"neighbours": ("previous",)},
    "everything": {"ptm": "sum", "prf": "differences", "neighbours": ("next",)},
}
MARGIN = torch.tensor([[1, 1], [1, 3]])


def made(**changes):
    torch.manual_seed(0)
    net = DCPose(dataclasses.replace(BASE, **changes))
    init_head(net)
    return net


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_starts_near_the_heatmaps_and_learns_everywhere(name):
    net = made(**VARIANTS[name]).train()
    maps = [torch.zeros(2, 17, 16, 12) for _ in range(3)]
    for k, one in enumerate(maps):
        one[:, :, 6 + k, 5] = 1.0  # a peak that moves down
    final = net.head(*maps, MARGIN).final
    assert final.shape == (2, 17, 16, 12)
    final.square().sum().backward()
    parameters = dict(net.named_parameters())
    assert {n for n, p in parameters.items() if p.grad is None} == {n for n in parameters if n.startswith("backbone.")}
    net.eval()
    with torch.no_grad():
        still = net.head(maps[0], maps[0], maps[0], MARGIN).final
    assert (still[0].flatten(1).argmax(1) == 6 * 12 + 5).all()


@pytest.mark.parametrize(("name", "left_out"), [("previous", 1), ("next", 2)])
def test_the_neighbour_left_out_is_not_looked_at(name, left_out):
    other = ("next",) if name == "previous" else ("previous",)
    net = made(neighbours=other).eval()
    maps = [torch.rand(2, 17, 16, 12, generator=torch.Generator().manual_seed(k)) for k in range(4)]
    with torch.no_grad():
        whole = net.head(*maps[:3], MARGIN).final
        hidden = [*maps[:3]]
        hidden[left_out] = maps[3]
        seen = [*maps[:3]]
        seen[3 - left_out] = maps[3]
        assert torch.equal(net.head(*hidden, MARGIN).final, whole)
        assert not torch.allclose(net.head(*seen, MARGIN).final, whole, atol=1e-4)


def test_margins_weigh_the_nearer_frame_more():
    net = made(ptm="sum").eval()
    maps = [torch.rand(2, 17, 16, 12, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    with torch.no_grad():
        merged = net.head(*maps, MARGIN).merged
    # Left of the current frame 1, right 3: the previous one has three quarters of the weight.
    expected = 0.5 * (maps[0] + 0.75 * maps[1] + 0.25 * maps[2])[1]
    assert torch.allclose(merged[1] - net.ptm.bias[:, None, None], expected, atol=1e-5)


def test_older_headers_mean_the_complete_network():
    old = dataclasses.asdict(BASE)
    for key in ("ptm", "prf", "neighbours"):
        del old[key]
    assert build(DCPoseConfig, json.loads(json.dumps(old))) == BASE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ptm": "mean"}, "ptm is 'mean', known are chain, sum, current"),
        ({"prf": "none"}, "prf is 'none'"),
        ({"neighbours": ()}, "neighbours is"),
        ({"neighbours": ("next", "previous")}, "neighbours is"),
    ],
)
def test_unknown_switches_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(BASE, **change)


def test_the_head_stands_on_any_backbone_with_heatmaps():
    config = dataclasses.replace(BASE, backbone=SimpleBaselineConfig(depth=18, width=8))
    assert build(DCPoseConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config
    net = DCPose(config).eval()
    init_heatmap_net(net.backbone)
    with torch.no_grad():
        maps = net(torch.rand(1, 9, 64, 48), torch.ones(1, 2))
    assert maps.shape == (1, 17, 16, 12)
    head = {n: v.shape for n, v in DCPose(BASE).state_dict().items() if not n.startswith("backbone.")}
    assert {n: v.shape for n, v in net.state_dict().items() if not n.startswith("backbone.")} == head


def test_an_unknown_backbone_is_named():
    with pytest.raises(TypeError, match=r"backbone\.kind is 'vit', known are 'simplebaseline' or none at all"):
        build(DCPoseConfig, {"backbone": {"kind": "vit"}})
