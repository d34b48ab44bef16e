"""What each kind of network wants to see, and how its output becomes keypoints: one class per kind, one table.

Whoever runs a network asks `method_of` and knows nothing else of it. A new network adds a class and a line. The flip
test and ensembles work with every class: they average what `predict` returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from ..nets import DSTA, DCPose, HRNet, PoseWarper, SimpleBaseline
from ..skeleton import FLIP_ORDER
from .heatmaps import DECODERS, Decoder, unmirrored


class Method(ABC):
    """A network at work on crops of people, in two steps: every crop alone, then the frames of each person together.

    What the first step makes of a crop may serve several windows, where they share it.
    """

    #: The frames a window needs, in the order `predict` wants them, counted from the current one: -1 is the previous.
    frames: tuple[int, ...]
    #: Passes of the backbone that `encode` makes over a crop.
    passes: int = 1

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

    def unmirror(self, predicted: Tensor) -> Tensor:
        """As in Method."""
        return unmirrored(predicted)

    def read(self, predicted: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method; the score is the heatmap's value at the joint."""
        return keypoints_of_heatmaps(predicted, size, self.decoder)


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


class FlipTest(Method):
    """Any method on the crop and on its mirror image, the mean of both; twice the cost."""

    def __init__(self, method: Method) -> None:
        self.method, self.frames, self.passes = method, method.frames, 2 * method.passes

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


#: Neighbours of DCPose -> their place in time.
_OFFSETS: Final = {"previous": -1, "next": 1}
_METHODS: Final[dict[type[nn.Module], Callable[[Any, Decoder], Method]]] = {
    DCPose: DCPoseMethod,
    DSTA: DSTAMethod,
    HRNet: SingleFrameMethod,
    PoseWarper: PoseWarperMethod,
    SimpleBaseline: SingleFrameMethod,
}


def method_of(net: nn.Module, decoding: str = "quarter", *, flip_test: bool = False) -> Method:
    """How to run a pose network. decoding: how its joints are read from heatmaps, see `DECODERS`.

    flip_test: average with what it says of the mirrored crops.
    """
    method = _METHODS[type(net)](net, DECODERS[decoding])
    return FlipTest(method) if flip_test else method


def reach_of(method: Method) -> int:
    """Frames a method looks at on each side of the current one, the side with more of them."""
    return max(abs(offset) for offset in method.frames)


def keypoints_of_heatmaps(heatmaps: Tensor, size: tuple[int, int], decoder: Decoder) -> Tensor:
    """Peaks of heatmaps (N, J, h, w) -> (N, J, 3) float32: x, y in crop pixels, raw value. size: crop width, height.

    No half-pixel shift: heatmap pixel 0 lies on crop pixel 0, as in the crops' affine.
    """
    stride = (size[0] / heatmaps.shape[3], size[1] / heatmaps.shape[2], 1.0)
    return decoder(heatmaps.float()) * torch.tensor(stride, device=heatmaps.device)
