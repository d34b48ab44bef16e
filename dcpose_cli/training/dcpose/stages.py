"""The stages of a training: the backbone on single frames, the head on windows, both together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ...nets import DCPose
from ...nets.backbones import heatmap_net
from ...nets.dcpose import start_near_merged
from ...pose.heatmaps import DECODERS
from ..data.batches import Batch, training_batch
from ..data.device_batches import DeviceBatches, fits
from ..data.pack import PoseSample
from ..engine.distributed import SINGLE_PROCESS
from ..engine.log import Measured
from ..engine.loop import Loop
from ..engine.prefetch import Prefetched
from ..engine.run import Run
from .losses import stage_loss
from .recipe import Recipe, StageConfig
from .validation import Forward, draw_worst, find, human_measures


def train_backbone(
    net: DCPose, recipe: Recipe, config: StageConfig, samples: list[PoseSample], held: list[PoseSample], run: Run
) -> None:
    """Stage 1: single frames, a random one of each window. Leaves the averaged weights in the network."""
    backbone, device = net.backbone, run.device
    loop = run.loop(recipe, 1, backbone, config)
    loop.resume()

    with Prefetched(
        _maker(recipe, config, samples, recipe.seed, run, window=False), config.steps, run.workers
    ) as batches:

        def loss_of(step: int) -> Tensor:
            backbone.train()
            batch = batches(step)
            x = batch.images.to(device).to(memory_format=torch.channels_last)
            with run.autocast(config):
                maps = backbone(x)
            return stage_loss(config, maps, batch.joints.to(device), _sigma(recipe, config, step))

        def validate() -> Measured:
            probe = heatmap_net(recipe.model.backbone).to(device).to(memory_format=torch.channels_last).eval()
            probe.load_state_dict(loop.average.state)
            size, _ = config.crop_size(loop.step - 1, recipe.model.input_size)
            return _validate("stage1", lambda x, margin: probe(x[:, :3]), held, size, recipe, config, run)

        loop.run(loss_of, validate)
    backbone.load_state_dict(loop.average.state)


def load_backbone(net: DCPose, recipe: Recipe, config: StageConfig, run: Run) -> bool:
    """The averaged backbone of a finished or interrupted stage 1; whether there is one."""
    loop = run.loop(recipe, 1, net.backbone, config)
    found = loop.resume()
    if found:
        net.backbone.load_state_dict(loop.average.state)
    return found


def train_head(
    net: DCPose,
    recipe: Recipe,
    config: StageConfig,
    samples: list[PoseSample],
    held: list[PoseSample],
    run: Run,
    *,
    fresh: bool,
) -> None:
    """Stage 2: windows, the backbone frozen. `samples` as `with_motion` mixes them. fresh: the head is untrained."""
    for parameter in net.backbone.parameters():
        parameter.requires_grad_(False)
    loop = run.loop(recipe, 2, net, config)
    if not loop.resume() and fresh and config.init == "mean":
        _start_near_merged(net, recipe, config, samples, run)
        loop = run.loop(recipe, 2, net, config)  # the averaged weights begin there, too

    def losses(maps: tuple[Tensor, Tensor, Tensor], batch: Batch, sigma: float) -> Tensor:
        with run.autocast(config):
            final = net.head(*maps, batch.margin.to(run.device)).final
        return stage_loss(config, final, batch.joints.to(run.device), sigma)

    _train_windows(loop, net, recipe, config, samples, held, run, losses, recipe.seed + 1)


def _start_near_merged(net: DCPose, recipe: Recipe, config: StageConfig, samples: list[PoseSample], run: Run) -> None:
    """Complete the start of an untrained head with one batch, the same in every process."""
    batch = _maker(recipe, config, samples, recipe.seed + 1, replace(run, ranks=SINGLE_PROCESS), window=True)(0)
    net.backbone.eval()
    with torch.no_grad(), run.autocast(config):
        maps = _frame_maps(net, batch, run.device)
    start_near_merged(net, *maps, batch.margin.to(run.device))


def _frame_maps(net: DCPose, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """float32 heatmaps of the current, previous and next frames of a batch."""
    x = batch.images.to(device)
    frames = torch.cat([x[:, 0:3], x[:, 3:6], x[:, 6:9]]).contiguous(memory_format=torch.channels_last)
    current, previous, following = net.backbone(frames).float().split(len(x))
    return current, previous, following


def train_both(
    net: DCPose, recipe: Recipe, config: StageConfig, samples: list[PoseSample], held: list[PoseSample], run: Run
) -> None:
    """Stage 3: windows, everything learns; the loss of the current frame's own heatmaps is added (SPEC 8.2)."""
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    loop = run.loop(recipe, 3, net, config)
    loop.resume()

    def losses(maps: tuple[Tensor, Tensor, Tensor], batch: Batch, sigma: float) -> Tensor:
        with run.autocast(config):
            final = net.head(*maps, batch.margin.to(run.device)).final
        joints = batch.joints.to(run.device)
        return stage_loss(config, final, joints, sigma) + stage_loss(config, maps[0], joints, sigma)

    _train_windows(loop, net, recipe, config, samples, held, run, losses, recipe.seed + 2)


