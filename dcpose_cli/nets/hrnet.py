"""HRNet as a family: W48 and W32 as published, and small ones of the same layout (SPEC 2).

State names follow the published checkpoints (`conv1`, `layer1`, `stage3.0.branches.1.2.conv1`, ...).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..skeleton import NUM_JOINTS
from .blocks import BasicBlock, Bottleneck, conv_bn


@dataclass(frozen=True, slots=True)
class HRNetConfig:
    """Shape of an HRNet; the defaults are HRNet-W48 as DCPose uses it.

    width: channels of the highest-resolution branch; branch b has width * 2**b.
    stem: channels of the two stride-2 convolutions. layer1_width, layer1_blocks: its bottlenecks.
    modules: exchange modules in stages 2, 3, 4. blocks: basic blocks per branch in stages 2, 3, 4.
    joints: heatmaps at the end.
    """

    width: int = 48
    stem: int = 64
    layer1_width: int = 64
    layer1_blocks: int = 4
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: tuple[int, int, int] = (4, 4, 4)
    joints: int = NUM_JOINTS


def _downsampler(cin: int, cout: int, steps: int) -> nn.Sequential:
    """`steps` stride-2 convolutions; only the last changes the width, and it has no ReLU."""
    parts = [conv_bn(cin, cin if k < steps - 1 else cout, stride=2, relu=k < steps - 1) for k in range(steps)]
    return nn.Sequential(*parts)


class ExchangeModule(nn.Module):
    """Parallel branches of basic blocks, then every output is the sum over all branches.

    Takes and returns one (B, width * 2**b, H / 2**b, W / 2**b) map per branch; with `single` only branch 0.
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, *, single: bool = False) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(w) for _ in range(blocks))) for w in widths)
        self.fuse_layers = nn.ModuleList()
        for i in range(1 if single else len(widths)):
            row = nn.ModuleList()
            for j, wj in enumerate(widths):
                if j == i:
                    row.append(nn.Identity())
                elif j > i:
                    row.append(conv_bn(wj, widths[i], 1, relu=False))
                else:
                    row.append(_downsampler(wj, widths[i], i - j))
            self.fuse_layers.append(row)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Run the branches, then the exchange."""
        ys = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        outs: list[Tensor] = []
        for i, row in enumerate(self.fuse_layers):
            assert isinstance(row, nn.ModuleList)
            total = row[0](ys[0])
            for j in range(1, len(ys)):
                y = row[j](ys[j])
                # To the size of branch i, not by a factor: sides that are odd at stride 16 survive.
                total = total + (F.interpolate(y, size=ys[i].shape[-2:], mode="nearest") if j > i else y)
            outs.append(self.relu(total))
        return outs


class HRNet(nn.Module):
    """(B, 3, H, W) normalised RGB -> (B, joints, H / 4, W / 4) heatmaps. H and W are multiples of 16."""

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        widths = (w, 2 * w, 4 * w, 8 * w)
        self.conv1 = nn.Conv2d(3, config.stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(config.stem)
        self.conv2 = nn.Conv2d(config.stem, config.stem, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(config.stem)
        self.relu = nn.ReLU(inplace=True)
        mid = 4 * config.layer1_width
        self.layer1 = nn.Sequential(
            *(Bottleneck(config.stem if k == 0 else mid, config.layer1_width) for k in range(config.layer1_blocks))
        )
        self.transition1 = nn.ModuleList([conv_bn(mid, widths[0]), nn.Sequential(conv_bn(mid, widths[1], stride=2))])
        self.stage2 = self._stage(widths[:2], 0)
        self.transition2 = self._transition(widths[:3])
        self.stage3 = self._stage(widths[:3], 1)
        self.transition3 = self._transition(widths)
        self.stage4 = self._stage(widths, 2, single_end=True)
        self.final_layer = nn.Conv2d(widths[0], config.joints, 1)

    def _stage(self, widths: tuple[int, ...], number: int, *, single_end: bool = False) -> nn.ModuleList:
        count, blocks = self.config.modules[number], self.config.blocks[number]
        return nn.ModuleList(ExchangeModule(widths, blocks, single=single_end and k == count - 1) for k in range(count))

    @staticmethod
    def _transition(widths: tuple[int, ...]) -> nn.ModuleList:
        """Existing branches pass through; a new, lower one grows out of the last."""
        kept: list[nn.Module] = [nn.Identity() for _ in widths[:-1]]
        return nn.ModuleList([*kept, nn.Sequential(conv_bn(widths[-2], widths[-1], stride=2))])

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, H / 4, W / 4): branch 0 before the final layer."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        maps = [t(x) for t in self.transition1]
        for module in self.stage2:
            maps = module(maps)
        maps = [*maps, self.transition2[-1](maps[-1])]
        for module in self.stage3:
            maps = module(maps)
        maps = [*maps, self.transition3[-1](maps[-1])]
        for module in self.stage4:
            maps = module(maps)
        best: Tensor = maps[0]
        return best

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, joints, H / 4, W / 4)."""
        out: Tensor = self.final_layer(self.features(x))
        return out


def init_weights(net: nn.Module) -> None:
    """He initialisation for training from random weights."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)  # residual branches start as identity: deeper nets settle faster
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, HRNet):
                module.final_layer.weight.normal_(0.0, 0.001)
