"""A head in the paper's shape, trained on the maps of several networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from cache import Windows
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from dcpose_cli.nets import DCPose, DCPoseConfig, HRNetConfig
from dcpose_cli.nets.dcpose import init_head, start_near_merged
from dcpose_cli.training.dcpose.losses import stage_loss
from dcpose_cli.training.dcpose.recipe import StageConfig
from dcpose_cli.training.engine.log import Progress
from dcpose_cli.training.engine.loop import Loop

#: How the maps of a window vary: exponent of what is above 0, blur in shares of the maps' height, factor.
POWER, BLUR, AMPLITUDE = (0.7, 1.5), (0.0, 0.02), (0.6, 1.3)
#: Height of the maps over the standard deviation of the targets, as published.
HEIGHT_PER_SIGMA = 32
#: Windows that decide where the weights begin.
START = 16
#: A backbone that is never run: the smallest there is.
_NO_BACKBONE = HRNetConfig(width=4, stem=4, layer1_width=4, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))


def empty_head(size: tuple[int, int]) -> DCPose:
    """The head of DCPoseConfig for maps of this width and height; its backbone is none. See `head_state`."""
    net = DCPose(DCPoseConfig(backbone=_NO_BACKBONE, input_size=(4 * size[0], 4 * size[1])))
    for parameter in net.backbone.parameters():
        parameter.requires_grad_(False)
    return net


def head_state(net: DCPose) -> dict[str, Tensor]:
    """The tensors of the head alone."""
    return {name: value for name, value in net.state_dict().items() if not name.startswith("backbone.")}


def load_head(net: DCPose, path: Path) -> DCPose:
    """Put a stored head into a network, which keeps its backbone. Raises RuntimeError when tensors are missing."""
    stored = load_file(path)
    if stored.keys() != head_state(net).keys():
        raise RuntimeError(f"{path} is no head of this shape")
    net.load_state_dict(stored, strict=False)
    return net.eval()


def varied(maps: Tensor, rng: np.random.Generator) -> Tensor:
    """Maps (B, F, 17, h, w) with another amplitude and sharpness per window, the same for its frames."""
    count, (height, width) = len(maps), maps.shape[3:]

    def drawn(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, 1, 1)).astype(np.float32)).to(maps.device)

    power, sigma, amplitude = drawn(*POWER), drawn(*BLUR) * height, drawn(*AMPLITUDE)
    flat = maps.flatten(1, 2)
    # Below zero nothing has an exponent; the power is one at one, so that a sure joint stays as sure.
    shaped = torch.where(flat > 0, flat.clamp(min=1e-6) ** power[..., None], flat)
    blurred = _blur(height, sigma)[:, None] @ shaped @ _blur(width, sigma)[:, None]
    return (blurred * amplitude[..., None]).view_as(maps)


def _blur(side: int, sigma: Tensor) -> Tensor:
    """(B, side, side) symmetric Gaussians; zeros outside. sigma: (B, 1, 1) pixels, 0 for none."""
    at = torch.arange(side, device=sigma.device, dtype=torch.float32)
    apart = (at - at[:, None]).square()
    weights = torch.exp(-apart / (2 * sigma.square().clamp(min=1e-6)))
    ruler = torch.arange(-side, side + 1, device=sigma.device, dtype=torch.float32).square()
    return weights / torch.exp(-ruler / (2 * sigma.square().clamp(min=1e-6))).sum(dim=2, keepdim=True)


def train_head(
    windows: Windows,
    families: Sequence[Sequence[str]],
    has: Mapping[str, NDArray[np.bool_]],
    size: tuple[int, int],
    config: StageConfig,
    seed: int,
    folder: Path,
    device: torch.device,
    report: Callable[[Progress], None],
    quarters: float = 0,
) -> Path:
    """A head trained on the maps of these families of sources; the path of its weights. Resumes what lies in `folder`.

    has: the slots that each source knows; the others have no labels. size: width and height of the maps. quarters:
    share of the steps, the first ones, that see a quarter of every map: see `quarter_of`.
    """
    path = folder / "head.safetensors"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    net = empty_head(size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        init_head(net)
    net.to(device)

    def batch(step: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        maps, joints, margin = batch_of(windows, families, has, count, np.random.default_rng([seed, step]))
        return varied(maps.to(device), np.random.default_rng([seed, step, 1])), joints, margin

    maps, _, margin = batch(config.steps, max(START, config.batch))
    start_near_merged(net, maps[:, 0], maps[:, 1], maps[:, 2], margin.to(device))
    parameters = [p for p in net.parameters() if p.requires_grad]
    loop = Loop("stage2", net, parameters, config, folder, device=device, report=report)
    loop.resume()

    def loss_of(step: int) -> Tensor:
        net.train()
        maps, joints, margin = batch(step, config.batch)
        if step < quarters * config.steps:
            maps, joints = quarter_of(maps, joints, np.random.default_rng([seed, step, 2]))
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
            final = net.head(maps[:, 0], maps[:, 1], maps[:, 2], margin.to(device)).final
        return stage_loss(config, final, joints.to(device), config.sigma)

    loop.run(loss_of)
    net.load_state_dict(loop.average.state)
    save_file({name: value.cpu().contiguous() for name, value in head_state(net).items()}, path)
    return path


def quarter_of(maps: Tensor, joints: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A part of half the height and half the width of every window: the head costs a quarter there, at the same scale.

    maps: (B, F, 17, h, w). joints: (B, 17, 3) in pixels of the maps, weight. Returns both for the parts. Each part has
    one of the labelled joints in it, at a random place. Joints outside it keep their weight: nothing is to be found.
    """
    sides = np.array([maps.shape[4] // 2, maps.shape[3] // 2])
    parts, moved = [], joints.clone()
    for number, found in enumerate(joints.numpy()):
        labelled = np.flatnonzero(found[:, 2] > 0)
        middle = found[rng.choice(labelled), :2] if len(labelled) else sides
        corner = np.rint(middle - sides * rng.uniform(0.1, 0.9, 2)).clip(0, sides).astype(int)
        left, top = (int(value) for value in corner)
        parts.append(maps[number, :, :, top : top + sides[1], left : left + sides[0]])
        moved[number, :, :2] -= torch.tensor([left, top], dtype=moved.dtype)
    return torch.stack(parts), moved


def batch_of(
    windows: Windows,
    families: Sequence[Sequence[str]],
    has: Mapping[str, NDArray[np.bool_]],
    batch: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Maps (B, 3, 17, h, w), joints (B, 17, 3) and margins (B, 2): random windows, each as one source sees it. Families
    are equally frequent, and so are the sources of a family."""
    maps, joints = [], []
    rows = rng.integers(len(windows), size=batch)
    for row in rows:
        family = families[int(rng.integers(len(families)))]
        name = family[int(rng.integers(len(family)))]
        maps.append(np.asarray(windows.maps[name][row], np.float32))
        labels = windows.joints[row].copy()
        labels[:, 2] *= has[name]
        joints.append(labels)
    return torch.from_numpy(np.stack(maps)), torch.from_numpy(np.stack(joints)), torch.from_numpy(windows.margin[rows])
