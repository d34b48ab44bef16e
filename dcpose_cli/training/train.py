"""Training of a DCPose model: the backbone on single frames, then the head on windows with the backbone frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..decode import peaks
from ..errors import UsageError
from ..files import output_error, shown
from ..nets import DCPose
from ..nets.backbones import heatmap_net, init_heatmap_net
from ..nets.dcpose import init_head
from .batches import STRIDE, plain_batch, training_batch
from .loop import Loop, Progress
from .losses import gaussian_targets, heatmap_loss
from .pack import PoseSample, read_parts
from .recipe import Recipe, StageConfig

#: People of the validation split looked at, per part.
VALIDATION_LIMIT = 200


def train(
    recipe: Recipe,
    data: Path,
    work: Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    stages: Sequence[int] = (1, 2),
    limit: int | None = None,
    init: DCPose | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    between: Callable[[], None] = lambda: None,
) -> DCPose:
    """Train (or resume) `recipe` on the pack in `data`, checkpoints and logs in `work`; returns the network, averaged.

    init: a network whose weights are the start instead of random ones; it must be built as the recipe says, and a
    checkpoint in `work` goes before it. threads: torch's threads while training. stages: which of the two to run;
    stage 2 needs stage 1's checkpoint. limit: at most so many samples per part. between: called after every step; to
    stop early, raise from it: a checkpoint is written and the exception passed on.
    Raises InputError, OutputError, UsageError or WeightsError.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, work) from error
    with _threads(threads):
        return _train(recipe, data, _Run(work, torch.device(device), report, between), stages, limit, init)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """torch's number of threads, put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class _Run:
    """Where a training works and whom it tells."""

    work: Path
    device: torch.device
    report: Callable[[Progress], None]
    between: Callable[[], None]

    def loop(self, name: str, net: nn.Module, config: StageConfig) -> Loop:
        """The loop of a stage over what has gradients."""
        parameters = [p for p in net.parameters() if p.requires_grad]
        return Loop(
            name, net, parameters, config, self.work, device=self.device, report=self.report, between=self.between
        )


def _start(recipe: Recipe, device: torch.device) -> DCPose:
    """The untrained network, the same for the same seed; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = DCPose(recipe.model)
        init_heatmap_net(net.backbone)
        init_head(net)
    return net.to(device).to(memory_format=torch.channels_last)


def _train(
    recipe: Recipe, data: Path, run: _Run, stages: Sequence[int], limit: int | None, init: DCPose | None
) -> DCPose:
    net = _start(recipe, run.device)
    if init is not None:
        if init.config != recipe.model:
            raise UsageError("the network to start from is not built as the recipe's [model] says; make them equal")
        net.load_state_dict(init.state_dict())
    parts = (*recipe.data.stills, *recipe.data.triplets)
    exclude = recipe.data.exclude
    held = read_parts(data, parts, split="val", exclude=exclude, limit=VALIDATION_LIMIT if limit is None else limit)
    everything = read_parts(
        data, parts, split="train", exclude=exclude, limit=limit, hold_out=recipe.data.hold_out_clips
    )
    if not everything:
        raise UsageError(f"no training samples in {shown(data)} for the parts {', '.join(parts)}")
    if 1 in stages:
        _stage1(net, recipe, everything, held, run)
    elif not _load_stage1(net, recipe, run):
        raise UsageError(f"stage 2 needs the checkpoint of stage 1 in {shown(run.work)}")
    if 2 in stages:
        _stage2(net, recipe, everything, held, run)
    return net.eval()


