"""DSTA (CVPR 2024): joints by regression, space and time looked at apart (DSTA SPEC 2).

One feature vector per frame becomes 17 joint tokens. In the current frame the tokens of a body part are compared
with each other; over time every token only with itself. The weighted sum of both gives coordinates and their spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..skeleton import NUM_JOINTS
from .attention import SequenceEncoder
from .dsta_backbone import HRNetFeatures, ResNet50Features
from .hrnet import HRNetConfig

#: Channels of a joint token, attention heads, hidden units of the perceptrons, blocks per branch.
WIDTH: Final = 32
HEADS: Final = 8
HIDDEN: Final = 64
DEPTH: Final = 4
#: Stochastic depth of a branch's last block while training.
DROP_PATH: Final = 0.1
#: Tokens of one body part, and parts: head, left arm, right arm, left leg, right leg. The last two tokens are unused.
GROUP: Final = 3
GROUPS: Final = 5
#: Joint slot -> token. Both ears read the token of head_top, so their output is head_top's; PoseTrack has no ears.
TOKEN_OF_JOINT: Final[tuple[int, ...]] = (1, 2, 0, 0, 0, 3, 6, 4, 7, 5, 8, 9, 12, 10, 13, 11, 14)


@dataclass(frozen=True, slots=True)
class DSTAConfig:
    """Shape of a DSTA network; the defaults are the published model.

    frames: length of the clip, odd; the current frame is in the middle. input_size: crop width and height in pixels.
    backbone: None for ResNet-50; an HRNet is an extension of ours. pooling: "mean", as published, or, with an HRNet,
    "places" (see HRNetFeatures). Raises ValueError for an even number of frames or another pooling.
    """

    frames: int = 3
    input_size: tuple[int, int] = (192, 256)
    backbone: HRNetConfig | None = None
    pooling: str = "mean"

    def __post_init__(self) -> None:
        if self.pooling != "mean" and (self.pooling != "places" or self.backbone is None):
            raise ValueError(f"pooling is {self.pooling!r}, known are mean and, with an HRNet, places")
        if self.frames < 1 or self.frames % 2 == 0:
            raise ValueError(f"DSTA needs an odd number of frames, got {self.frames}")


class DSTAPoses(NamedTuple):
    """Joints of the current frame, float32.

    coordinates: (B, 17, 2), x and y from 0 to 1 across the crop, unbounded (a joint may lie outside).
    sigma: (B, 17, 2), spread in the same unit, 0..1. score: (B, 17, 1), mean of 1 - sigma, 0..1.
    """

    coordinates: Tensor
    sigma: Tensor
    score: Tensor


class DSTA(nn.Module):
    """The full network. `net(clip)` returns the joints of the clip's middle frame.

    clip: (B, T, 3, H, W) float32 normalised RGB in the order of time (previous, current, next), any B >= 1.
    Whatever follows the backbone runs in float32, also under autocast: it costs next to nothing and its output is
    a position, which bfloat16 would round to a 256th of the crop.
    """

    def __init__(self, config: DSTAConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DSTAConfig()
        self.backbone = (
            ResNet50Features() if config.backbone is None else HRNetFeatures(config.backbone, config.pooling)
        )
        self.to_tokens = nn.Linear(self.backbone.channels, NUM_JOINTS * WIDTH)
        self.spatial = SequenceEncoder(GROUP, WIDTH, heads=HEADS, hidden=HIDDEN, depth=DEPTH, drop=DROP_PATH)
        self.temporal = SequenceEncoder(config.frames, WIDTH, heads=HEADS, hidden=HIDDEN, depth=DEPTH, drop=DROP_PATH)
        self.merge = nn.Conv2d(2, 1, 1)
        self.to_coordinates = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2))
        self.to_sigma = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2))

    def forward(self, clip: Tensor) -> DSTAPoses:
        """Joints of the middle frame. Raises ValueError for another shape of clip."""
        if clip.ndim != 5 or clip.shape[1] != self.config.frames or clip.shape[2] != 3:
            raise ValueError(f"clip must be (B, {self.config.frames}, 3, H, W), got {tuple(clip.shape)}")
        features = self.backbone(clip.flatten(0, 1))
        return self.head(features.unflatten(0, clip.shape[:2]))

    def head(self, features: Tensor) -> DSTAPoses:
        """Backbone features (B, T, C) of a clip, in the order of time -> joints of its middle frame."""
        with torch.autocast(features.device.type, enabled=False):
            tokens = self.tokens(features.float())
            order = torch.tensor(TOKEN_OF_JOINT, device=tokens.device)
            aggregated = self.aggregate(tokens)[:, order]
            coordinates = self.to_coordinates(aggregated)
            sigma = self.to_sigma(aggregated).sigmoid()
        return DSTAPoses(coordinates, sigma, (1 - sigma).mean(dim=2, keepdim=True))

    def tokens(self, features: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, 17, 32). The features' length carries no information: it is divided out."""
        flat: Tensor = self.to_tokens(F.normalize(features, dim=-1))
        return flat.view(*features.shape[:-1], NUM_JOINTS, WIDTH)

    def aggregate(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, 17, 32) -> the weighted sum of both branches (B, 17, 32), still in token order."""
        branches = torch.stack([self.over_time(tokens), self.over_space(tokens[:, self.config.frames // 2])], dim=1)
        out: Tensor = self.merge(branches)[:, 0]
        return out

    def over_space(self, current: Tensor) -> Tensor:
        """(B, 17, 32) -> (B, 17, 32): each body part for itself; unused tokens pass through."""
        grouped, unused = current[:, : GROUP * GROUPS], current[:, GROUP * GROUPS :]
        encoded = self.spatial(grouped.reshape(-1, GROUP, WIDTH))
        return torch.cat([encoded.view_as(grouped), unused], dim=1)

    def over_time(self, tokens: Tensor) -> Tensor:
        """(B, T, 17, 32) -> (B, 17, 32): each token over the frames, and of these the middle one."""
        batch, frames = tokens.shape[:2]
        encoded = self.temporal(tokens.transpose(1, 2).reshape(-1, frames, WIDTH))
        middle: Tensor = encoded[:, frames // 2]
        return middle.view(batch, NUM_JOINTS, WIDTH)


def init_head(net: DSTA) -> None:
    """Start values for training of everything behind the backbone (DSTA SPEC 5).

    One deviation: both branches start with weight 0.5. The published start, N(0, 0.001), makes the epsilon of the
    heads' layer norms outweigh the signal.
    """
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear | nn.LayerNorm) and not name.startswith("backbone."):
            nn.init.zeros_(module.bias)
    nn.init.xavier_uniform_(net.to_tokens.weight, gain=0.01)
    nn.init.constant_(net.merge.weight, 0.5)
    assert net.merge.bias is not None
    nn.init.zeros_(net.merge.bias)
