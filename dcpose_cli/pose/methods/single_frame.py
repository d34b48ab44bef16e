"""HRNet and SimpleBaseline: heatmaps of one frame."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from ...nets import HRNet, HRNetConfig, SimpleBaseline, SimpleBaselineConfig
from ..heatmaps import Decoder
from .base import HeatmapMethod, Kind


class SingleFrameMethod(HeatmapMethod):
    """Heatmaps of the current frame."""

    frames = (0,)

    def __init__(self, net: HRNet | SimpleBaseline, decoder: Decoder) -> None:
        self.net, self.decoder = net, decoder

    def encode(self, crops: Tensor) -> Tensor:
        """Heatmaps (N, 17, h, w)."""
        maps: Tensor = self.net(crops)
        return maps

    def predict(self, codes: Tensor, margin: Tensor) -> Tensor:
        """As in Method; the margin does not matter."""
        return codes[0]


HRNET: Final = Kind("hrnet", HRNetConfig, HRNet, SingleFrameMethod)
SIMPLE_BASELINE: Final = Kind("simplebaseline", SimpleBaselineConfig, SimpleBaseline, SingleFrameMethod)