def _stage1(net: DCPose, recipe: Recipe, samples: list[PoseSample], held: list[PoseSample], run: _Run) -> None:
    backbone, config, device = net.backbone, recipe.stage1, run.device
    loop = run.loop("stage1", backbone, config)
    loop.resume()

    def loss_of(step: int) -> Tensor:
        backbone.train()
        size, sigma = _phase(config, step, recipe.model.input_size)
        batch = training_batch(
            samples, step, batch=config.batch, size=size, config=recipe.augment, seed=recipe.seed, window=False
        )
        x = batch.images.to(device).to(memory_format=torch.channels_last)
        joints = batch.joints.to(device)
        with torch.autocast(device.type, torch.bfloat16):
            maps = backbone(x)
        target = gaussian_targets(joints, (size[0] // STRIDE, size[1] // STRIDE), sigma)
        return heatmap_loss(maps, target, joints[..., 2])

    def validate() -> dict[str, float]:
        size, _ = _phase(config, loop.step - 1, recipe.model.input_size)
        probe = heatmap_net(recipe.model.backbone).to(device).to(memory_format=torch.channels_last)
        probe.load_state_dict(loop.average.state)
        return _score(lambda images, margin: probe(images[:, :3]), probe, held, size, recipe, device)

    loop.run(loss_of, validate)
    backbone.load_state_dict(loop.average.state)


def _load_stage1(net: DCPose, recipe: Recipe, run: _Run) -> bool:
    loop = run.loop("stage1", net.backbone, recipe.stage1)
    found = loop.resume()
    net.backbone.load_state_dict(loop.average.state)
    return found


def _stage2(net: DCPose, recipe: Recipe, samples: list[PoseSample], held: list[PoseSample], run: _Run) -> None:
    config, device = recipe.stage2, run.device
    for parameter in net.backbone.parameters():
        parameter.requires_grad_(False)
    loop = run.loop("stage2", net, config)
    loop.resume()
    # Windows as they are, and as many stills set in motion: real motion is rarer than people are different.
    windows = [s for s in samples if len(s.pictures) == 3]
    stills = [s for s in samples if len(s.pictures) == 1]
    every = max(1, len(stills) // max(1, len(windows)))
    mixed = [*windows, *stills[::every]]

    def loss_of(step: int) -> Tensor:
        net.train()
        net.backbone.eval()  # frozen means frozen: its batch-norm statistics stay (SPEC 4.3, row 13)
        size, sigma = _phase(config, step, recipe.model.input_size)
        batch = training_batch(
            mixed, step, batch=config.batch, size=size, config=recipe.augment, seed=recipe.seed + 1, window=True
        )
        x, joints, margin = batch.images.to(device), batch.joints.to(device), batch.margin.to(device)
        frames = torch.cat([x[:, 0:3], x[:, 3:6], x[:, 6:9]]).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            maps = net.backbone(frames)
        current, previous, following = maps.float().split(len(x))
        with torch.autocast(device.type, torch.bfloat16):
            final = net.head(current, previous, following, margin).final
        target = gaussian_targets(joints, (size[0] // STRIDE, size[1] // STRIDE), sigma)
        return heatmap_loss(final, target, joints[..., 2])

    def validate() -> dict[str, float]:
        probe = DCPose(recipe.model).to(device).to(memory_format=torch.channels_last)
        probe.load_state_dict(loop.average.state)
        three = [s for s in held if len(s.pictures) == 3]
        size = recipe.model.input_size
        out = _score(lambda images, margin: probe(images, margin), probe, three, size, recipe, device)
        single = _score(lambda images, margin: probe.backbone(images[:, :3]), probe, three, size, recipe, device)
        return {"windows": out["windows"], "single": single["windows"]} if out else {}

    loop.run(loss_of, validate)
    net.load_state_dict(loop.average.state)


def _phase(config: StageConfig, step: int, full: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """Crop size and target sigma of a step; sigma keeps its size relative to the person."""
    done = 0.0
    for phase in config.phases:
        done += phase.share
        if step < done * config.steps - 0.5:
            return phase.size, config.sigma * phase.size[1] / full[1]
    size = config.phases[-1].size if config.phases else full
    return size, config.sigma * size[1] / full[1]


@torch.no_grad()
def _score(
    forward: Callable[[Tensor, Tensor], Tensor],
    net: nn.Module,
    held: list[PoseSample],
    size: tuple[int, int],
    recipe: Recipe,
    device: torch.device,
) -> dict[str, float]:
    """Share of labelled joints within 10 % of the person's longer box side: all, stills, windows (current frame)."""
    net.eval()
    hits: dict[str, list[float]] = {"all": [], "stills": [], "windows": []}
    for kind, group in (
        ("stills", [s for s in held if len(s.pictures) == 1]),
        ("windows", [s for s in held if len(s.pictures) == 3]),
    ):
        for first in range(0, len(group), 32):
            chunk = group[first : first + 32]
            batch = plain_batch(chunk, size, recipe.augment.enlarge)
            found = peaks(forward(batch.images.to(device), batch.margin.to(device)).float()).cpu().numpy()
            truth = batch.joints.numpy()
            side = truth_side(chunk, size, recipe.augment.enlarge)
            near = np.linalg.norm(found[..., :2] - truth[..., :2], axis=2) <= 0.1 * side[:, None]
            seen = truth[..., 2] >= 0.99
            hits[kind].extend(near[seen].tolist())
    hits["all"] = [*hits["stills"], *hits["windows"]]
    return {name: float(np.mean(values)) for name, values in hits.items() if values}


def truth_side(samples: Sequence[PoseSample], size: tuple[int, int], enlarge: float) -> np.ndarray:
    """Longer side of each current box, in heatmap pixels of its crop."""
    boxes = np.stack([s.boxes[len(s.boxes) // 2] for s in samples])
    w, h = boxes[:, 2], boxes[:, 3]
    crop_w = np.maximum(w, h * size[0] / size[1]) * enlarge
    side: np.ndarray = np.maximum(w, h) * (size[0] / STRIDE) / crop_w
    return side
