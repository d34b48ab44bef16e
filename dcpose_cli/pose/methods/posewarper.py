"""PoseWarper: heatmaps of a clip, warped to the current frame."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from ...nets import PoseWarper, PoseWarperConfig
from ..heatmaps import Decoder
from .base import HeatmapMethod, Kind


class PoseWarperMethod(HeatmapMethod):
    """Heatmaps of a clip, each warped to the current frame, averaged."""

    def __init__(self, net: PoseWarper, decoder: Decoder) -> None:
        self.net, self.decoder = net, decoder
        side = net.frames // 2
        self.frames = tuple(range(-side, side + 1))

    def encode(self, crops: Tensor) -> Tensor:
        """Single-frame heatmaps (N, 17, h, w) float32."""
        maps: Tensor = self.net.backbone(crops)
        return maps.float()

    def predict(self, codes: Tensor, margin: Tensor) -> Tensor:
        """As in Method; the margin does not matter."""
        maps: Tensor = self.net.head(codes)
        return maps


KIND: Final = Kind("posewarper", PoseWarperConfig, PoseWarper, PoseWarperMethod)
