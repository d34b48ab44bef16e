"""Learning from a finished detector's answers, and drawings without people."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcpose_cli import _ultralytics
from dcpose_cli.people.detector import DetectorModel
from dcpose_cli.training.detector.canvas import Canvas
from dcpose_cli.training.detector.graphics import SIDE, draw_graphic
from dcpose_cli.training.detector.targets import labelled_anchors
from dcpose_cli.training.detector.teacher import Teacher, distillation

NOBODY = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    torch.manual_seed(3)
    return Teacher(DetectorModel(_ultralytics.detection_model("yolov8n.yaml", 3), 1, 64, "teacher", ""))


def raw(persons: torch.Tensor, sides: torch.Tensor) -> dict[str, torch.Tensor]:
    """Outputs of a network that agrees with the teacher's answers."""
    return {"scores": persons.logit(), "boxes": sides.log().flatten(1, 2)}


def test_answers_are_probabilities_and_change_nothing_in_the_teacher(teacher):
    images = torch.rand(2, 3, 64, 64)
    persons, sides = teacher(images)
    assert persons.shape == (2, 1, 84)
    assert sides.shape == (2, 4, 16, 84)
    assert torch.allclose(sides.sum(2), torch.ones(2, 4, 84), atol=1e-3)
    again, _ = teacher(images)
    assert torch.equal(persons, again)


def test_agreement_costs_least():
    torch.manual_seed(5)
    answers = torch.rand(2, 1, 84) * 0.98 + 0.01, torch.randn(2, 4, 16, 84).softmax(2)
    outside = torch.zeros(2, 84, dtype=torch.bool)
    least = distillation(raw(*answers), answers, outside)
    for shift in (-0.3, 0.3):
        other = raw(*answers)
        other["scores"] = other["scores"] + shift
        assert distillation(other, answers, outside) > least
        moved = raw(*answers)
        moved["boxes"] = moved["boxes"].roll(1, 1)
        assert distillation(moved, answers, outside) > least


def test_where_a_label_stands_the_teacher_only_adds():
    persons = torch.tensor([[[0.001, 0.9]]])
    sides = torch.full((1, 4, 16, 2), 1 / 16)
    surest = {"scores": torch.tensor([[[6.0, 2.0]]]), "boxes": torch.zeros(1, 64, 2)}
    label = torch.tensor([[True, False]])
    denied = distillation(surest, (persons, sides), torch.zeros_like(label))
    allowed = distillation(surest, (persons, sides), label)
    assert denied - allowed > 5
    low = {"scores": torch.tensor([[[6.0, -6.0]]]), "boxes": torch.zeros(1, 64, 2)}
    assert distillation(low, (persons, sides), label) > allowed + 4  # the person it sees is wanted everywhere


def test_anchors_inside_people():
    canvases = [Canvas(np.zeros((8, 8, 3), np.uint8), np.array([[0, 0, 8, 8]], np.float32), NOBODY, NOBODY)]
    points = np.array([[4, 4], [12, 4]], np.float32)
    assert labelled_anchors(canvases, points).tolist() == [[True, False]]


def test_drawings_differ_and_repeat_with_the_generator():
    first = [draw_graphic(np.random.default_rng(seed)) for seed in range(30)]
    assert all(image.shape == (SIDE, SIDE, 3) and image.dtype == np.uint8 for image in first)
    assert len({image.tobytes() for image in first}) == 30
    assert all(np.array_equal(image, draw_graphic(np.random.default_rng(seed))) for seed, image in enumerate(first))