def _train_windows(
    loop: Loop,
    net: DCPose,
    recipe: Recipe,
    config: StageConfig,
    samples: list[PoseSample],
    held: list[PoseSample],
    run: Run,
    losses: Callable[[tuple[Tensor, Tensor, Tensor], Batch, float], Tensor],
    seed: int,
) -> None:
    """What stages 2 and 3 share; gradients reach the backbone where its parameters want them."""
    device = run.device
    learns = any(p.requires_grad for p in net.backbone.parameters())
    make = _maker(recipe, config, samples, seed, run, window=True)
    with Prefetched(make, config.steps, run.workers) as batches:

        def loss_of(step: int) -> Tensor:
            net.train()
            # Batch-norm statistics of the backbone: frozen means frozen, unless asked for (SPEC 4.3, row 13).
            net.backbone.train(config.backbone_norm == "running")
            batch = batches(step)
            with torch.set_grad_enabled(learns), run.autocast(config):
                maps = _frame_maps(net, batch, device)
            return losses(maps, batch, _sigma(recipe, config, step))

        def validate() -> Measured:
            probe = DCPose(recipe.model).to(device).to(memory_format=torch.channels_last).eval()
            probe.load_state_dict(loop.average.state)
            return _validate_windows(loop.name, probe, held, recipe, config, run)

        loop.run(loss_of, validate)
    net.load_state_dict(loop.average.state)


def _validate_windows(
    stage: str, probe: DCPose, held: list[PoseSample], recipe: Recipe, config: StageConfig, run: Run
) -> Measured:
    """Shares of held-out windows, of the backbone alone on them, and of stills with human labels as windows; where
    there are no windows, of all stills."""

    def as_window(x: Tensor, margin: Tensor) -> Tensor:
        """The heatmaps of stills: each stands for three equal frames."""
        maps: Tensor = probe(x.repeat(1, 3, 1, 1), margin)
        return maps

    three = [s for s in held if len(s.pictures) == 3]
    shape, decoder = recipe.shape(), DECODERS[config.decoding]
    if not three:
        return _validate(stage, as_window, held, shape.size, recipe, config, run)
    out = _validate(stage, probe, three, shape.size, recipe, config, run)
    if not out:
        return {}
    single, _ = find(lambda x, margin: probe.backbone(x[:, :3]), three, shape, decoder, run.device)
    stills = [s for s in held if len(s.pictures) == 1 and s.human] if recipe.data.measure else []
    _, people = find(as_window, stills, shape, decoder, run.device)
    measured = human_measures(people, recipe.data.measure)
    return {"size": out["size"], "windows": out["windows"], "single": single["windows"], **measured}


def _maker(
    recipe: Recipe, config: StageConfig, samples: list[PoseSample], seed: int, run: Run, *, window: bool
) -> Callable[[int], Batch]:
    """The batch of a step."""
    on_device = fits(samples, run.device) if run.on_device is None else run.on_device
    make = DeviceBatches(samples, run.device) if on_device else partial(training_batch, samples)
    augment = recipe.augmentation(window=window)

    def batch(step: int) -> Batch:
        size, _ = config.crop_size(step, recipe.model.input_size)
        part, count = run.ranks.share(step, config.batch)
        return make(
            part, batch=count, size=size, config=augment, seed=seed, window=window, margin=recipe.crop_margin,
            parts=run.ranks.count,
        )  # fmt: skip

    return batch


def _sigma(recipe: Recipe, config: StageConfig, step: int) -> float:
    return config.crop_size(step, recipe.model.input_size)[1]


def _validate(
    stage: str,
    forward: Forward,
    held: list[PoseSample],
    size: tuple[int, int],
    recipe: Recipe,
    config: StageConfig,
    run: Run,
) -> Measured:
    shape = recipe.shape(size)
    shares, people = find(forward, held, shape, DECODERS[config.decoding], run.device)
    draw_worst(people, shape, run.work / f"worst-{stage}.png")
    if not shares:
        return {}
    return {"size": f"{size[0]}x{size[1]}", **shares, **human_measures(people, recipe.data.measure)}
