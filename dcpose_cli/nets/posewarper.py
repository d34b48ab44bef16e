"""PoseWarper (NeurIPS 2019): the heatmaps of neighbouring frames, warped onto the current one and averaged.

What a neighbour's heatmaps differ in says where to sample them; DCPose grew out of this.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .backbones import HeatmapConfig, heatmap_net
from .blocks import BasicBlock
from .dcpose import deform
from .hrnet import HRNetConfig


@dataclass(frozen=True, slots=True)
class PoseWarperConfig:
    """Shape of a PoseWarper; the defaults are the published model.

    input_size: crop width and height in pixels, multiples of 16. blocks, width: of the chain that looks at the
    differences. dilations: one deformable convolution each. weights: of the current frame, of each direct neighbour,
    of each second one, ...; they say how many frames are looked at, and add up to one with the neighbours counted
    twice. Raises ValueError where they do not.
    """

    backbone: HeatmapConfig = field(default_factory=HRNetConfig)
    input_size: tuple[int, int] = (288, 384)
    blocks: int = 20
    width: int = 128
    dilations: tuple[int, ...] = (3, 6, 12, 18, 24)
    weights: tuple[float, ...] = (0.3, 0.25, 0.1)

    def __post_init__(self) -> None:
        if not self.weights or abs(self.weights[0] + 2 * sum(self.weights[1:]) - 1) > 1e-6:
            raise ValueError(f"weights {self.weights} must add up to 1, every one but the first counted twice")
        if self.blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {self.blocks}")

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return 2 * len(self.weights) - 1


class PlainWarp(nn.Module):
    """One dilation: offsets from the features, an unmodulated deformable 3x3 convolution of the heatmaps."""

    def __init__(self, features: int, joints: int, dilation: int) -> None:
        super().__init__()
        self.joints, self.dilation = joints, dilation
        self.offset = nn.Conv2d(features, 18 * joints, 3, padding=dilation, dilation=dilation, bias=False)
        self.weight = nn.Parameter(torch.zeros(joints, joints, 3, 3))

    def forward(self, features: Tensor, maps: Tensor) -> Tensor:
        """features (B, width, h, w), maps (B, J, h, w) -> (B, J, h, w) float32."""
        offset = self.offset(features).float()
        mask = torch.ones_like(offset[:, : 9 * self.joints])
        bias = torch.zeros(self.joints, device=maps.device)
        return deform(maps.float(), offset, mask, self.weight.float(), bias, self.dilation)


class PoseWarper(nn.Module):
    """The full network. `net(clip)` returns the heatmaps of the clip's middle frame.

    clip: (B, T, 3, H, W) normalised RGB in the order of time, T = 2 * len(weights) - 1; all frames cut with the box of
    the middle one. Returns (B, 17, H / 4, W / 4) float32.
    """

    def __init__(self, config: PoseWarperConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PoseWarperConfig()
        joints = config.backbone.joints
        self.backbone = heatmap_net(config.backbone)
        self.features = nn.Sequential(
            *(BasicBlock(config.width, joints if k == 0 else config.width) for k in range(config.blocks))
        )
        self.warps = nn.ModuleList(PlainWarp(config.width, joints, d) for d in config.dilations)

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.config.frames

    def forward(self, clip: Tensor) -> Tensor:
        """Heatmaps of the middle frame. Raises ValueError for another shape of clip."""
        if clip.ndim != 5 or clip.shape[1] != self.frames or clip.shape[2] != 3:
            raise ValueError(f"clip must be (B, {self.frames}, 3, H, W), got {tuple(clip.shape)}")
        maps = self.backbone(clip.transpose(0, 1).flatten(0, 1)).float()
        return self.head(maps.unflatten(0, (self.frames, len(clip))))

    def head(self, maps: Tensor) -> Tensor:
        """Heatmaps (T, B, 17, h, w) of the frames in the order of time -> those of the middle one (B, 17, h, w)."""
        frames, batch = maps.shape[:2]
        middle = frames // 2
        current = maps[middle].expand_as(maps).flatten(0, 1)
        warped = self.warp(current, maps.flatten(0, 1)).view(frames, batch, *maps.shape[2:])
        weights = [self.config.weights[abs(k - middle)] for k in range(frames)]
        return (torch.tensor(weights, device=maps.device).view(-1, 1, 1, 1, 1) * warped).sum(dim=0)

    def warp(self, current: Tensor, other: Tensor) -> Tensor:
        """The heatmaps of another frame, brought to the current one: both (B, 17, h, w) -> (B, 17, h, w) float32."""
        seen = self.features(current - other)
        total = torch.zeros_like(other, dtype=torch.float32)
        for warp in self.warps:
            total = total + warp(seen, other)
        return total / len(self.warps)


def init_posewarper_head(net: PoseWarper) -> None:
    """The published start: offsets zero, identity weights, so that heatmaps pass through."""
    for module in net.features.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
    with torch.no_grad():
        for warp in net.warps:
            assert isinstance(warp, PlainWarp)
            warp.offset.weight.zero_()
            warp.weight.zero_()
            warp.weight[range(warp.joints), range(warp.joints), 1, 1] = 1.0
