"""What each kind of network wants to see, and how its output becomes keypoints: one class per kind, one table.

Whoever runs a network asks `method_of` and knows nothing else of it. A new network adds a class and a line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from .decode import peaks
from .nets import DSTA, DCPose, HRNet, PoseWarper, SimpleBaseline


class Method(Protocol):
    """A network at work on crops of people."""

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames `run` wants, in its order, counted from the current one: -1 is the previous frame."""
        ...

    def run(self, crops: Tensor, margin: Tensor) -> Tensor:
        """Keypoints in the current frame's crops.

        crops: (F, N, 3, H, W) float32 normalised RGB, one entry per entry of `frames`. margin: (N, 2), frames from
        previous to current and from current to next, both >= 1. May run under autocast.
        Returns (N, 17, 3) float32: x, y in crop pixels, score; a joint may lie outside the crop.
        """
        ...


class SingleFrameMethod:
    """Heatmaps of the current frame."""

    frames: tuple[int, ...] = (0,)

    def __init__(self, net: HRNet | SimpleBaseline) -> None:
        self.net = net

    def run(self, crops: Tensor, margin: Tensor) -> Tensor:
        """As in Method; the margin does not matter."""
        return keypoints_of_heatmaps(self.net(crops[0]), (crops.shape[4], crops.shape[3]))


class DCPoseMethod:
    """Heatmaps of three frames (of two, where a neighbour is left out), merged."""

    def __init__(self, net: DCPose) -> None:
        self.net = net
        self.frames = (0, *(offset for name, offset in _OFFSETS.items() if name in net.config.neighbours))

    def run(self, crops: Tensor, margin: Tensor) -> Tensor:
        """As in Method; all frames pass the backbone as one batch."""
        made = self.net.backbone(crops.flatten(0, 1)).float().split(crops.shape[1])
        seen = dict(zip(self.frames, made, strict=True))
        current = seen[0]
        maps = self.net.head(current, seen.get(-1, current), seen.get(1, current), margin.to(crops.device)).final
        return keypoints_of_heatmaps(maps, (crops.shape[4], crops.shape[3]))


class PoseWarperMethod:
    """Heatmaps of a clip, each warped to the current frame, averaged."""

    def __init__(self, net: PoseWarper) -> None:
        self.net = net
        side = net.frames // 2
        self.frames = tuple(range(-side, side + 1))

    def run(self, crops: Tensor, margin: Tensor) -> Tensor:
        """As in Method; the margin does not matter."""
        maps = self.net.backbone(crops.flatten(0, 1)).float().unflatten(0, crops.shape[:2])
        return keypoints_of_heatmaps(self.net.head(maps), (crops.shape[4], crops.shape[3]))


class DSTAMethod:
    """Coordinates from a clip, without heatmaps."""

    def __init__(self, net: DSTA) -> None:
        self.net = net
        side = net.config.frames // 2
        self.frames = tuple(range(-side, side + 1))

    def run(self, crops: Tensor, margin: Tensor) -> Tensor:
        """As in Method; the margin does not matter. The score is the mean of 1 - sigma."""
        # The small features change places, not the pictures: these keep their memory layout.
        features = self.net.backbone(crops.flatten(0, 1)).unflatten(0, crops.shape[:2]).transpose(0, 1)
        poses = self.net.head(features)
        size = torch.tensor((crops.shape[4], crops.shape[3]), dtype=torch.float32, device=crops.device)
        return torch.cat([poses.coordinates * size, poses.score], dim=2)


#: Neighbours of DCPose -> their place in time.
_OFFSETS: Final = {"previous": -1, "next": 1}
_METHODS: Final[dict[type[nn.Module], Callable[[Any], Method]]] = {
    DCPose: DCPoseMethod,
    DSTA: DSTAMethod,
    HRNet: SingleFrameMethod,
    PoseWarper: PoseWarperMethod,
    SimpleBaseline: SingleFrameMethod,
}


def method_of(net: nn.Module) -> Method:
    """How to run a pose network."""
    return _METHODS[type(net)](net)


def reach_of(method: Method) -> int:
    """Frames a method looks at on each side of the current one, the side with more of them."""
    return max(abs(offset) for offset in method.frames)


def keypoints_of_heatmaps(heatmaps: Tensor, size: tuple[int, int]) -> Tensor:
    """Peaks of heatmaps (N, J, h, w) -> (N, J, 3) float32: x, y in crop pixels, raw maximum. size: crop width, height.

    No half-pixel shift: heatmap pixel 0 lies on crop pixel 0, as in the crops' affine.
    """
    stride = (size[0] / heatmaps.shape[3], size[1] / heatmaps.shape[2], 1.0)
    return peaks(heatmaps.float()) * torch.tensor(stride, device=heatmaps.device)
