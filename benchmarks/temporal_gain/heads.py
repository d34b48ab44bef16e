"""Heads trained from the cached heatmaps of one frozen backbone: much cheaper than running it for every seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dcpose_cli.nets import DCPose
from dcpose_cli.nets.dcpose import init_head, start_near_merged
from dcpose_cli.training.data.batches import training_batch
from dcpose_cli.training.data.pack import PoseSample
from dcpose_cli.training.dcpose.losses import stage_loss
from dcpose_cli.training.dcpose.recipe import Recipe, StageConfig
from dcpose_cli.training.engine.log import Progress
from dcpose_cli.training.engine.loop import Loop

#: Windows whose heatmaps are made at once.
CHUNK = 16
#: Windows that decide where the weights of a head begin.
START = 16


class MapCache:
    """Heatmaps of augmented windows: maps (N, 3, 17, h, w) float16 (current, previous, next), joints (N, 17, 3) in
    heatmap pixels, margin (N, 2)."""

    def __init__(self, folder: Path) -> None:
        self.maps = np.load(folder / "maps.npy", mmap_mode="r")
        self.joints = np.load(folder / "joints.npy")
        self.margin = np.load(folder / "margin.npy")

    def __len__(self) -> int:
        return len(self.joints)


def cache_maps(
    net: DCPose,
    samples: Sequence[PoseSample],
    recipe: Recipe,
    count: int,
    folder: Path,
    say: Callable[[str], None],
) -> MapCache:
    """Make the cache of `count` windows in `folder`, or continue it; the same for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "margin.npy").is_file():
        return MapCache(folder)
    width, height = recipe.model.input_size
    shape = (count, 3, 17, height // 4, width // 4)
    progress = folder / "done.txt"
    done = int(progress.read_text()) if progress.is_file() else 0
    mode = "r+" if done else "w+"
    maps = np.lib.format.open_memmap(folder / "maps.part.npy", mode, np.float16, shape if not done else None)
    joints, margin = np.zeros((count, 17, 3), np.float32), np.zeros((count, 2), np.float32)
    augment, seed = recipe.augmentation(window=True), recipe.seed + 1
    for step in range(-(-count // CHUNK)):
        # What was made before is drawn again for its labels: that is cheap beside the backbone.
        batch = training_batch(samples, step, batch=CHUNK, size=(width, height), config=augment, seed=seed, window=True)
        first, last = step * CHUNK, min((step + 1) * CHUNK, count)
        joints[first:last], margin[first:last] = batch.joints[: last - first], batch.margin[: last - first]
        if step >= done:
            maps[first:last] = heatmaps(net, batch.images)[: last - first].numpy()
        if step >= done and step % 10 == 9:
            maps.flush()
            progress.write_text(str(step + 1))
            say(f"cached {last} of {count} windows")
    maps.flush()
    (folder / "maps.part.npy").replace(folder / "maps.npy")
    np.save(folder / "joints.npy", joints)
    np.save(folder / "margin.npy", margin)
    return MapCache(folder)


@torch.no_grad()
def heatmaps(net: DCPose, images: Tensor) -> Tensor:
    """(B, 9, H, W) current, previous, next -> (B, 3, 17, h, w) of the backbone alone."""
    frames = torch.cat([images[:, 0:3], images[:, 3:6], images[:, 6:9]]).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        maps = net.backbone(frames)
    return maps.float().unflatten(0, (3, len(images))).transpose(0, 1)


def train_head(
    net: DCPose, cache: MapCache, config: StageConfig, seed: int, folder: Path, report: Callable[[Progress], None]
) -> DCPose:
    """Stage 2 on the cache with a fresh head of `seed`; the backbone stays as it is. Resumes what lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for parameter in net.backbone.parameters():
        parameter.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        init_head(net)
    maps = torch.from_numpy(np.asarray(cache.maps[:START], np.float32))
    start_near_merged(net, maps[:, 0], maps[:, 1], maps[:, 2], torch.from_numpy(cache.margin[:START]))
    parameters = [p for p in net.parameters() if p.requires_grad]
    loop = Loop("stage2", net, parameters, config, folder, device=torch.device("cpu"), report=report)
    loop.resume()

    def loss_of(step: int) -> Tensor:
        net.train()
        net.backbone.eval()
        rows = np.sort(np.random.default_rng([seed, step]).integers(len(cache), size=config.batch))
        maps = torch.from_numpy(np.asarray(cache.maps[rows], np.float32))
        margin = torch.from_numpy(cache.margin[rows])
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
            final = net.head(maps[:, 0], maps[:, 1], maps[:, 2], margin).final
        return stage_loss(config, final, torch.from_numpy(cache.joints[rows]), config.sigma)

    loop.run(loss_of)
    net.load_state_dict(loop.average.state)
    return net.eval()
