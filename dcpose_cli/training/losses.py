"""Heatmap targets and the loss against them (SPEC 8.1, 8.2)."""

from __future__ import annotations

import torch
from torch import Tensor


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


def heatmap_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared error, summed over pixels, mean over the labelled joints.

    predicted, target: (B, J, h, w). weight: (B, J) in 0..1. Returns a scalar.
    """
    per_joint = (predicted.float() - target).square().sum(dim=(2, 3))
    return (per_joint * weight).sum() / weight.sum().clamp(min=1.0)
