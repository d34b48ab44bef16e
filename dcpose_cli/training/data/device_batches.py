"""Batches made on the training device: pictures are in its memory; crops, colours and damage are computed there.

What is drawn is a pure function of (seed, step), as in batches.py, and geometry is drawn by the same code from the same
numbers: without colours and damage both make the same crops, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...pose.crop import normalise
from ...skeleton import FLIP_ORDER
from .augment import Rectangle, draw_geometry, moved_joints
from .batches import STRIDE, Batch, BatchOptions, Draw, draw_of
from .damage import body_box, motion_direction
from .device_damage import (
    KINDS,
    Overlay,
    blur_kernel,
    coarsened,
    draw_cover,
    draw_person,
    filtered,
    gaussian_kernel,
    masks,
)
from .device_pictures import DevicePictures
from .pack import PoseSample


@dataclass(slots=True, eq=False)
class _Plan:
    """What happens to the crops of a batch; crop k is row k of every list, or named by its number."""

    pictures: list[int] = field(default_factory=list)
    matrices: list[NDArray[np.float64]] = field(default_factory=list)
    seen: list[Rectangle | None] = field(default_factory=list)
    gain: list[NDArray[np.float64]] = field(default_factory=list)
    shift: list[float] = field(default_factory=list)
    grey: list[bool] = field(default_factory=list)
    kernels: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    coarse: dict[int, tuple[float, int]] = field(default_factory=dict)
    overlays: dict[int, tuple[int, Overlay]] = field(default_factory=dict)
    joints: list[NDArray[np.float32]] = field(default_factory=list)
    margins: list[tuple[int, int]] = field(default_factory=list)


class DeviceBatches:
    """`training_batch` over samples whose pictures are in a device's memory. They must be decoded already."""

    def __init__(self, samples: Sequence[PoseSample], device: torch.device) -> None:
        self.samples = samples
        self.pictures = DevicePictures(samples, device)

    def __call__(self, step: int, **options: Unpack[BatchOptions]) -> Batch:
        """The batch of a step, on the device."""
        draw = draw_of(self.samples, options)
        positions, part = draw.members(step)
        plan = _Plan()
        for position in positions:
            self._draw(plan, draw, position, part)
        images = self._damaged(plan, self._coloured(plan, part), part)
        frames = 3 if draw.window else 1
        h, w = images.shape[1:3]
        normal = normalise(images).reshape(draw.batch, frames, 3, h, w)
        if draw.window:
            normal = normal[:, [1, 0, 2]]  # the network's order: current, previous, next
        joints = np.stack(plan.joints)
        joints[..., :2] /= STRIDE
        device = self.pictures.device
        margins = torch.tensor(plan.margins, dtype=torch.float32, device=device)
        return Batch(normal.reshape(draw.batch, 3 * frames, h, w), torch.from_numpy(joints).to(device), margins)

    def _draw(self, plan: _Plan, draw: Draw, position: int, size: tuple[int, int]) -> None:
        """size: width and height of the part of the crops that is made."""
        number, sample, other, rng = draw.sample(position)
        config = draw.config
        geometry = draw_geometry(sample, draw.shape.size, config, rng, window=draw.window)
        geometry = geometry.middle_part(draw.shape.size, size)
        matrices, joints = geometry.matrices, moved_joints(geometry.joints, geometry.matrices, size)
        if rng.random() < config.flip_prob:
            mirror = np.array([[-1.0, 0, size[0] - 1], [0, 1, 0]])
            matrices = [np.concatenate([mirror[:, :2] @ m[:, :2], mirror[:, :2] @ m[:, 2:] + mirror[:, 2:]], axis=1)
                        for m in matrices]  # fmt: skip
            joints = joints[:, list(FLIP_ORDER)].copy()
            joints[..., 0] = size[0] - 1 - joints[..., 0]
        first, count = len(plan.pictures), len(matrices)
        plan.pictures += [self.pictures.of_sample[number][frame] for frame in geometry.frames]
        plan.seen += [geometry.seen] * count
        plan.matrices += matrices
        plan.joints.append(joints[count // 2])
        plan.margins.append(sample.margin)
        _draw_colours(plan, count, config.color, rng)
        body, direction = body_box(joints[count // 2], size), motion_direction(joints)
        for k in range(count):
            chance = config.damage if k == count // 2 else config.neighbour_damage
            if rng.random() < chance:
                self._draw_damage(plan, first + k, body, direction, other, size, rng)

    def _draw_damage(
        self,
        plan: _Plan,
        crop: int,
        body: tuple[float, float, float, float],
        direction: float | None,
        other: int,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:
        kind = KINDS[int(rng.integers(len(KINDS)))]
        span = max(body[2] - body[0], body[3] - body[1], 8.0)
        sample, picture = self.samples[other], self.pictures.of_sample[other][0]
        if kind == "blur":
            angle = rng.uniform(0, 180) if direction is None else direction + 10 * rng.standard_normal()
            plan.kernels[crop] = blur_kernel(span * rng.uniform(0.05, 0.3), angle)
        elif kind == "defocus":
            plan.kernels[crop] = gaussian_kernel(float(rng.uniform(0.8, 6.0)))
        elif kind == "coarsen":
            plan.coarse[crop] = float(rng.uniform(1.5, 4.0)), int(rng.integers(15, 60))
        elif kind == "cover":
            plan.overlays[crop] = picture, draw_cover(body, size, sample, rng)
        else:
            plan.overlays[crop] = picture, draw_person(body, sample, rng)

    def _coloured(self, plan: _Plan, size: tuple[int, int]) -> Tensor:
        images = self.pictures.cut(plan.pictures, np.stack(plan.matrices), size, plan.seen)
        device = images.device
        gain = torch.from_numpy(np.stack(plan.gain)).to(device, torch.float32)[:, None, None]
        shift = torch.tensor(plan.shift, dtype=torch.float32, device=device)[:, None, None, None]
        images = (images * gain + shift).clamp(0, 255)
        grey = torch.tensor(plan.grey, device=device)[:, None, None, None]
        return torch.where(grey, images.mean(dim=3, keepdim=True), images)

    def _damaged(self, plan: _Plan, images: Tensor, size: tuple[int, int]) -> Tensor:
        if plan.kernels:
            rows = list(plan.kernels)
            images[rows] = filtered(images[rows], list(plan.kernels.values()))
        for row, (factor, quality) in plan.coarse.items():
            images[row] = coarsened(images[row], factor, quality)
        if plan.overlays:
            rows = list(plan.overlays)
            numbers = [picture for picture, _ in plan.overlays.values()]
            overlays = [overlay for _, overlay in plan.overlays.values()]
            patch = self.pictures.cut(numbers, np.stack([o.matrix for o in overlays]), size)
            for k, overlay in enumerate(overlays):
                if overlay.colour is not None:
                    patch[k] = torch.tensor(overlay.colour, dtype=torch.float32, device=patch.device)
            seen = masks(overlays, size, images.device)
            images[rows] = images[rows] * (1 - seen) + patch * seen
        return images


def _draw_colours(plan: _Plan, count: int, strength: float, rng: np.random.Generator) -> None:
    """Contrast, brightness, tint and now and then grey, alike for all frames of a window."""
    gain, shift, grey = np.ones(3), 0.0, False
    if strength > 0:
        gain = 1 + strength * rng.uniform(-1, 1) + 0.4 * strength * rng.uniform(-1, 1, 3)
        shift = 255 * 0.4 * strength * rng.uniform(-1, 1)
        grey = bool(rng.random() < 0.1)
    plan.gain += [gain] * count
    plan.shift += [shift] * count
    plan.grey += [grey] * count


def fits(samples: Sequence[PoseSample], device: torch.device) -> bool:
    """Whether the decoded pictures of the samples take at most half of what is free on a CUDA device."""
    if device.type != "cuda" or not all(isinstance(sample.pictures, tuple) for sample in samples):
        return False
    sizes = {id(picture): picture.nbytes for sample in samples for picture in sample.pictures}
    return sum(sizes.values()) <= torch.cuda.mem_get_info(device)[0] // 2
