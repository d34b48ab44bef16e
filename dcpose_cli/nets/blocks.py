"""Convolution blocks shared by the networks. Pure torch: no I/O, no configuration files."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_bn(cin: int, cout: int, kernel: int = 3, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """A bias-free convolution with "same" padding, batch norm and, if asked, ReLU: keys `0`, `1`."""
    layers: list[nn.Module] = [
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(cout),
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (SPEC 2). (B, cin, H, W) -> (B, channels, H, W); cin: channels if None."""

    def __init__(self, channels: int, cin: int | None = None) -> None:
        super().__init__()
        cin = channels if cin is None else cin
        self.conv1 = nn.Conv2d(cin, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = conv_bn(cin, channels, 1, relu=False) if cin != channels else None

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(shortcut(x) + F(x))."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y = y + (x if self.downsample is None else self.downsample(x))
        out: Tensor = self.relu(y)
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with four times the width at the end (SPEC 2). (B, Cin, H, W) -> (B, 4 * width, H, W)."""

    def __init__(self, cin: int, width: int) -> None:
        super().__init__()
        cout = 4 * width
        self.conv1 = nn.Conv2d(cin, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, cout, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = conv_bn(cin, cout, 1, relu=False) if cin != cout else None

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(shortcut(x) + F(x))."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y = y + (x if self.downsample is None else self.downsample(x))
        out: Tensor = self.relu(y)
        return out


class ConvBnReLU(nn.Module):
    """The head's unit: a convolution WITH bias, batch norm, and ReLU unless switched off (SPEC 4.1)."""

    def __init__(self, cin: int, cout: int, kernel: int, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm2d(cout)
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) -> (B, cout, H, W)."""
        out: Tensor = self.relu(self.bn(self.conv(x)))
        return out


class ResidualSteps(nn.Module):
    """The residual-step block of PRF, PTM and the combination (SPEC 4.1).

    The input is reduced to four groups; group i passes i 3x3 units, and every unit but a group's first also
    receives what the group before it made at that depth. (B, cin, H, W) -> (B, cout, H, W).
    """

    def __init__(self, cin: int, cout: int, *, project: bool) -> None:
        super().__init__()
        group = cin * 26 // 64
        if group < 1:
            raise ValueError(f"a residual-step block needs at least 3 input channels, got {cin}")
        self.reduce = ConvBnReLU(cin, 4 * group, 1)
        self.steps = nn.ModuleDict(
            {f"{i}_{j}": ConvBnReLU(group, group, 3) for i in range(1, 5) for j in range(1, i + 1)}
        )
        self.expand = ConvBnReLU(4 * group, cout, 1, relu=False)
        self.shortcut = ConvBnReLU(cin, cout, 1, relu=False) if project else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run the groups from the shallowest to the deepest and close with the shortcut."""
        groups = self.reduce(x).chunk(4, dim=1)
        before: list[Tensor] = []
        ends: list[Tensor] = []
        for i in range(1, 5):
            y = groups[i - 1]
            outs: list[Tensor] = []
            for j in range(1, i + 1):
                if j < i:
                    y = y + before[j - 1]
                y = self.steps[f"{i}_{j}"](y)
                outs.append(y)
            ends.append(y)
            before = outs
        y = self.expand(torch.cat(ends, dim=1))
        y = y + (x if self.shortcut is None else self.shortcut(x))
        out: Tensor = self.relu(y)
        return out


def residual_chain(cin: int, cout: int, blocks: int) -> nn.Sequential:
    """`blocks` residual-step blocks; the first one always projects its shortcut (SPEC 4.1)."""
    return nn.Sequential(*(ResidualSteps(cin if k == 0 else cout, cout, project=k == 0) for k in range(blocks)))
