"""Parts of DCPose left out or replaced (the paper's table 5), trained on the heatmaps of one frozen backbone.

The backbone sees every crop once: its heatmaps are kept in files, and every variant learns from the same ones. Whole
clips are held out, chosen by a hash of their names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..files import output_error
from ..nets import DCPose, DCPoseConfig, PoseWarper, PoseWarperConfig
from ..nets.dcpose import init_head
from ..nets.posewarper import init_posewarper_head
from ..pose.crop import box_to_center_scale
from ..pose.heatmaps import peaks
from ..skeleton import EAR_SLOTS
from .data.augment import Crops, cover, motion_blur, motion_direction, plain_crops, random_crops
from .data.batches import STRIDE, collate
from .data.pack import PoseSample
from .dcpose.losses import gaussian_targets, heatmap_loss
from .dcpose.recipe import AugmentConfig, StageConfig
from .engine.loop import Loop, Progress

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
#: Held-out windows are looked at as they are, with the current frame blurred, and with part of the person covered.
CONDITIONS: Final = ("plain", "blurred", "covered")
#: A joint is found within this share of the longer side of the person's box, about half a head.
WITHIN: Final = 0.05
#: Heatmaps are kept in eight bits: their values lie a little beyond 0..1.
_LOW, _STEP = -0.1, 1.3 / 255


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Cached heatmaps. maps: (N, 3, 17, h, w) uint8: current, previous, next. joints: (N, 17, 3) float32 in heatmap
    pixels, weight. margin: (N, 2). side: (N,) longer side of the box in heatmap pixels. clip: (N,) names.
    hidden: (N, 17) joints that damage covers."""

    maps: NDArray[np.uint8]
    joints: NDArray[np.float32]
    margin: NDArray[np.float32]
    side: NDArray[np.float32]
    clip: NDArray[np.str_]
    hidden: NDArray[np.bool_]

    def tensors(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Heatmaps (3, B, 17, h, w), joints and margins of some rows."""
        maps = torch.from_numpy(np.ascontiguousarray(self.maps[rows])).float() * _STEP + _LOW
        return maps.transpose(0, 1), torch.from_numpy(self.joints[rows]), torch.from_numpy(self.margin[rows])

    def within(self, most: int) -> Maps:
        """The windows whose neighbours lie at most so many frames away."""
        rows = np.flatnonzero(self.margin.max(axis=1) <= most)
        return Maps(*(getattr(self, name)[rows] for name in self.__slots__))


def is_held_out(clip: str, share: float = 0.2) -> bool:
    """Whether a clip is held out: the same for the same name, everywhere and always."""
    return int(hashlib.sha256(clip.encode()).hexdigest()[:8], 16) < share * 2**32


def cache_maps(
    backbone: nn.Module,
    samples: Sequence[PoseSample],
    folder: Path,
    name: str,
    make: Callable[[int], tuple[Crops, NDArray[np.bool_]]],
    count: int,
    size: tuple[int, int],
    enlarge: float,
) -> Maps:
    """Heatmaps of `count` windows, computed unless `folder` holds them; window k shows samples[k % len(samples)].

    make: its three crops, and which joints the damage covers. Raises OutputError.
    """
    target = folder / f"{name}.npz"
    if not target.is_file():
        made = _compute(backbone, samples, make, count, size, enlarge)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f"{name}.part.npz"
            np.savez(part, **{field: getattr(made, field) for field in Maps.__slots__})
            part.replace(target)
        except OSError as error:
            raise output_error(error, target) from error
    with np.load(target) as data:
        return Maps(*(data[field] for field in Maps.__slots__))


@torch.no_grad()
def _compute(
    backbone: nn.Module,
    samples: Sequence[PoseSample],
    make: Callable[[int], tuple[Crops, NDArray[np.bool_]]],
    count: int,
    size: tuple[int, int],
    enlarge: float,
) -> Maps:
    columns: list[list[Any]] = [[] for _ in Maps.__slots__]
    for first in range(0, count, 16):
        rows = range(first, min(first + 16, count))
        made = [make(k) for k in rows]
        people = [samples[k % len(samples)] for k in rows]
        batch = collate([crops for crops, _ in made], [s.margin for s in people])
        x = batch.images.reshape(-1, 3, size[1], size[0]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            maps = backbone(x).float()
        maps = ((maps - _LOW) / _STEP).round().clamp(0, 255).to(torch.uint8)
        boxes = np.stack([s.boxes[1] for s in people])
        _, scale = box_to_center_scale(boxes, size, enlarge)
        side = boxes[:, 2:].max(axis=1) * (size[0] / STRIDE) / (scale[:, 0] * 200)
        values = (
            maps.view(len(rows), 3, *maps.shape[1:]).numpy(),
            batch.joints.numpy(),
            batch.margin.numpy(),
            side.astype(np.float32),
            np.array([s.name for s in people]),
            np.stack([hidden for _, hidden in made]),
        )
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return Maps(*(np.concatenate(column) for column in columns))


def training_crops(
    samples: Sequence[PoseSample], size: tuple[int, int], config: AugmentConfig, seed: int
) -> Callable[[int], tuple[Crops, NDArray[np.bool_]]]:
    """Random variations of the windows, a function of their number."""

    def make(k: int) -> tuple[Crops, NDArray[np.bool_]]:
        rng = np.random.default_rng([seed, k])
        other = samples[int(rng.integers(len(samples)))]
        crops = random_crops(samples[k % len(samples)], size, config, rng, other=other, window=True)
        return crops, np.zeros(crops.joints.shape[1], bool)

    return make


def held_out_crops(
    samples: Sequence[PoseSample], size: tuple[int, int], enlarge: float, condition: str
) -> Callable[[int], tuple[Crops, NDArray[np.bool_]]]:
    """The windows as inference sees them, the current frame damaged as `condition` says."""

    def make(k: int) -> tuple[Crops, NDArray[np.bool_]]:
        crops = plain_crops(samples[k], size, enlarge)
        seen = crops.joints[1][crops.joints[1, :, 2] > 0, :2]
        if condition == "plain" or len(seen) < 2:
            return crops, np.zeros(crops.joints.shape[1], bool)
        rng = np.random.default_rng([7, k])
        low, high = seen.min(axis=0), seen.max(axis=0)
        before = crops.images[1]
        if condition == "blurred":
            direction = motion_direction(crops.joints)
            angle = float(rng.uniform(0, 180)) if direction is None else direction
            after = motion_blur(before, 0.2 * float((high - low).max()), angle)
            hidden = np.zeros(crops.joints.shape[1], bool)
        else:
            other = samples[int(rng.integers(len(samples)))]
            body = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
            after = cover(before, body, other.pictures[0], rng)
            hidden = _changed(before, after, crops.joints[1])
        images = crops.images.copy()
        images[1] = after
        return Crops(images, crops.joints), hidden

    return make


def _changed(before: NDArray[np.uint8], after: NDArray[np.uint8], joints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(17,) joints in whose place the picture has become another."""
    different = (before != after).any(axis=2)
    h, w = different.shape
    x = np.clip(joints[:, 0].round().astype(int), 1, w - 2)
    y = np.clip(joints[:, 1].round().astype(int), 1, h - 2)
    near = np.stack([different[y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    changed: NDArray[np.bool_] = near.mean(axis=0) > 0.5
    return changed


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


def described(folder: Path, **circumstances: Any) -> Path:
    """A folder below `folder` named by a hash: what was made under other circumstances is never taken for this."""
    text = json.dumps(circumstances, sort_keys=True, default=str)
    return folder / hashlib.sha256(text.encode()).hexdigest()[:12]
