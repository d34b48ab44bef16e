"""Residual log-likelihood estimation: targets and loss of networks that regress joints (DSTA SPEC 3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from torch import Tensor

#: Weight of each joint slot: elbows and knees 1.2, wrists and ankles 1.5.
JOINT_WEIGHTS: Final[tuple[float, ...]] = (*(1.0,) * 7, 1.2, 1.2, 1.5, 1.5, 1.0, 1.0, 1.2, 1.2, 1.5, 1.5)


class RLETerms(NamedTuple):
    """Parts of the loss. log_phi: (B, J, 1), log-density of the error. nf, q: (B, J, 2), unweighted."""

    log_phi: Tensor
    nf: Tensor
    q: Tensor


def regression_targets(joints: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(B, 17, 3) joints in crop pixels with weight -> targets and weights, each (B, 17, 2).

    size: crop width and height. Targets run from 0 to 1 across the crop. Joints outside the crop weigh nothing.
    """
    extent = torch.tensor(size, dtype=torch.float32, device=joints.device)
    position = joints[..., :2]
    inside = ((position >= 0) & (position <= extent - 1)).all(dim=-1)
    weight = joints[..., 2] * inside * torch.tensor(JOINT_WEIGHTS, device=joints.device)
    return position / extent, weight[..., None].expand(-1, -1, 2)


def rle_terms(coordinates: Tensor, sigma: Tensor, target: Tensor, log_prob: Callable[[Tensor], Tensor]) -> RLETerms:
    """Both terms of every joint; coordinates, sigma and target (B, J, 2), log_prob maps (..., 2) to (...).

    log_phi is one number per joint and counts twice, once for x and once for y, as in the published code.
    """
    log_phi = log_prob((coordinates - target) / sigma)[..., None]
    nf = sigma.log() - log_phi
    q = (sigma * math.sqrt(2 * math.pi)).log() + (target - coordinates).abs() / (math.sqrt(2) * sigma + 1e-9)
    return RLETerms(log_phi, nf, q)


def rle_loss(
    coordinates: Tensor, sigma: Tensor, target: Tensor, weight: Tensor, log_prob: Callable[[Tensor], Tensor]
) -> Tensor:
    """Weighted sum of both terms over joints, divided by the size of the batch; a scalar.

    weight: (B, J, 2). Where it is 0 the target is ignored; it may be NaN.
    """
    labelled = (weight > 0).any(dim=-1, keepdim=True)
    # An unlabelled joint gets its own prediction as target: every term stays finite, and its weight removes it.
    known = torch.where(labelled, target, coordinates.detach())
    terms = rle_terms(coordinates, sigma, known, log_prob)
    return (terms.nf * weight[..., :1] + terms.q * weight).sum() / len(coordinates)
