"""What DSTA looks at frames with: one feature vector per frame (DSTA SPEC 2.1, 13).

ResNet-50 is the published backbone. The HRNet one is an extension of ours: no published weights or numbers exist.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from .hrnet import ExchangeModule, HRNet, HRNetConfig, init_weights

_RESNET_PARTS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


class ResNet50Features(nn.Module):
    """torchvision's ResNet-50 up to layer4, averaged over the picture. (N, 3, H, W) -> (N, 2048)."""

    channels = 2048

    def __init__(self) -> None:
        super().__init__()
        whole = resnet50(weights=None)
        for name in _RESNET_PARTS:
            self.add_module(name, getattr(whole, name))

    def forward(self, x: Tensor) -> Tensor:
        """Mean over all positions of the last stage."""
        for part in self.children():
            x = part(x)
        return x.mean(dim=(2, 3))


class HRNetFeatures(HRNet):
    """An HRNet up to the branches of its last module, each averaged. (N, 3, H, W) -> (N, 15 * width).

    The names are HRNet's; only the last exchange and `final_layer`, which make heatmaps, are missing.
    """

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__(config)
        widths = tuple(config.width * 2**b for b in range(4))
        self.channels = sum(widths)
        self.stage4[-1] = _PooledBranches(widths, config.blocks[2], single=True)
        del self.final_layer

    def forward(self, x: Tensor) -> Tensor:
        """The four averages, highest resolution first."""
        return self.features(x)


class _PooledBranches(ExchangeModule):
    """An exchange module that ends with the averages of its branches instead of an exchange."""

    def __init__(self, widths: tuple[int, ...], blocks: int, *, single: bool) -> None:
        super().__init__(widths, blocks, single=single)
        del self.fuse_layers

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """One map per branch -> a single (N, sum of widths) vector."""
        ys = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [torch.cat([y.mean(dim=(2, 3)) for y in ys], dim=1)]


def init_backbone(backbone: ResNet50Features | HRNetFeatures) -> None:
    """He initialisation, for training without the weights of another task."""
    for part in backbone.children():  # not the whole: `init_weights` expects a heatmap layer in an HRNet
        init_weights(part)
