"""DSTA: coordinates from a clip, without heatmaps."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from ...nets import DSTA, DSTAConfig
from ...skeleton import FLIP_ORDER
from ..heatmaps import Decoder
from .base import Kind, Method


class DSTAMethod(Method):
    """Coordinates from a clip, without heatmaps."""

    def __init__(self, net: DSTA, decoder: Decoder) -> None:
        del decoder  # there are no heatmaps
        self.net = net
        side = net.config.frames // 2
        self.frames = tuple(range(-side, side + 1))

    def encode(self, crops: Tensor) -> Tensor:
        """The backbone's features (N, channels, h, w)."""
        features: Tensor = self.net.backbone(crops)
        return features

    def predict(self, codes: Tensor, margin: Tensor) -> Tensor:
        """As in Method; the margin does not matter. The score is the mean of 1 - sigma."""
        # The small features change places, not the pictures: these keep their memory layout.
        poses = self.net.head(codes.transpose(0, 1))
        return torch.cat([poses.coordinates, poses.score], dim=2).float()

    def unmirror(self, predicted: Tensor) -> Tensor:
        """As in Method: pixel x of a crop is pixel width - 1 - x of its mirror image."""
        width = self.net.config.input_size[0]
        changed = predicted[:, list(FLIP_ORDER)]
        return torch.cat([(width - 1) / width - changed[..., :1], changed[..., 1:]], dim=2)

    def read(self, predicted: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method."""
        return predicted * torch.tensor([*size, 1.0], device=predicted.device)


KIND: Final = Kind("dsta", DSTAConfig, DSTA, DSTAMethod, any_size=False)
