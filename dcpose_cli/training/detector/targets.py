"""Targets of a detector's loss: batches of canvases, and the weights of their anchors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .canvas import Canvas


class MaskedBCE(nn.Module):
    """Binary cross entropy whose negatives carry a weight per anchor; set `weight` (B, A, 1) before each call."""

    def __init__(self) -> None:
        super().__init__()
        self.weight: torch.Tensor | None = None

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss per anchor, (B, A, 1)."""
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if self.weight is None:
            return loss
        return loss * torch.where(target > 0, torch.ones_like(self.weight), self.weight)


def anchor_weights(
    canvases: Sequence[Canvas], points: NDArray[np.float32], strides: NDArray[np.float32], unsure_weight: float
) -> NDArray[np.float32]:
    """Weights of negatives, (B, A): 0 on doubtful places, `unsure_weight` for the finest level in unsure regions.

    points: (A, 2) anchor centres in canvas pixels. strides: (A,).
    """
    out = np.ones((len(canvases), len(points)), np.float32)
    finest = strides == strides.min()
    for row, canvas in zip(out, canvases, strict=True):
        for box in canvas.unsure:
            row[_inside(points, box) & finest] = unsure_weight
        for box in canvas.ignore:
            row[_inside(points, box)] = 0.0
    return out


def labelled_anchors(canvases: Sequence[Canvas], points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which anchors (B, A) lie in a labelled person. points: (A, 2) anchor centres in canvas pixels."""
    out = np.zeros((len(canvases), len(points)), np.bool_)
    for row, canvas in zip(out, canvases, strict=True):
        for box in canvas.boxes:
            row |= _inside(points, box)
    return out


def _inside(points: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(((points >= box[:2]) & (points <= box[2:])).all(1), np.bool_)


def anchor_points(shapes: Sequence[tuple[int, int]], size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centres (A, 2) in canvas pixels and strides (A,) of the anchors of feature maps with these (rows, columns)."""
    points, strides = [], []
    for rows, columns in shapes:
        stride = size / rows
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
        points.append(np.stack([x.ravel() + 0.5, y.ravel() + 0.5], 1) * stride)
        strides.append(np.full(rows * columns, stride, np.float32))
    return np.concatenate(points).astype(np.float32), np.concatenate(strides)


def collate(canvases: Sequence[Canvas], size: int) -> dict[str, torch.Tensor]:
    """Batch in ultralytics' form: img (B, 3, S, S) float in 0..1, boxes as normalised centre xywh."""
    boxes = np.concatenate([c.boxes for c in canvases])
    centred = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1) / size
    owners = np.repeat(np.arange(len(canvases), dtype=np.float32), [len(c.boxes) for c in canvases])
    return {
        "img": as_batch([c.image for c in canvases]),
        "bboxes": torch.from_numpy(centred.astype(np.float32)),
        "cls": torch.zeros(len(boxes), 1),
        "batch_idx": torch.from_numpy(owners),
    }


def as_batch(images: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """Images (S, S, 3) uint8 -> (B, 3, S, S) float in 0..1, channels last in memory."""
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255)
    return batch.contiguous(memory_format=torch.channels_last)
