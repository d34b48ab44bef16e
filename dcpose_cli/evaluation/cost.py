"""What a network costs: parameters, and multiply-accumulates per person and frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .._work import OperationCounter
from ..pose.methods import method_of
from ..pose.model import LoadedModel


@dataclass(frozen=True, slots=True)
class Cost:
    """parameters: of the network. gmac: billions of multiply-accumulates for one person in one frame, all frames that
    are looked at included. frames: how many those are."""

    parameters: int
    gmac: float
    frames: int


@torch.no_grad()
def cost_of(model: LoadedModel) -> Cost:
    """Counted by running one empty person through the network; sampling in deformable steps is not counted."""
    net = model.net
    method = method_of(net, model.header.decoding)
    device = next(net.parameters()).device
    width, height = model.header.input_size
    crops = torch.zeros(len(method.frames), 1, 3, height, width, device=device)
    with OperationCounter() as counter:
        method.run(crops, torch.ones(1, 2, dtype=torch.int64))
    parameters = sum(p.numel() for p in net.parameters())
    return Cost(parameters, counter.multiply_adds / 1e9, len(method.frames))
