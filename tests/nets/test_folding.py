"""Networks made ready for use give what the trained ones give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcpose_cli.nets import (
    DSTA,
    DCPose,
    DCPoseConfig,
    DSTAConfig,
    HRNet,
    HRNetConfig,
    SimpleBaseline,
    SimpleBaselineConfig,
)
from dcpose_cli.nets.dcpose import Warp
from dcpose_cli.nets.folding import folded, laid_out

SMALL = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))


def trained(net: nn.Module) -> nn.Module:
    """Batch norms that have seen something; everything else of a size that keeps the output alive."""
    torch.manual_seed(4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    for module in net.modules():
        if isinstance(module, Warp):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.offset_mask.weight, 0, 1e-4)  # samples far apart would magnify roundings
    return net.eval()


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (HRNet(SMALL), (2, 3, 64, 48)),
        (SimpleBaseline(SimpleBaselineConfig(depth=18, width=16)), (1, 3, 64, 48)),
        (DCPose(DCPoseConfig(backbone=SMALL, input_size=(48, 64))), (2, 9, 64, 48)),
        (DSTA(DSTAConfig(backbone=SMALL, input_size=(48, 64))), (2, 3, 3, 64, 48)),
    ],
)
def test_same_output_without_batch_norm(net, shape):
    net = trained(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.randn(shape)
    more = (torch.ones(len(x), 2),) if isinstance(net, DCPose) else ()
    ready = laid_out(folded(net))
    with torch.inference_mode():
        expected, found = net(x, *more), ready(x, *more)
    pairs = zip(expected, found, strict=True) if isinstance(expected, tuple) else [(expected, found)]
    for one, other in pairs:
        assert one.abs().max() > 1e-3
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5 * float(one.abs().max()))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in ready.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
