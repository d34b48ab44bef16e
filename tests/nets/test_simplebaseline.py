"""SimpleBaseline: published names and sizes, stride 4 at every size."""

from __future__ import annotations

import pytest
import torch

from dcpose_cli.nets import SimpleBaseline, SimpleBaselineConfig
from dcpose_cli.nets.backbones import init_heatmap_net


def test_names_and_size_of_the_published_network():
    with torch.device("meta"):
        net = SimpleBaseline(SimpleBaselineConfig())
    state = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert state["deconv_layers.0.weight"] == (2048, 256, 4, 4)
    assert state["deconv_layers.6.weight"] == (256, 256, 4, 4)
    assert {"conv1.weight", "layer4.2.bn3.running_var", "deconv_layers.7.weight"} < set(state)
    assert (state["final_layer.weight"], state["final_layer.bias"]) == ((17, 256, 1, 1), (17,))
    assert not any("deconv" in name and name.endswith("0.bias") for name in state)
    # ResNet-50 without its classifier, 8.39 M, 1.05 M and 1.05 M of transposed convolutions, their norms, 17 maps.
    assert sum(p.numel() for p in net.parameters()) == 23_508_032 + 4096 * 2560 + 3 * 512 + 17 * 257


@pytest.mark.parametrize("size", [(64, 48), (64, 64), (80, 112)])
def test_stride_four(size):
    net = SimpleBaseline(SimpleBaselineConfig(depth=18, width=8)).eval()
    init_heatmap_net(net)
    with torch.no_grad():
        maps = net(torch.rand(1, 3, *size))
    assert maps.shape == (1, 17, size[0] // 4, size[1] // 4)
    assert torch.isfinite(maps).all()


@pytest.mark.parametrize(("change", "said"), [({"depth": 20}, "depth is 20"), ({"kind": "hrnet"}, "kind is")])
def test_others_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        SimpleBaselineConfig(**change)
