"""Parts of DCPose left out or replaced (the paper's table 5), trained on the cached heatmaps of one frozen backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcpose_cli.files import output_error
from dcpose_cli.nets import DCPose, DCPoseConfig, PoseWarper, PoseWarperConfig
from dcpose_cli.nets.dcpose import init_head
from dcpose_cli.nets.posewarper import init_posewarper_head
from dcpose_cli.pose.heatmaps import peaks
from dcpose_cli.skeleton import EAR_SLOTS
from dcpose_cli.training.dcpose.losses import gaussian_targets, heatmap_loss
from dcpose_cli.training.dcpose.recipe import StageConfig
from dcpose_cli.training.engine.log import Progress
from dcpose_cli.training.engine.loop import Loop

from .maps import Maps

#: Name -> what is changed in the complete network. "single" and "posewarper" are methods of their own.
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "single": {},
    "posewarper": {},
    "complete": {},
    "ptm-sum": {"ptm": "sum"},
    "ptm-current": {"ptm": "current"},
    "prf-differences": {"prf": "differences"},
    "no-previous": {"neighbours": ("next",)},
    "no-next": {"neighbours": ("previous",)},
    # The smallest ones of the complete network: of the paper's, {3}, {3, 6}, ...
    "one-dilation": {},
    "two-dilations": {},
    "three-dilations": {},
    "four-dilations": {},
    # T of the paper: the farthest that a neighbour may lie from the current frame.
    "t-1": {},
    "t-2": {},
    "t-3": {},
}
_COUNTS: Final = {"one-dilation": 1, "two-dilations": 2, "three-dilations": 3, "four-dilations": 4}
#: What a CPU does in an afternoon.
CPU_SET: Final = (
    "single",
    "complete",
    "ptm-sum",
    "ptm-current",
    "prf-differences",
    "one-dilation",
    "no-previous",
    "no-next",
)
#: A joint is found within this share of the longer side of the person's box, about half a head.
WITHIN: Final = 0.05


class PoseWarperOnMaps(nn.Module):
    """PoseWarper's head on the heatmaps of three frames, called as DCPose's."""

    def __init__(self, config: DCPoseConfig) -> None:
        super().__init__()
        warper = PoseWarperConfig(
            backbone=config.backbone, blocks=4, width=32, dilations=config.dilations, weights=(0.4, 0.3)
        )
        self.net = PoseWarper(warper)
        del self.net.backbone
        init_posewarper_head(self.net)

    def forward(self, current: Tensor, previous: Tensor, following: Tensor, margin: Tensor) -> Tensor:
        """The heatmaps of the current frame."""
        return self.net.head(torch.stack([previous, current, following]))


class DCPoseOnMaps(nn.Module):
    """DCPose's head alone."""

    def __init__(self, config: DCPoseConfig) -> None:
        super().__init__()
        self.net = DCPose(config)
        del self.net.backbone
        init_head(self.net)

    def forward(self, current: Tensor, previous: Tensor, following: Tensor, margin: Tensor) -> Tensor:
        """The final heatmaps."""
        return self.net.head(current, previous, following, margin).final


def head_of(variant: str, config: DCPoseConfig, seed: int) -> nn.Module | None:
    """The untrained head of a variant, None for the single-frame method, which has none."""
    if variant == "single":
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if variant == "posewarper":
            return PoseWarperOnMaps(config)
        return DCPoseOnMaps(changed(variant, config))


def changed(variant: str, config: DCPoseConfig) -> DCPoseConfig:
    """The complete network's configuration with what a variant changes."""
    count = _COUNTS.get(variant, len(config.dilations))
    return replace(config, dilations=config.dilations[:count], **VARIANTS[variant])


def train_head(
    variant: str,
    config: DCPoseConfig,
    maps: Maps,
    stage: StageConfig,
    seed: int,
    work: Path,
    *,
    report: Callable[[Progress], None] = lambda progress: None,
) -> nn.Module | None:
    """Train the head of a variant from `seed`; goes on from what `work` holds. Raises OutputError or WeightsError."""
    head = head_of(variant, config, seed)
    if head is None:
        return None
    if variant.startswith("t-"):
        maps = maps.within(int(variant[2:]))
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, work) from error
    loop = Loop("head", head, list(head.parameters()), stage, work, device=torch.device("cpu"), report=report)
    loop.resume()
    size = (maps.maps.shape[4], maps.maps.shape[3])

    def loss_of(step: int) -> Tensor:
        head.train()
        rows = np.sort(np.random.default_rng([seed, step]).choice(len(maps.maps), stage.batch))
        frames, joints, margin = maps.tensors(rows)
        with torch.autocast("cpu", torch.bfloat16):
            final = head(*frames, margin)
        return heatmap_loss(final, gaussian_targets(joints, size, stage.sigma), joints[..., 2])

    loop.run(loss_of)
    head.load_state_dict(loop.average.state)
    return head.eval()


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Joints found. found, counted, hidden: (N, 17) bool. clip: (N,) names."""

    found: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    clip: NDArray[np.str_]


@torch.no_grad()
def find_joints(head: nn.Module | None, maps: Maps) -> Hits:
    """Which surely labelled joints (ears left out) a head finds in held-out windows; None: the backbone alone."""
    places = []
    for first in range(0, len(maps.maps), 32):
        frames, _, margin = maps.tensors(np.arange(first, min(first + 32, len(maps.maps))))
        final = frames[0] if head is None else head(*frames, margin)
        places.append(peaks(final)[..., :2].numpy())
    apart = np.linalg.norm(np.concatenate(places) - maps.joints[..., :2], axis=2)
    counted = maps.joints[..., 2] >= 0.99
    counted[:, list(EAR_SLOTS)] = False
    return Hits((apart <= WITHIN * maps.side[:, None]) & counted, counted, maps.hidden & counted, maps.clip)
