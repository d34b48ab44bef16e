"""Heatmap targets and the loss against them (SPEC 8.1, 8.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from ...skeleton import FLIP_ORDER, FLIP_PAIRS
from .recipe import StageConfig


def gaussian_targets(joints: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """(B, J, 3) joints in heatmap pixels -> (B, J, h, w) Gaussians of peak 1 around the exact position.

    The centre is not rounded to a pixel, as the published code does: rounding costs up to half a heatmap pixel.
    size: width and height of the heatmap.
    """
    xs = torch.arange(size[0], dtype=torch.float32, device=joints.device)
    ys = torch.arange(size[1], dtype=torch.float32, device=joints.device)
    gx = torch.exp(-((xs - joints[..., 0:1]) ** 2) / (2 * sigma**2))
    gy = torch.exp(-((ys - joints[..., 1:2]) ** 2) / (2 * sigma**2))
    return gy[..., :, None] * gx[..., None, :]


def rounded_targets(joints: Tensor, size: tuple[int, int], sigma: float) -> tuple[Tensor, Tensor]:
    """The published targets: centres on whole pixels, nothing beyond three sigma, nothing below a weight of 0.5.

    Arguments as in `gaussian_targets`. Returns targets (B, J, h, w) and weights (B, J), which are 0 where the patch
    lies outside the heatmap (SPEC 8.1).
    """
    radius = int(3 * sigma)
    centre = torch.trunc(joints[..., :2] + 0.5)  # towards zero, as a cast to integer rounds
    extent = torch.tensor(size, dtype=torch.float32, device=joints.device)
    outside = ((centre - radius >= extent) | (centre + radius + 1 < 0)).any(dim=-1)
    weight = joints[..., 2] * ~outside
    xs = torch.arange(size[0], dtype=torch.float32, device=joints.device) - centre[..., 0:1]
    ys = torch.arange(size[1], dtype=torch.float32, device=joints.device) - centre[..., 1:2]
    gx = torch.exp(-(xs**2) / (2 * sigma**2)) * (xs.abs() <= radius)
    gy = torch.exp(-(ys**2) / (2 * sigma**2)) * (ys.abs() <= radius)
    labelled = (weight > 0.5)[..., None, None]
    return gy[..., :, None] * gx[..., None, :] * labelled, weight


def heatmap_loss(predicted: Tensor, target: Tensor, weight: Tensor, swap_weight: float = 0.0) -> Tensor:
    """Weighted squared error, summed over pixels, mean over the labelled joints.

    predicted, target: (B, J, h, w). weight: (B, J) in 0..1. swap_weight: as in `swap_emphasis`. Returns a scalar.
    """
    error = (predicted.float() - target).square()
    if swap_weight:
        error = error * swap_emphasis(target, weight, swap_weight)
    per_joint = error.sum(dim=(2, 3))
    return (per_joint * weight).sum() / weight.sum().clamp(min=1.0)


def published_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Squared error of the weighted maps, mean over people, pixels and all joints (SPEC 8.2); arguments as above."""
    per_joint = (predicted.float() - target).square().mean(dim=(2, 3))
    return (per_joint * weight.square()).mean()


def swap_emphasis(target: Tensor, weight: Tensor, swap_weight: float) -> Tensor:
    """How much each pixel counts (B, J, h, w): 1, and up to 1 + `swap_weight` where the other joint of a left/right
    pair is and the joint itself is not, so that taking one for the other costs more. Joints whose partner has no label
    count as ever.

    target: (B, J, h, w) Gaussians. weight: (B, J) in 0..1.
    """
    paired = torch.zeros(target.shape[1], device=target.device)
    paired[[slot for pair in FLIP_PAIRS for slot in pair]] = 1
    order = list(FLIP_ORDER)
    partner = target[:, order] * (weight[:, order] * paired)[..., None, None]
    return 1 + swap_weight * (partner - target).clamp(min=0)


def hardest(predicted: Tensor, target: Tensor, weight: Tensor, count: int) -> Tensor:
    """The weights (B, J) of the `count` joints of each person whose weighted loss is largest; the others are 0."""
    with torch.no_grad():
        per_joint = (predicted.float() - target).square().sum(dim=(2, 3)) * weight
        chosen = torch.zeros_like(weight).scatter_(1, per_joint.topk(count, dim=1).indices, 1.0)
    return weight * chosen


def stage_loss(config: StageConfig, predicted: Tensor, joints: Tensor, sigma: float) -> Tensor:
    """What a stage minimises: its targets of `joints` (B, J, 3) in heatmap pixels against `predicted` (B, J, h, w)."""
    size = (predicted.shape[3], predicted.shape[2])
    if config.coding == "rounded":
        target, weight = rounded_targets(joints, size, sigma)
    else:
        target, weight = gaussian_targets(joints, size, sigma), joints[..., 2]
    if config.hard_joints:
        weight = hardest(predicted, target, weight, config.hard_joints)
    if config.loss == "mean":
        scale = predicted.shape[1] / config.hard_joints if config.hard_joints else 1.0
        return scale * published_loss(predicted, target, weight)
    return heatmap_loss(predicted, target, weight, config.swap_weight)
