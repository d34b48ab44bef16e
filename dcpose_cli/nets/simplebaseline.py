"""SimpleBaseline (ECCV 2018): a ResNet and three transposed convolutions that bring its features back to stride 4.

State names follow the published checkpoints: torchvision's ResNet, `deconv_layers.0`, `.1`, `.3`, ..., `final_layer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from .._torchvision import torchvision
from ..skeleton import NUM_JOINTS

#: The name of this backbone in recipes and headers, where it stands beside HRNets.
KIND: Final = "simplebaseline"
_DEPTHS: Final = (18, 34, 50, 101, 152)
_PARTS: Final = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True, slots=True)
class SimpleBaselineConfig:
    """Shape of a SimpleBaseline; the defaults are the published ResNet-50 one.

    kind: always "simplebaseline". depth: of the ResNet, 18 to 152. width: channels of each transposed convolution.
    joints: heatmaps at the end. Raises ValueError for another kind or a depth there is no ResNet of.
    """

    kind: str = KIND
    depth: int = 50
    width: int = 256
    joints: int = NUM_JOINTS

    def __post_init__(self) -> None:
        if self.kind != KIND:
            raise ValueError(f"kind is {self.kind!r}, expected {KIND!r}")
        if self.depth not in _DEPTHS:
            raise ValueError(f"depth is {self.depth}, there are ResNets of {', '.join(map(str, _DEPTHS))}")


class SimpleBaseline(nn.Module):
    """(B, 3, H, W) normalised RGB -> (B, joints, H / 4, W / 4) heatmaps. H and W are multiples of 16."""

    def __init__(self, config: SimpleBaselineConfig) -> None:
        super().__init__()
        self.config = config
        whole = getattr(torchvision().models, f"resnet{config.depth}")(weights=None)
        for name in _PARTS:
            self.add_module(name, getattr(whole, name))
        layers: list[nn.Module] = []
        cin = whole.fc.in_features
        for _ in range(3):
            layers += [
                nn.ConvTranspose2d(cin, config.width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(config.width),
                nn.ReLU(inplace=True),
            ]
            cin = config.width
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(cin, config.joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, joints, H / 4, W / 4)."""
        height, width = x.shape[2] // 4, x.shape[3] // 4
        for name in _PARTS:
            x = getattr(self, name)(x)
        maps: Tensor = self.final_layer(self.deconv_layers(x))
        # A side that is no multiple of 32 is rounded up inside; heatmap pixel 0 lies on crop pixel 0 all the same.
        return maps[:, :, :height, :width]


def init_simplebaseline(net: SimpleBaseline) -> None:
    """He initialisation of the ResNet, residual branches shut; the published N(0, 0.001) behind it."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    resnet = torchvision().models.resnet
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, resnet.BasicBlock):
                module.bn2.weight.zero_()
            elif isinstance(module, resnet.Bottleneck):
                module.bn3.weight.zero_()
            elif isinstance(module, nn.ConvTranspose2d):
                module.weight.normal_(0.0, 0.001)
        net.final_layer.weight.normal_(0.0, 0.001)
        assert net.final_layer.bias is not None
        net.final_layer.bias.zero_()
