"""Muon (K. Jordan et al., 2024): each momentum matrix is replaced by a nearly orthogonal one before the step.

The gradient of a convolution is dominated by few directions; an orthogonal step moves equally far in all of them.
Vectors, and matrices and kernels of at most 17 output channels, take the step of AdamW: see `is_matrix`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from ...skeleton import NUM_JOINTS

_MOMENTUM: Final = 0.95
_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-8
#: The quintic whose repeated use takes singular values to near 1, and how often it is used.
_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
_ROUNDS: Final = 5
#: Root mean square of an orthogonal step, as large as AdamW's steps usually are, so that one `lr` suits both.
_STEP_RMS: Final = 0.2


def is_matrix(weight: Tensor) -> bool:
    """Whether Muon moves a parameter: a matrix, or a kernel (its rows are the output channels), of more than 17 rows.

    AdamW moves the others: the layers that output heatmaps (17 joints), and the narrow layers of a small DCPose head.
    With the head that dcpose-s had before its seventh version, these were 29 of 142 matrices and kernels (6, 13, 16 and
    17 channels), 1 % of the weights. There Muon for all but the output layers was worse: after 150 steps of stage 2 a
    loss on held-out windows of 8.69 and 8.62 instead of 8.19 and 8.12, and 22.6 and 22.3 % of the joints found instead
    of 25.7 and 25.7 % (two seeds, same batches).
    """
    return weight.ndim > 1 and len(weight) > NUM_JOINTS


class Muon(torch.optim.Optimizer):
    """Muon for parameters that `is_matrix` accepts, AdamW for the others; a group's weight decay holds for both.

    parameters: groups as torch's optimizers take them. lr: of both kinds.
    """

    def __init__(self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients; parameters without one are unchanged."""
        for group in self.param_groups:
            learning = [p for p in group["params"] if p.grad is not None]
            for p in learning:
                p.mul_(1 - group["lr"] * group["weight_decay"])
            for p in learning:
                if not is_matrix(p):
                    self._adam(p, group["lr"])
            self._orthogonal([p for p in learning if is_matrix(p)], group["lr"])

    def _adam(self, p: nn.Parameter, lr: float) -> None:
        state, gradient = self.state[p], p.grad
        assert gradient is not None
        if not state:
            state["count"] = 0
            state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
        state["count"] += 1
        state["mean"].lerp_(gradient, 1 - _BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - _BETAS[1])
        mean = state["mean"] / (1 - _BETAS[0] ** state["count"])
        square = state["square"] / (1 - _BETAS[1] ** state["count"])
        p.addcdiv_(mean, square.sqrt_().add_(_EPSILON), value=-lr)

    def _orthogonal(self, parameters: Sequence[nn.Parameter], lr: float) -> None:
        alike: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for p in parameters:
            alike.setdefault(tuple(p.shape), []).append(p)
        for shape, group in alike.items():
            steps = orthogonal(torch.stack([self._nesterov(p).reshape(shape[0], -1) for p in group]))
            length = _STEP_RMS * max(steps.shape[1:]) ** 0.5
            for p, step in zip(group, steps, strict=True):
                p.add_(step.reshape(shape), alpha=-lr * length)

    def _nesterov(self, p: nn.Parameter) -> Tensor:
        """The update direction: the gradient with Nesterov momentum."""
        state, gradient = self.state[p], p.grad
        assert gradient is not None
        if not state:
            state["mean"] = torch.zeros_like(p)
        state["mean"].lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(state["mean"], _MOMENTUM)


def orthogonal(matrices: Tensor) -> Tensor:
    """(K, m, n) matrices -> ones with the same singular vectors and singular values near 1 (0.7 to 1.2), which is
    all the accuracy there is, so that bfloat16 will do."""
    a, b, c = _QUINTIC
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.transpose(1, 2)
    x = (x / (torch.linalg.matrix_norm(x)[:, None, None] + 1e-7)).bfloat16()
    for _ in range(_ROUNDS):
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    out: Tensor = (x if wide else x.transpose(1, 2)).float()
    return out
