"""How boxes are matched and scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli.training.detector.score import ap50, evaluate, found_people, match_boxes


def test_boxes_are_matched_once_and_not_counted_on_doubtful_places(blocks):
    truth, ignore = blocks.boxes((0, 0, 10, 20)), blocks.boxes((50, 50, 10, 10))
    found = blocks.boxes((0, 0, 10, 19), (0, 0, 10, 18), (51, 51, 8, 8), (80, 0, 10, 10))
    hits = match_boxes(found, np.array([0.9, 0.8, 0.7, 0.6], np.float32), truth, ignore)
    assert [right for _, right in hits] == [True, False, False]
    assert [score for score, _ in hits] == pytest.approx([0.9, 0.8, 0.6])
    assert match_boxes(blocks.boxes(), np.zeros(0, np.float32), truth, ignore) == []
    assert [right for _, right in match_boxes(found[:1], np.array([0.9]), blocks.boxes(), blocks.boxes())] == [False]
    assert found_people(found[3:], truth).tolist() == [False]
    assert found_people(blocks.boxes(), truth).tolist() == [False]
    assert ap50([(0.8, True), (0.9, False)], 1) == 0.5


class Fixed(torch.nn.Module):
    """A network that always reports the same rows."""

    def __init__(self, rows: torch.Tensor) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.rows.expand(len(batch), -1, -1)


def test_scores_of_a_known_output(blocks):
    """One person found, one missed, one false box, one box on a doubtful place that counts for nothing."""
    rows = torch.tensor([[32, 50, 24, 60, 0.9], [130, 5, 10, 8, 0.8], [65, 50, 10, 20, 0.7]]).T[None]
    picture = blocks.block_people(0)
    shifted = Fixed(rows + torch.tensor([10.0, 14.0, 0, 0, 0])[None, :, None])  # the padding of 140 x 100 to 160 x 128
    result = evaluate(shifted, [picture], 140)
    assert result["recall_large"] == 0.5
    assert result["false_per_picture"] == result["false_per_complete"] == 1
    assert result["ap50"] == pytest.approx(51 / 101, abs=1e-4)
