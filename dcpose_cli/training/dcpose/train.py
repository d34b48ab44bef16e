"""Training of a DCPose model by a recipe, stage after stage, resumable at any moment."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Unpack

import torch

from ...checkpoints.files import load_model, save_model
from ...errors import UsageError
from ...files import printable
from ...nets import DCPose, HRNet, SimpleBaseline
from ...nets.backbones import HeatmapNet, init_heatmap_net
from ...nets.dcpose import init_head, init_published_head
from ..data.batches import forget_sizes
from ..data.pack import PoseSample
from ..data.readers import label_files
from ..data.splits import described, read_splits, with_motion
from ..engine.run import Run, RunOptions, open_run
from ..engine.sources import sources_of
from .recipe import Recipe
from .stages import load_backbone, train_backbone, train_both, train_head


def train(
    recipe: Recipe,
    data: Path,
    work: Path,
    *,
    init: DCPose | HeatmapNet | None = None,
    **options: Unpack[RunOptions],
) -> DCPose:
    """Train (or resume) `recipe` on the data in `data`, checkpoints and logs in `work`; returns the averaged network.

    init: a network whose weights are the start instead of random ones, built as the recipe says, for crops of any size;
    another network is the backbone. A checkpoint in `work` takes precedence. Stages 2 and 3 need a backbone, from stage
    1's checkpoint or from `init`. options: see RunOptions. Started by torchrun, the processes share the batches
    (engine/distributed.py).
    Raises InputError, OutputError, TrainingError, UsageError or WeightsError.
    """
    try:
        with open_run(work, **options) as run:
            return _train(recipe, data, run, init)
    finally:
        forget_sizes()


def read_init(name: str) -> DCPose | HeatmapNet:
    """The model to start a DCPose from. Raises UsageError for one of another kind, WeightsError."""
    start = load_model(name)
    if not isinstance(start, (DCPose, HRNet, SimpleBaseline)):
        raise UsageError(f"--init is a model of the kind {type(start).__name__}", hint="give a DCPose, or its backbone")
    return start


def save(net: DCPose, recipe: Recipe, folder: Path, *, overwrite: bool) -> Path:
    """Write the network in float16 to `folder`; returns the file. Raises OutputError."""
    return save_model(
        net, folder, name=recipe.name, dtype=torch.float16, source="dcpose train", decoding=recipe.decoding,
        crop_margin=recipe.crop_margin, overwrite=overwrite,
    )  # fmt: skip


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
                "the backbone to start from is not built as the recipe's [model.backbone] says", hint="make them equal"
            )
        net.backbone.load_state_dict(init.state_dict())
    elif init is not None:
        # No weight depends on the size of the crop.
        if replace(init.config, input_size=recipe.model.input_size) != recipe.model:
            raise UsageError(
                "the network to start from is not built as the recipe's [model] says", hint="make them equal"
            )
        net.load_state_dict(init.state_dict())
    return net.to(device).to(memory_format=torch.channels_last)


def _train(recipe: Recipe, data: Path, run: Run, init: DCPose | HeatmapNet | None) -> DCPose:
    configs = recipe.stages()
    stages = run.stages_of(recipe.name, configs)
    net = _start(recipe, init, run.device)
    nothing = f"no training samples in {printable(data)} for {_described(recipe)}"
    samples, held = read_splits(data, recipe.data, run.limit, nothing=nothing)
    run.notice(described(samples, held))
    run = replace(run, sources=sources_of(label_files(data, recipe.data), init))
    if 1 in stages:
        train_backbone(net, recipe, configs[1].in_steps(len(samples)), samples, held, run)
    elif not _has_backbone(net, recipe, samples, init, run):
        raise UsageError(f"stage {min(stages)} needs the checkpoint of stage 1, or --init with a model", path=run.work)
    for number, train_stage in ((2, partial(train_head, fresh=not isinstance(init, DCPose))), (3, train_both)):
        if number in stages:
            config = configs[number]
            windows = with_motion(samples, config.stills_share)
            train_stage(net, recipe, config.in_steps(len(windows)), windows, held, run)
    return net.eval()


def _has_backbone(
    net: DCPose, recipe: Recipe, samples: list[PoseSample], init: DCPose | HeatmapNet | None, run: Run
) -> bool:
    """Whether the network has a trained backbone; takes it from stage 1's checkpoint where there is one."""
    if recipe.stage1 is not None and load_backbone(net, recipe, recipe.stage1.in_steps(len(samples)), run):
        return True
    return init is not None


def _described(recipe: Recipe) -> str:
    data = recipe.data
    if data.format == "pack":
        return f"the parts {', '.join((*data.stills, *data.triplets))}"
    return f"{data.format} labels in {data.train}"
