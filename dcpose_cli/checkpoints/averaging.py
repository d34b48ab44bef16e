"""One model out of several that were trained from one another: the weighted mean of their weights.

Where fine-tuned networks still lie in one basin of the loss, their mean is often better than each of them, and costs
no more than one (model soups, Wortsman and others, ICML 2022). Whether it is has to be measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from ..errors import UsageError
from ..files import printable
from .files import open_model, save_model


def average_models(
    models: Sequence[str | Path], out: Path, *, weights: Sequence[float] | None = None, overwrite: bool = False
) -> Path:
    """Write the mean of pose models of one architecture to the folder `out`; returns the file.

    models: names, folders or files, at least two. weights: one number above 0 for each, in shares of their sum; None:
    equal. Statistics of batch norm are averaged like weights. Joints, decoding and crop margin are those of the first.
    Raises UsageError where models or weights do not fit together, WeightsError, OutputError.
    """
    shares = _shares(len(models), weights)
    first = open_model(models[0])
    total = {name: torch.zeros_like(value) for name, value in first.net.state_dict().items()}
    for model, share in zip(models, shares, strict=True):
        loaded = open_model(model)
        if (loaded.header.network, loaded.header.channels) != (first.header.network, first.header.channels):
            raise UsageError(
                f"{printable(models[0], 60)} and {printable(model, 60)} are not built alike",
                hint="average models of one architecture, trained from one another",
            )
        for name, value in loaded.net.state_dict().items():
            if value.is_floating_point():
                total[name] += share * value
    first.net.load_state_dict(total)
    header = first.header
    return save_model(
        first.net, out, name=out.name, joints=header.joints, names=header.names, predicts=header.predicts,
        input_size=header.input_size, source=f"mean of {len(models)} models", decoding=header.decoding,
        crop_margin=header.crop_margin, overwrite=overwrite,
    )  # fmt: skip


def _shares(count: int, weights: Sequence[float] | None) -> list[float]:
    """The weights as shares of one. Raises UsageError."""
    if count < 2:
        raise UsageError("an average needs at least two models")
    weights = [1.0] * count if weights is None else weights
    if len(weights) != count:
        raise UsageError(f"{len(weights)} weights for {count} models", hint="give one for each, in the same order")
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise UsageError(f"weights must be above 0, got {', '.join(f'{weight:g}' for weight in weights)}")
    return [weight / sum(weights) for weight in weights]
