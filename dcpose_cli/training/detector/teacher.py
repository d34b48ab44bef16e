"""Distillation: a finished detector gives targets for every place of a canvas; its weights are not taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch.nn import functional as F

from ...people.detector import DetectorModel

#: The two parts against each other: persons, and where the sides of the box lie.
CLASS_GAIN: Final = 1.0
SIDES_GAIN: Final = 0.75
CPU: Final = torch.device("cpu")


class Teacher:
    """teacher(images) -> its answers: persons (B, 1, A) probabilities, sides (B, 4, bins, A) distributions.

    Anchors as in ultralytics' detection networks of strides 8, 16 and 32; no gradients.
    """

    def __init__(self, model: DetectorModel, device: torch.device = CPU) -> None:
        self._net = model.net.eval().to(device).to(memory_format=torch.channels_last)
        self._device = device
        # Only the last layer's own switch: it then gives raw answers, while batch norm keeps its statistics.
        self._net.model[-1].training = True  # type: ignore[union-attr, index]
        self._person = model.person

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """images: (B, 3, S, S) float32, RGB in 0..1."""
        with torch.autocast(self._device.type, torch.bfloat16):
            output: Mapping[str, Any] = self._net(images)
        persons = output["scores"].float()[:, self._person : self._person + 1].sigmoid()
        return persons, _sides(output["boxes"].float()).softmax(2)


def _sides(boxes: torch.Tensor) -> torch.Tensor:
    return boxes.reshape(len(boxes), 4, -1, boxes.shape[2])


def distillation(
    output: Mapping[str, torch.Tensor], answers: tuple[torch.Tensor, torch.Tensor], labelled: torch.Tensor
) -> torch.Tensor:
    """Distance of a network's raw output to the teacher's answers, a scalar, as a mean over the teacher's people.

    output: `scores` (B, 1, A) and `boxes` (B, 4 x bins, A) logits. labelled: (B, A) bool, anchors within a labelled
    person. There the teacher may only add: where it sees nobody, the label is right.
    """
    persons, sides = answers
    weight = torch.where(labelled.unsqueeze(1), persons, torch.ones_like(persons))
    total = persons.sum().clamp_min(1.0)
    seen = F.binary_cross_entropy_with_logits(output["scores"], persons, weight=weight, reduction="sum") / total
    wrong = -(sides * _sides(output["boxes"]).log_softmax(2)).sum(2)  # (B, 4, A)
    return CLASS_GAIN * seen + SIDES_GAIN * (wrong * persons).sum() / (4 * total)
