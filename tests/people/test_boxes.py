"""Overlaps and areas of person boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.people.boxes import areas, from_corners, iou, not_suppressed, pairwise_intersection, pairwise_iou

BOX = np.array([0, 0, 10, 10], np.float32)
OTHERS = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5], [2, 2, 2, 5]], np.float32)
NONE = np.zeros((0, 4), np.float32)


def test_iou_of_one_box_with_others():
    assert iou(BOX, OTHERS) == pytest.approx([1, 1 / 3, 0, 0.1])
    assert iou(BOX, NONE).shape == (0,)


def test_every_pair():
    found = pairwise_iou(OTHERS, OTHERS[:3])
    assert found.dtype == np.float32
    assert found.shape == (4, 3)
    assert found == pytest.approx(np.stack([iou(box, OTHERS[:3]) for box in OTHERS]))
    assert pairwise_iou(NONE, OTHERS).shape == (0, 4)
    assert pairwise_iou(np.zeros((1, 4)), np.zeros((1, 4))) == 0
    assert pairwise_intersection(BOX[None], OTHERS).tolist() == [[100, 50, 0, 10]]


def test_areas_and_corners():
    assert areas(OTHERS).tolist() == [100, 100, 25, 10]
    corners = np.array([[5, 0, 15, 10]], np.float32)
    assert from_corners(corners).tolist() == [[5, 0, 10, 10]]
    assert from_corners(NONE).shape == (0, 4)


@pytest.mark.parametrize("limit", [0.0, 0.45, 0.7, 1.0])
def test_suppression_equals_torchvision(limit):
    from torchvision.ops import nms

    torch.manual_seed(0)
    corners = torch.rand(400, 4) * 90
    corners[:, 2:] = corners[:, :2] + torch.rand(400, 2) * 60 * (torch.arange(400)[:, None] % 50 > 0)  # some are empty
    corners[7] = corners[3]
    scores = torch.linspace(1, 0.1, 400)
    kept = not_suppressed(corners.numpy(), limit)
    assert kept.tolist() == nms(corners, scores, limit).tolist()
    assert not_suppressed(NONE, limit).tolist() == []
