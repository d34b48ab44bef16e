"""The optimizers that a recipe can name."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..._inductor import load_compiler
from .config import LoopConfig
from .muon import Muon


def build_optimizer(parameters: list[nn.Parameter], config: LoopConfig) -> torch.optim.Optimizer:
    """The optimizer of a stage; weight decay for matrices and kernels, none for vectors."""
    load_compiler()
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if config.optimizer == "muon":
        return Muon(groups, lr=config.lr)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.lr, betas=(0.9, config.beta2), fused=True)


def require_moments(optimizer: torch.optim.Optimizer) -> None:
    """ValueError where the loaded state is that of another optimizer (checkpoints without a recorded recipe)."""
    key = "mean" if isinstance(optimizer, Muon) else "exp_avg"
    if any(key not in state for state in optimizer.state.values()):
        raise ValueError("it was trained with another optimizer")
