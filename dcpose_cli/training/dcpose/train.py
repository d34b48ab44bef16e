"""Training of a DCPose model by a recipe, stage after stage, resumable at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ...errors import UsageError
from ...files import shown
from ...nets import DCPose
from ...nets.backbones import HeatmapNet, init_heatmap_net
from ...nets.dcpose import init_head, init_published_head
from ..data.pack import PoseSample
from ..engine.loop import Progress
from ..engine.run import Run, open_run, read_splits, stages_to_run, with_motion
from .recipe import Recipe
from .stages import load_backbone, train_backbone, train_both, train_head


def train(
    recipe: Recipe,
    data: Path,
    work: Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    workers: int = 0,
    stages: Sequence[int] | None = None,
    limit: int | None = None,
    init: DCPose | HeatmapNet | None = None,
    with_tensorboard: bool = False,
    on_device: bool | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    between: Callable[[], None] = lambda: None,
) -> DCPose:
    """Train (or resume) `recipe` on the data in `data`, checkpoints and logs in `work`; returns the network, averaged.

    init: a network whose weights are the start instead of random ones, built as the recipe says, for crops of any size;
    another network is the backbone. A checkpoint in `work` goes before it. threads: torch's threads while training.
    workers: threads that make batches ahead. stages: which to run, all of the recipe's by default; stages 2 and 3 need
    a backbone, from stage 1's checkpoint or from `init`. limit: at most so many samples per part. with_tensorboard:
    also write event files. on_device: keep all pictures in the device's memory and make batches there; None: where a
    CUDA device has room for them. between: called after every step; to stop early, raise from it: a checkpoint is
    written and the exception passed on. Started by torchrun, the processes share the batches (training/ranks.py).
    Raises InputError, OutputError, UsageError or WeightsError.
    """
    with open_run(
        work, device, threads=threads, workers=workers, with_tensorboard=with_tensorboard, report=report,
        between=between, on_device=on_device,
    ) as run:  # fmt: skip
        return _train(recipe, data, run, stages, limit, init)


def _start(recipe: Recipe, init: DCPose | HeatmapNet | None, device: torch.device) -> DCPose:
    """The network before training, the same for the same seed; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = DCPose(recipe.model)
        init_heatmap_net(net.backbone)
        published = recipe.stage2 is not None and recipe.stage2.init == "published"
        (init_published_head if published else init_head)(net)
    if init is not None and not isinstance(init, DCPose):
        if init.config != recipe.model.backbone:
            raise UsageError(
                "the backbone to start from is not built as the recipe's [model.backbone] says; make them equal"
            )
        net.backbone.load_state_dict(init.state_dict())
    elif init is not None:
        # No weight depends on the size of the crop.
        if replace(init.config, input_size=recipe.model.input_size) != recipe.model:
            raise UsageError("the network to start from is not built as the recipe's [model] says; make them equal")
        net.load_state_dict(init.state_dict())
    return net.to(device).to(memory_format=torch.channels_last)


def _train(
    recipe: Recipe,
    data: Path,
    run: Run,
    wanted: Sequence[int] | None,
    limit: int | None,
    init: DCPose | HeatmapNet | None,
) -> DCPose:
    configs = recipe.stages()
    stages = stages_to_run(recipe.name, configs, wanted)
    net = _start(recipe, init, run.device)
    nothing = f"no training samples in {shown(data)} for {_described(recipe)}"
    samples, held = read_splits(data, recipe.data, limit, nothing=nothing)
    windows = with_motion(samples, configs[2]) if 2 in configs else []
    if 1 in stages:
        train_backbone(net, recipe, configs[1].in_steps(len(samples)), samples, held, run)
    elif not _has_backbone(net, recipe, samples, init, run):
        raise UsageError(
            f"stage {min(stages)} needs the checkpoint of stage 1 in {shown(run.work)}, or --init with a model"
        )
    if 2 in stages:
        train_head(net, recipe, configs[2].in_steps(len(windows)), windows, held, run)
    if 3 in stages:
        windows = with_motion(samples, configs[3])
        train_both(net, recipe, configs[3].in_steps(len(windows)), windows, held, run)
    return net.eval()


def _has_backbone(
    net: DCPose, recipe: Recipe, samples: list[PoseSample], init: DCPose | HeatmapNet | None, run: Run
) -> bool:
    """Whether the network has a trained backbone; takes it from stage 1's checkpoint where there is one."""
    if recipe.stage1 is not None and load_backbone(net, recipe.stage1.in_steps(len(samples)), run):
        return True
    return init is not None


def _described(recipe: Recipe) -> str:
    data = recipe.data
    if data.format == "pack":
        return f"the parts {', '.join((*data.stills, *data.triplets))}"
    return f"{data.format} labels in {data.train}"
