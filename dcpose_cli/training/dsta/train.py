"""Training of a DSTA model: on single frames, then on clips, with the residual log-likelihood loss (DSTA SPEC 3, 5)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Final, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from ...checkpoints.files import save_model
from ...errors import UsageError
from ...files import printable
from ...nets import DSTA, DCPose, HRNet, SimpleBaseline
from ...nets.dsta import DSTAPoses, init_head
from ...nets.dsta_backbone import init_backbone
from ...nets.realnvp import RealNVP
from ...pose.crop import box_to_center_scale
from ...pose.crop_shape import CropShape
from ...skeleton import EAR_SLOTS, LABELLED_SLOTS
from ..data.batches import STRIDE, Batch, plain_batch, training_batch
from ..data.pack import PoseSample
from ..data.readers import label_files
from ..data.splits import described, read_splits, with_motion
from ..dcpose.recipe import StageConfig
from ..engine.log import Measured
from ..engine.prefetch import Prefetched
from ..engine.run import Run, RunOptions, open_run
from ..engine.sources import sources_of
from .recipe import DSTARecipe
from .rle import regression_targets, rle_loss

#: Order of a window's frames in a batch (current, previous, next) -> order of time.
_IN_TIME: Final = (1, 0, 2)
#: A joint is found within this share of the longer side of the person's box.
_WITHIN: Final = 0.1


class NetWithFlow(nn.Module):
    """What is optimised: the network, and the normalizing flow of its errors, which is no part of the model."""

    def __init__(self, net: DSTA) -> None:
        super().__init__()
        self.net = net
        self.flow = RealNVP()


def train_dsta(
    recipe: DSTARecipe, data: Path, work: Path, *, init: nn.Module | None = None, **options: Unpack[RunOptions]
) -> DSTA:
    """Train (or resume) `recipe` on the data in `data`, checkpoints and logs in `work`; returns the averaged network.

    init: a model to start from: a DSTA built as the recipe says, or any model with the same backbone, whose weights
    the backbone then has. options: see RunOptions. Raises what `dcpose.train.train` raises.
    """
    with open_run(work, **options) as run:
        return _train(recipe, data, run, init)


def save(net: DSTA, recipe: DSTARecipe, folder: Path, *, overwrite: bool) -> Path:
    """Write the network in float16 to `folder`; returns the file. Raises OutputError."""
    # The outputs of ears are those of head_top.
    return save_model(
        net, folder, name=recipe.name, dtype=torch.float16, predicts=LABELLED_SLOTS, source="dcpose train",
        decoding="quarter", overwrite=overwrite,
    )  # fmt: skip


def _train(recipe: DSTARecipe, data: Path, run: Run, init: nn.Module | None) -> DSTA:
    configs = recipe.stages()
    stages = run.stages_of(recipe.name, configs)
    learner = _start(recipe, run.device)
    if init is not None:
        start_from(learner.net, init)
    nothing = f"no training samples in {printable(data)} for the recipe's [data]; check both"
    samples, held = read_splits(data, recipe.data, run.limit, nothing=nothing)
    run.notice(described(samples, held))
    run = replace(run, sources=sources_of(label_files(data, recipe.data), init))
    if 1 in stages:
        _stage(1, learner, recipe, configs[1].in_steps(len(samples)), samples, held, run)
    if 2 in stages:
        if recipe.freeze_backbone:
            learner.net.backbone.requires_grad_(False)
        clips = with_motion(samples, configs[2].stills_share)
        _stage(2, learner, recipe, configs[2].in_steps(len(clips)), clips, held, run)
    return learner.net.eval()


def _start(recipe: DSTARecipe, device: torch.device) -> NetWithFlow:
    """The untrained network and flow, the same for the same seed; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        learner = NetWithFlow(DSTA(recipe.model))
        init_backbone(learner.net.backbone)
        init_head(learner.net)
    return learner.to(device).to(memory_format=torch.channels_last)


def start_from(net: DSTA, model: nn.Module) -> None:
    """Take over a whole DSTA, or the backbone of another model. Raises UsageError where they are not built alike."""
    state, target = model.state_dict(), nn.Module()
    if isinstance(model, DSTA):
        target = net
    else:
        if isinstance(model, DCPose):
            state = model.backbone.state_dict()
        elif not isinstance(model, HRNet | SimpleBaseline):
            raise UsageError(
                f"--init is a model of the kind {type(model).__name__}", hint="give a DSTA or its backbone"
            )
        target = net.backbone
    wanted = target.state_dict()
    missing = [name for name, value in wanted.items() if name not in state or state[name].shape != value.shape]
    if missing:
        raise UsageError(
            f"--init is not built as the recipe's [model] says ({missing[0]} differs)", hint="make them equal"
        )
    target.load_state_dict({name: state[name] for name in wanted})


