"""What DSTA looks at frames with: one feature vector per frame (DSTA SPEC 2.1, 13).

ResNet-50 is the published backbone. The HRNet one is an extension of ours: no published weights or numbers exist.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .._torchvision import torchvision
from .hrnet import ExchangeModule, HRNet, HRNetConfig, init_weights

_RESNET_PARTS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


class ResNet50Features(nn.Module):
    """torchvision's ResNet-50 up to layer4, averaged over the picture. (N, 3, H, W) -> (N, 2048)."""

    channels = 2048

    def __init__(self) -> None:
        super().__init__()
        whole = torchvision().models.resnet50(weights=None)
        for name in _RESNET_PARTS:
            self.add_module(name, getattr(whole, name))

    def forward(self, x: Tensor) -> Tensor:
        """Mean over all positions of the last stage."""
        for part in self.children():
            x = part(x)
        return x.mean(dim=(2, 3))


class HRNetFeatures(HRNet):
    """An HRNet up to the branches of its last module, each pooled. (N, 3, H, W) -> (N, channels) float32.

    The names are HRNet's; only the last exchange and `final_layer`, which make heatmaps, are missing.
    pooling: "mean", the average of each channel, 15 * width numbers; "places", these and the centre of each channel's
    activity in x and y, 45 * width numbers.
    """

    def __init__(self, config: HRNetConfig, pooling: str = "mean") -> None:
        super().__init__(config)
        widths = tuple(config.width * 2**b for b in range(4))
        self.channels = sum(widths) * (3 if pooling == "places" else 1)
        self.stage4[-1] = PooledBranches(widths, config.blocks[2], pooling)
        del self.final_layer

    def forward(self, x: Tensor) -> Tensor:
        """The pooled branches: averages, highest resolution first, then the centres."""
        return self.features(x)


class PooledBranches(ExchangeModule):
    """An exchange module that ends with pooled branches instead of an exchange."""

    def __init__(self, widths: tuple[int, ...], blocks: int, pooling: str) -> None:
        super().__init__(widths, blocks, single=True)
        self.pooling = pooling
        del self.fuse_layers

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """One map per branch -> a single (N, channels) vector."""
        ys = [branch(x).float() for branch, x in zip(self.branches, maps, strict=True)]
        pooled = [y.mean(dim=(2, 3)) for y in ys]
        if self.pooling == "places":
            pooled += [centre for y in ys for centre in centres(y)]
        return [torch.cat(pooled, dim=1)]


def centres(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Centre of the squared activity of maps (N, C, h, w): x and y, each (N, C), from -1 to 1 across the map.

    Averages know where something is only by what the borders did to it; centres say it.
    """
    weights = maps.square()
    total = weights.sum(dim=(2, 3)) + 1e-6
    xs = torch.linspace(-1, 1, maps.shape[3], device=maps.device)
    ys = torch.linspace(-1, 1, maps.shape[2], device=maps.device)
    return (weights.sum(dim=2) * xs).sum(dim=2) / total, (weights.sum(dim=3) * ys).sum(dim=2) / total


def init_backbone(backbone: ResNet50Features | HRNetFeatures) -> None:
    """He initialisation, for training without the weights of another task."""
    for part in backbone.children():  # not the whole: `init_weights` expects a heatmap layer in an HRNet
        init_weights(part)
