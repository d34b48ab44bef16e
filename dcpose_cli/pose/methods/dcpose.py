"""DCPose: heatmaps of three frames, merged (CVPR 2021)."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from ...nets import DCPose, DCPoseConfig
from ..heatmaps import Decoder
from .base import HeatmapMethod, Kind

#: Neighbours of DCPose -> their place in time.
_OFFSETS: Final = {"previous": -1, "next": 1}


class DCPoseMethod(HeatmapMethod):
    """Heatmaps of three frames (of two, where a neighbour is left out), merged."""

    def __init__(self, net: DCPose, decoder: Decoder) -> None:
        self.net, self.decoder = net, decoder
        self.frames = (0, *(offset for name, offset in _OFFSETS.items() if name in net.config.neighbours))

    def encode(self, crops: Tensor) -> Tensor:
        """Single-frame heatmaps (N, 17, h, w) float32."""
        maps: Tensor = self.net.backbone(crops)
        return maps.float()

    def predict(self, codes: Tensor, margin: Tensor) -> Tensor:
        """As in Method."""
        seen = dict(zip(self.frames, codes, strict=True))
        current = seen[0]
        maps = self.net.head(current, seen.get(-1, current), seen.get(1, current), margin.to(codes.device))
        return maps.final


KIND: Final = Kind("dcpose", DCPoseConfig, DCPose, DCPoseMethod)
