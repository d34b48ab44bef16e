"""What each kind of network wants to see, and how its output becomes keypoints: one class per kind, one table.

Whoever runs a network asks `method_of` and knows nothing else of it. A new network adds a class and a line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from ..nets import DSTA, DCPose, HRNet, PoseWarper, SimpleBaseline
from .heatmaps import DECODERS, Decoder


class Method(ABC):
    """A network at work on crops of people, in two steps: every crop alone, then the frames of each person together.

    What the first step makes of a crop may serve several windows, where they share it.
    """

    #: The frames a window needs, in the order `decode` wants them, counted from the current one: -1 is the previous.
    frames: tuple[int, ...]

    @abstractmethod
    def encode(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, H, W) float32, normalised RGB -> one code each, (N, ...). May run under autocast."""

    @abstractmethod
    def decode(self, codes: Tensor, margin: Tensor, size: tuple[int, int]) -> Tensor:
        """Keypoints in the current frame's crops.

        codes: (F, N, ...), one entry per entry of `frames`. margin: (N, 2), frames from previous to current and from
        current to next, both >= 1. size: crop width and height. May run under autocast.
        Returns (N, 17, 3) float32: x, y in crop pixels, score; a joint may lie outside the crop.
        """

    def run(self, crops: Tensor, margin: Tensor) -> Tensor:
        """Both steps: crops (F, N, 3, H, W), one entry per entry of `frames` -> (N, 17, 3)."""
        codes = self.encode(crops.flatten(0, 1))
        return self.decode(codes.view(*crops.shape[:2], *codes.shape[1:]), margin, (crops.shape[4], crops.shape[3]))


class SingleFrameMethod(Method):
    """Heatmaps of the current frame."""

    frames = (0,)

    def __init__(self, net: HRNet | SimpleBaseline, decoder: Decoder) -> None:
        self.net, self.decoder = net, decoder

    def encode(self, crops: Tensor) -> Tensor:
        """Heatmaps (N, 17, h, w)."""
        maps: Tensor = self.net(crops)
        return maps

    def decode(self, codes: Tensor, margin: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method; the margin does not matter."""
        return keypoints_of_heatmaps(codes[0], size, self.decoder)


class DCPoseMethod(Method):
    """Heatmaps of three frames (of two, where a neighbour is left out), merged."""

    def __init__(self, net: DCPose, decoder: Decoder) -> None:
        self.net, self.decoder = net, decoder
        self.frames = (0, *(offset for name, offset in _OFFSETS.items() if name in net.config.neighbours))

    def encode(self, crops: Tensor) -> Tensor:
        """Single-frame heatmaps (N, 17, h, w) float32."""
        maps: Tensor = self.net.backbone(crops)
        return maps.float()

    def decode(self, codes: Tensor, margin: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method."""
        seen = dict(zip(self.frames, codes, strict=True))
        current = seen[0]
        maps = self.net.head(current, seen.get(-1, current), seen.get(1, current), margin.to(codes.device))
        return keypoints_of_heatmaps(maps.final, size, self.decoder)


class PoseWarperMethod(Method):
    """Heatmaps of a clip, each warped to the current frame, averaged."""

    def __init__(self, net: PoseWarper, decoder: Decoder) -> None:
        self.net, self.decoder = net, decoder
        side = net.frames // 2
        self.frames = tuple(range(-side, side + 1))

    def encode(self, crops: Tensor) -> Tensor:
        """Single-frame heatmaps (N, 17, h, w) float32."""
        maps: Tensor = self.net.backbone(crops)
        return maps.float()

    def decode(self, codes: Tensor, margin: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method; the margin does not matter."""
        return keypoints_of_heatmaps(self.net.head(codes), size, self.decoder)


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

    def decode(self, codes: Tensor, margin: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method; the margin does not matter. The score is the mean of 1 - sigma."""
        # The small features change places, not the pictures: these keep their memory layout.
        poses = self.net.head(codes.transpose(0, 1))
        scale = torch.tensor(size, dtype=torch.float32, device=codes.device)
        return torch.cat([poses.coordinates * scale, poses.score], dim=2)


#: Neighbours of DCPose -> their place in time.
_OFFSETS: Final = {"previous": -1, "next": 1}
_METHODS: Final[dict[type[nn.Module], Callable[[Any, Decoder], Method]]] = {
    DCPose: DCPoseMethod,
    DSTA: DSTAMethod,
    HRNet: SingleFrameMethod,
    PoseWarper: PoseWarperMethod,
    SimpleBaseline: SingleFrameMethod,
}


def method_of(net: nn.Module, decoding: str = "quarter") -> Method:
    """How to run a pose network. decoding: how its joints are read from heatmaps, see `DECODERS`."""
    return _METHODS[type(net)](net, DECODERS[decoding])


def reach_of(method: Method) -> int:
    """Frames a method looks at on each side of the current one, the side with more of them."""
    return max(abs(offset) for offset in method.frames)


def keypoints_of_heatmaps(heatmaps: Tensor, size: tuple[int, int], decoder: Decoder) -> Tensor:
    """Peaks of heatmaps (N, J, h, w) -> (N, J, 3) float32: x, y in crop pixels, raw value. size: crop width, height.

    No half-pixel shift: heatmap pixel 0 lies on crop pixel 0, as in the crops' affine.
    """
    stride = (size[0] / heatmaps.shape[3], size[1] / heatmaps.shape[2], 1.0)
    return decoder(heatmaps.float()) * torch.tensor(stride, device=heatmaps.device)