def _stage(
    number: int,
    learner: NetWithFlow,
    recipe: DSTARecipe,
    config: StageConfig,
    samples: Sequence[PoseSample],
    held: Sequence[PoseSample],
    run: Run,
) -> None:
    """Single frames (stage 1) or clips (stage 2); leaves the averaged weights in the learner."""
    loop = run.loop(recipe, number, learner, config)
    loop.resume()
    frozen = not next(learner.net.backbone.parameters()).requires_grad

    def make(step: int) -> Batch:
        size, _ = config.crop_size(step, recipe.model.input_size)
        part, count = run.ranks.share(step, config.batch)
        # Another order of the samples in every stage.
        return training_batch(
            samples, part, batch=count, size=size, config=recipe.augment, seed=recipe.seed + number - 1,
            window=number == 2,
        )  # fmt: skip

    with Prefetched(make, config.steps, run.workers) as batches:

        def loss_of(step: int) -> Tensor:
            learner.train()
            if frozen:
                learner.net.backbone.eval()
            batch = batches(step)
            # Stochastic depth draws from torch's generator; a function of the step, it survives a restart.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(recipe.seed * 1_000_003 + run.ranks.share(step, config.batch)[0])
                poses = _predict(learner.net, batch, run.device, frozen=frozen, bf16=config.bf16)
            size = (batch.images.shape[3], batch.images.shape[2])
            target, weight = targets_of(batch.joints.to(run.device), size)
            return rle_loss(poses.coordinates, poses.sigma, target, weight, learner.flow)

        def validate() -> Measured:
            probe = deepcopy(learner)  # not built anew: that would draw from torch's generator
            probe.load_state_dict(loop.average.state)
            size, _ = config.crop_size(loop.step - 1, recipe.model.input_size)
            return dict(score(probe.net.eval(), held, size, recipe.augment.enlarge, run.device))

        loop.run(loss_of, validate)
    learner.load_state_dict(loop.average.state)


def _predict(net: DSTA, batch: Batch, device: torch.device, *, frozen: bool, bf16: bool = True) -> DSTAPoses:
    """The network on a batch of single frames or of windows."""
    images = batch.images.to(device)
    frames = images.shape[1] // 3
    x = images.reshape(-1, 3, *images.shape[2:]).contiguous(memory_format=torch.channels_last)
    low = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
    with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen), low:
        features = net.backbone(x).float()
    return net.head(in_time(features.unflatten(0, (len(images), frames)), net.config.frames))


def in_time(features: Tensor, frames: int) -> Tensor:
    """Features (B, 1 or 3, C) of a batch's frames -> (B, frames, C) in the order of time.

    A single frame is repeated; of a window (current, previous, next) a network of one frame sees the current one.
    """
    if features.shape[1] == 1:
        return features.expand(-1, frames, -1)
    return features[:, :1] if frames == 1 else features[:, list(_IN_TIME)]


def targets_of(joints: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Joints (B, 17, 3) of a batch, in heatmap pixels -> targets and weights, each (B, 17, 2).

    Ears weigh nothing: their outputs are head_top's, which they would pull away from it.
    """
    pixels = torch.cat([joints[..., :2] * STRIDE, joints[..., 2:]], dim=2)
    target, weight = regression_targets(pixels, size)
    keep = torch.ones(joints.shape[1], 1, device=joints.device)
    keep[list(EAR_SLOTS)] = 0
    return target, weight * keep


@torch.no_grad()
def score(
    net: DSTA, held: Sequence[PoseSample], size: tuple[int, int], enlarge: float, device: torch.device
) -> dict[str, float]:
    """Share of surely labelled joints, ears left out, found within a tenth of the box: all, stills, windows."""
    hits: dict[str, list[bool]] = {"stills": [], "windows": []}
    for kind, frames in (("stills", 1), ("windows", 3)):
        group = [s for s in held if len(s.pictures) == frames]
        for first in range(0, len(group), 32):
            chunk = group[first : first + 32]
            batch = plain_batch(chunk, CropShape(size, enlarge))
            poses = _predict(net, batch, device, frozen=True)
            found = poses.coordinates.cpu().numpy() * np.array(size, np.float32)
            truth = batch.joints.numpy()
            boxes = np.stack([s.boxes[len(s.boxes) // 2] for s in chunk])
            _, scale = box_to_center_scale(boxes, size, enlarge)
            side = boxes[:, 2:].max(axis=1) * size[0] / (scale[:, 0] * 200)
            near = np.linalg.norm(found - truth[..., :2] * STRIDE, axis=2) <= _WITHIN * side[:, None]
            sure = truth[..., 2] >= 0.99
            sure[:, list(EAR_SLOTS)] = False
            hits[kind].extend(near[sure].tolist())
    every = {**hits, "all": hits["stills"] + hits["windows"]}
    return {name: float(np.mean(values)) for name, values in every.items() if values}
