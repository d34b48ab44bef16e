"""What a pose method is: how a kind of network is run on crops of people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...skeleton import FLIP_ORDER
from ..heatmaps import Decoder, unmirrored


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of pose network. name: as the header of a weights file has it. config: its frozen dataclass of
    hyper-parameters, JSON values. network: makes it from a config and shows that as `config`. method: runs it.
    any_size: whether the network takes crops of other sizes than its own."""

    name: str
    config: type[Any]
    network: Callable[[Any], Any]
    method: Callable[[Any, Decoder], Method]
    any_size: bool = True


class Method(ABC):
    """A network at work on crops of people, in two steps: every crop alone, then the frames of each person together.

    What the first step makes of a crop may serve several windows, where they share it.
    """

    #: The frames a window needs, in the order `predict` wants them, counted from the current one: -1 is the previous.
    frames: tuple[int, ...]
    #: Passes of the backbone that `encode` makes over a crop.
    passes: int = 1

    @property
    def udp(self) -> bool:
        """Whether crops are cut, and joints brought back, as UDP measures pixels; see heatmaps.Decoder."""
        return False

    @abstractmethod
    def encode(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, H, W) float32, normalised RGB -> one code each, (N, ...). May run under autocast."""

    @abstractmethod
    def predict(self, codes: Tensor, margin: Tensor) -> Tensor:
        """What the network says of the current frame's crops, before joints are read from it.

        codes: (F, N, ...), one entry per entry of `frames`. margin: (N, 2), frames from previous to current and from
        current to next, both >= 1. Returns heatmaps (N, 17, h, w) or, without heatmaps, joints (N, 17, 3) float32: x
        and y in shares of the crop, score. May run under autocast.
        """

    @abstractmethod
    def unmirror(self, predicted: Tensor) -> Tensor:
        """What `predict` says of mirrored crops -> the same for the crops themselves, in the same shape."""

    @abstractmethod
    def read(self, predicted: Tensor, size: tuple[int, int]) -> Tensor:
        """Keypoints (N, 17, 3) float32 of what `predict` returned: x, y in crop pixels, score.

        A joint may lie outside the crop. size: crop width and height.
        """

    def decode(self, codes: Tensor, margin: Tensor, size: tuple[int, int]) -> Tensor:
        """`predict` and `read`: codes (F, N, ...) -> keypoints (N, 17, 3) in the current frame's crops."""
        return self.read(self.predict(codes, margin), size)

    def run(self, crops: Tensor, margin: Tensor) -> Tensor:
        """All steps: crops (F, N, 3, H, W), one entry per entry of `frames` -> (N, 17, 3)."""
        codes = self.encode(crops.flatten(0, 1))
        return self.decode(codes.view(*crops.shape[:2], *codes.shape[1:]), margin, (crops.shape[4], crops.shape[3]))


class HeatmapMethod(Method):
    """A network that draws a heatmap per joint."""

    decoder: Decoder
    #: The channel of the mirrored person for every channel.
    flip_order: Sequence[int] = FLIP_ORDER

    @property
    def udp(self) -> bool:
        """As in Method."""
        return self.decoder.udp

    def unmirror(self, predicted: Tensor) -> Tensor:
        """As in Method."""
        return unmirrored(predicted, udp=self.udp, order=self.flip_order)

    def read(self, predicted: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method; the score is the heatmap's value at the joint."""
        return keypoints_of_heatmaps(predicted, size, self.decoder, udp=self.udp)


def keypoints_of_heatmaps(
    heatmaps: Tensor, size: tuple[int, int], decoder: Callable[[Tensor], Tensor], *, udp: bool = False
) -> Tensor:
    """Peaks of heatmaps (N, J, h, w) -> (N, J, 3) float32: x, y in crop pixels, raw value. size: crop width, height.

    No half-pixel shift: heatmap pixel 0 lies on crop pixel 0, as in the crops' affine; with `udp` the last one on the
    last one, too.
    """
    less = 1 if udp else 0
    stride = ((size[0] - less) / (heatmaps.shape[3] - less), (size[1] - less) / (heatmaps.shape[2] - less), 1.0)
    return decoder(heatmaps.float()) * torch.tensor(stride, device=heatmaps.device)
