"""RealNVP on the plane: the learned shape of the error in residual log-likelihood estimation (DSTA SPEC 2.7).

Needed for training only. State names are the published ones behind their `flow.`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Coupling layers; they change x and y in turn.
LAYERS = 6
HIDDEN = 64


class RealNVP(nn.Module):
    """Density of points (..., 2): six affine couplings over a unit Gaussian.

    center: mean of that Gaussian in x and y. DSTA takes 0.5, the original of the method 0; it is no part of the state.
    """

    mask: Tensor

    def __init__(self, center: float = 0.5) -> None:
        super().__init__()
        self.center = center
        self.register_buffer("mask", torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(LAYERS // 2, 1))
        self.s = nn.ModuleList(nn.Sequential(*_perceptron(), nn.Tanh()) for _ in range(LAYERS))
        self.t = nn.ModuleList(nn.Sequential(*_perceptron()) for _ in range(LAYERS))

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, 2) -> where they come from in the Gaussian (N, 2), and the log-determinant (N,)."""
        logdet = torch.zeros(len(x), device=x.device, dtype=x.dtype)
        for mask, scale_net, shift_net in reversed(list(zip(self.mask, self.s, self.t, strict=True))):
            kept, moved = mask * x, 1 - mask
            scale, shift = scale_net(kept) * moved, shift_net(kept) * moved
            x = kept + moved * (x - shift) * torch.exp(-scale)
            logdet = logdet - scale.sum(dim=1)
        return x, logdet

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of points (..., 2) -> (...), always in float32."""
        with torch.autocast(x.device.type, enabled=False):
            z, logdet = self.inverse(x.reshape(-1, 2).float())
            base = -0.5 * (z - self.center).square().sum(dim=1) - math.log(2 * math.pi)
            return (base + logdet).view(x.shape[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """`log_prob`, so that the flow can stand in for any log-density."""
        return self.log_prob(x)


def _perceptron() -> list[nn.Module]:
    return [
        nn.Linear(2, HIDDEN),
        nn.LeakyReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.LeakyReLU(),
        nn.Linear(HIDDEN, 2),
    ]
