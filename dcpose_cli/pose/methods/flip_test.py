"""The flip test, for every method: the mean of what it says of a crop and of its mirror image."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Method


class FlipTest(Method):
    """Any method on the crop and on its mirror image, the mean of both; twice the cost."""

    def __init__(self, method: Method) -> None:
        self.method, self.frames, self.passes = method, method.frames, 2 * method.passes

    @property
    def udp(self) -> bool:
        """As in Method."""
        return self.method.udp

    def encode(self, crops: Tensor) -> Tensor:
        """The codes of the crops and of their mirror images, (N, 2, ...)."""
        mirrored = crops.flip(3).contiguous(memory_format=torch.channels_last)
        return torch.stack([self.method.encode(crops), self.method.encode(mirrored)], dim=1)

    def predict(self, codes: Tensor, margin: Tensor) -> Tensor:
        """As in Method, the mean of both."""
        straight, mirrored = codes.unbind(2)
        other = self.method.unmirror(self.method.predict(mirrored, margin).float())
        return (self.method.predict(straight, margin).float() + other) / 2

    def unmirror(self, predicted: Tensor) -> Tensor:
        """As in Method."""
        return self.method.unmirror(predicted)

    def read(self, predicted: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method."""
        return self.method.read(predicted, size)
