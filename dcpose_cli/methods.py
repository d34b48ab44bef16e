"""What each kind of network wants to see, and how its output becomes keypoints: one class per kind, one table.

Whoever runs a network asks `method_of` and knows nothing else of it. A new network adds a class and a line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from .decode import peaks
from .errors import WeightsError
from .nets import DCPose, HRNet
from .nets.dsta import DSTA

#: Frames a window holds on each side of the current one.
REACH: Final = 1


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


class HRNetMethod:
    """Heatmaps of the current frame."""

    frames: tuple[int, ...] = (0,)

    def __init__(self, net: HRNet) -> None:
        self.net = net

    def run(self, crops: Tensor, margin: Tensor) -> Tensor:
        """As in Method; the margin does not matter."""
        return keypoints_of_heatmaps(self.net(crops[0]), (crops.shape[4], crops.shape[3]))


class DCPoseMethod:
    """Heatmaps of three frames, merged."""

    frames: tuple[int, ...] = (0, -1, 1)

    def __init__(self, net: DCPose) -> None:
        self.net = net

    def run(self, crops: Tensor, margin: Tensor) -> Tensor:
        """As in Method; all frames pass the backbone as one batch."""
        current, previous, following = self.net.backbone(crops.flatten(0, 1)).float().split(crops.shape[1])
        maps = self.net.head(current, previous, following, margin.to(crops.device)).final
        return keypoints_of_heatmaps(maps, (crops.shape[4], crops.shape[3]))


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


_METHODS: Final[dict[type[nn.Module], Callable[[Any], Method]]] = {
    DCPose: DCPoseMethod,
    DSTA: DSTAMethod,
    HRNet: HRNetMethod,
}


def method_of(net: nn.Module) -> Method:
    """How to run a pose network. Raises WeightsError for one that wants more frames than a window holds."""
    method = _METHODS[type(net)](net)
    if max(abs(offset) for offset in method.frames) > REACH:
        raise WeightsError(
            f"the model looks at {len(method.frames)} frames at once, a window holds {2 * REACH + 1}; "
            "choose another with --model"
        )
    return method


def keypoints_of_heatmaps(heatmaps: Tensor, size: tuple[int, int]) -> Tensor:
    """Peaks of heatmaps (N, J, h, w) -> (N, J, 3) float32: x, y in crop pixels, raw maximum. size: crop width, height.

    No half-pixel shift: heatmap pixel 0 lies on crop pixel 0, as in the crops' affine.
    """
    stride = (size[0] / heatmaps.shape[3], size[1] / heatmaps.shape[2], 1.0)
    return peaks(heatmaps.float()) * torch.tensor(stride, device=heatmaps.device)
