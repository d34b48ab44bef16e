"""Networks with fused convolutions give what they give in separate steps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from dcpose_cli.nets import DCPoseConfig, fused
from dcpose_cli.nets.dcpose import DCPose, Warp
from dcpose_cli.nets.folding import folded, laid_out
from dcpose_cli.nets.fused import FusedConv, FusedWarp

needs_operators = pytest.mark.skipif(not fused.available(), reason="this torch has no fused convolutions")


def trained(net):
    """Batch norms that have seen something, and weights of a size that keeps the output alive."""
    torch.manual_seed(4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d) and name.endswith(("offset_mask", "offset")):
            nn.init.normal_(module.weight, 0, 1e-5)  # samples far apart would magnify roundings
        elif isinstance(getattr(module, "weight", None), nn.Parameter) and module.weight.ndim == 4 and "warps" in name:
            nn.init.normal_(module.weight)
    return laid_out(folded(net))


def example(net):
    """An input of a network, two people."""
    torch.manual_seed(2)
    if isinstance(net, DCPose):
        return torch.randn(2, 9, 64, 48), torch.tensor([[1, 1], [1, 3]])
    if hasattr(net, "warps"):
        return (torch.randn(2, net.frames, 3, 64, 48),)
    return (torch.randn(2, 3, 3, 64, 48) if hasattr(net, "to_tokens") else torch.randn(2, 3, 64, 48),)


def both(net, dtype):
    """What a network gives in separate steps and fused, and the fused one."""
    inputs = example(net)
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        expected = net(*inputs)
        quick = fused.fused(net, dtype)
        found = quick(*inputs)
    if isinstance(expected, tuple):
        expected, found = torch.cat([v.flatten() for v in expected]), torch.cat([v.flatten() for v in found])
    return expected.float(), found.float(), quick


@needs_operators
@pytest.mark.parametrize("kind", ["dcpose", "dsta", "hrnet", "posewarper", "simplebaseline"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_every_kind(small_nets, kind, dtype, tolerance):
    expected, found, quick = both(trained(small_nets.net(kind)), dtype)
    assert expected.std() > 1e-3
    assert (found - expected).abs().max() < tolerance * expected.abs().max()
    assert any(isinstance(module, FusedConv) for module in quick.modules())
    left = {name for name, module in quick.named_modules() if isinstance(module, nn.Conv2d | Warp)}
    assert left == {"posewarper": {"warps.0.offset", "warps.1.offset"}, "dsta": {"merge"}}.get(kind, set())


@needs_operators
def test_ablations_keep_what_is_no_chain(small_nets):
    config = DCPoseConfig(small_nets.TINY, (48, 64), dilations=(2,), ptm="sum", prf="differences")
    expected, found, _ = both(trained(DCPose(config)), torch.float32)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


class Shared(nn.Module):
    """A convolution whose result is looked at before and behind its ReLU, and one that is added to itself."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.relu = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.ReLU()

    def forward(self, x):
        y = self.one(x)
        z = self.two(self.relu(y))
        halves = (y + z).chunk(2, dim=1)
        return (z + z) * y + halves[0].sum()


@needs_operators
def test_what_others_look_at_stays_a_step_of_its_own():
    torch.manual_seed(0)
    net, x = nn.Sequential(Shared()).eval().requires_grad_(False), torch.randn(1, 3, 8, 6)
    expected = net(x)
    assert torch.allclose(fused.fused(net, torch.float32)(x), expected, atol=1e-5)


@needs_operators
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_offsets_of_any_size(dtype):
    """Far outside the picture, too: zeros."""
    torch.manual_seed(0)
    warp = Warp(6, 5, 3)
    nn.init.normal_(warp.weight)
    nn.init.normal_(warp.offset_mask.weight, 0, 0.5)
    f, merged = torch.randn(3, 6, 20, 14).to(dtype), torch.rand(3, 5, 20, 14)
    with torch.inference_mode():
        quick = FusedWarp(warp, dtype)(f, merged)
        expected = warp.to(dtype)(f, merged)
    assert quick.dtype == torch.float32
    assert (quick - expected).abs().max() < (1e-5 if dtype == torch.float32 else 0.02) * expected.abs().max()


@needs_operators
def test_threads_that_come_first_together():
    conv = FusedConv(nn.Conv2d(16, 16, 3, padding=1).requires_grad_(False), torch.float32, then="relu")
    x = torch.randn(2, 16, 20, 20).contiguous(memory_format=torch.channels_last)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: conv(x), range(16)))
    assert all(torch.equal(one, conv(x)) for one in found)


class Conv(nn.Module):
    """A unit as ultralytics has it, batch norm folded."""

    def __init__(self, cin, cout, act, groups=1):
        super().__init__()
        self.conv, self.act = nn.Conv2d(cin, cout, 3, 2, 1, groups=groups), act

    def forward(self, x):
        return self.act(self.conv(x))


class Unfolded(Conv):
    """One that still normalises in between."""

    def __init__(self, cin, cout):
        super().__init__(cin, cout, nn.SiLU())
        self.bn = nn.BatchNorm2d(cout)
        nn.init.constant_(self.bn.weight, 3.0)

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


Unfolded.__name__ = "Conv"


@needs_operators
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_units_of_a_detector(dtype, tolerance):
    torch.manual_seed(0)
    units = [Conv(3, 8, nn.SiLU()), Conv(8, 8, nn.SiLU(), groups=8), Conv(8, 6, nn.Identity()), Unfolded(6, 5)]
    net = nn.Sequential(*units).eval().requires_grad_(False)
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        pictures = [torch.randn(1, 3, 64, 48), torch.randn(1, 3, 96, 64)]  # weights are laid out for the first
        wanted = [net(x) for x in pictures]
        quick = fused.fused_units(net, dtype)
        for x, expected in zip(pictures, wanted, strict=True):
            assert (quick(x) - expected).abs().max() < tolerance * expected.abs().max()
    assert [type(unit.conv) for unit in units] == [FusedConv, FusedConv, nn.Conv2d, nn.Conv2d]


@pytest.mark.parametrize("broken", [AttributeError("no such operator"), RuntimeError("takes 9 arguments"), "wrong"])
def test_operators_that_do_not_do_what_they_should_are_not_used(monkeypatch, broken):
    def forward(self, x, other=None):
        if broken == "wrong":
            return torch.zeros(1, 5, 6, 7)
        raise broken

    monkeypatch.setattr(FusedConv, "forward", forward)
    fused.available.cache_clear()
    try:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        assert not fused.available()
        assert fused.fused(net, torch.float32) is net
    finally:
        fused.available.cache_clear()
