"""What each kind of network wants to see, and how its output becomes keypoints: one class per kind, one table.

Whoever runs a network asks `method_of` and knows nothing else of it. A new network adds a class and a line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from .decode import peaks
from .errors import WeightsError
from .nets import DCPose, HRNet
from .nets.dsta import DSTA

#: Frames a window holds on each side of the current one.
REACH: Final = 1


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


class HRNetMethod(Method):
    """Heatmaps of the current frame."""

    frames = (0,)

    def __init__(self, net: HRNet) -> None:
        self.net = net

    def encode(self, crops: Tensor) -> Tensor:
        """Heatmaps (N, 17, h, w)."""
        maps: Tensor = self.net(crops)
        return maps

    def decode(self, codes: Tensor, margin: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method; the margin does not matter."""
        return keypoints_of_heatmaps(codes[0], size)


class DCPoseMethod(Method):
    """Heatmaps of three frames, merged."""

    frames = (0, -1, 1)

    def __init__(self, net: DCPose) -> None:
        self.net = net

    def encode(self, crops: Tensor) -> Tensor:
        """Single-frame heatmaps (N, 17, h, w) float32."""
        maps: Tensor = self.net.backbone(crops)
        return maps.float()

    def decode(self, codes: Tensor, margin: Tensor, size: tuple[int, int]) -> Tensor:
        """As in Method."""
        current, previous, following = codes
        return keypoints_of_heatmaps(self.net.head(current, previous, following, margin.to(codes.device)).final, size)


class DSTAMethod(Method):
    """Coordinates from a clip, without heatmaps."""

    def __init__(self, net: DSTA) -> None:
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
