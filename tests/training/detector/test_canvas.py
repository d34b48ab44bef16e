"""Canvases of the person detector, and what its loss compares with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dcpose_cli.training.detector.canvas import Canvas, CanvasMaker
from dcpose_cli.training.detector.recipe import CanvasConfig
from dcpose_cli.training.detector.targets import MaskedBCE, anchor_points, anchor_weights, collate

CONFIG = CanvasConfig(crop_share=0.5)


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_canvases_show_whom_they_box(blocks, mosaic):
    maker = CanvasMaker([blocks.block_people(s) for s in range(3)], [blocks.block_people(9, complete=False)], CONFIG)
    rng = np.random.default_rng(1)
    counts = 0
    for _ in range(60):
        canvas = maker.make(rng, 128, mosaic)
        assert canvas.image.shape == (128, 128, 3)
        assert canvas.image.dtype == np.uint8
        for x1, y1, x2, y2 in canvas.boxes:
            assert 0 <= x1 < x2 <= 128
            assert 0 <= y1 < y2 <= 128
            inner = canvas.image[round(y1) + 2 : round(y2) - 2, round(x1) + 2 : round(x2) - 2].astype(int)
            if inner.size:  # a block has one colour, the noise around it has not
                assert inner.std(axis=(0, 1)).max() < 40
                counts += 1
    assert counts > 60


def test_canvases_repeat_with_the_generator_and_mark_where_people_may_be_unboxed(blocks):
    maker = CanvasMaker([blocks.block_people(0)], [blocks.block_people(1, complete=False)], CONFIG)
    first = [maker.make(np.random.default_rng(4), 96, 0.5) for _ in range(2)]
    np.testing.assert_array_equal(first[0].image, first[1].image)
    np.testing.assert_array_equal(first[0].boxes, first[1].boxes)
    only_sure = CanvasMaker([blocks.block_people(0)], [], CONFIG)
    only_unsure = CanvasMaker([blocks.block_people(0, complete=False)], [], CONFIG)
    assert len(only_sure.make(np.random.default_rng(0), 96, 1.0).unsure) == 0
    assert len(only_unsure.make(np.random.default_rng(0), 96, 1.0).unsure) in {2, 4, 9}


def test_doubtful_places_cost_nothing_and_unsure_regions_less(blocks):
    points, strides = anchor_points([(8, 8), (4, 4), (2, 2)], 64)
    assert points.shape == (84, 2)
    assert sorted(set(strides.tolist())) == [8, 16, 32]
    canvas = Canvas(
        np.zeros((64, 64, 3), np.uint8), blocks.boxes(), blocks.boxes((0, 0, 16, 16)), blocks.boxes((0, 0, 64, 32))
    )
    (weights,) = anchor_weights([canvas], points, strides, 0.4)
    fine = weights[:64].reshape(8, 8)
    assert np.all(fine[:2, :2] == 0)
    assert np.all(fine[:4, 2:] == np.float32(0.4))
    assert np.all(fine[4:] == 1)
    assert weights[64:80].reshape(4, 4)[0].tolist() == [0, 1, 1, 1]
    bce = MaskedBCE()
    logits = torch.zeros(1, 84, 1)
    plain = bce(logits, torch.zeros(1, 84, 1))
    bce.weight = torch.from_numpy(weights)[None, :, None]
    assert torch.equal(bce(logits, torch.zeros(1, 84, 1)), plain * bce.weight)
    assert torch.equal(bce(logits, torch.ones(1, 84, 1)), plain)


def test_collate_gives_normalised_centres(blocks):
    canvas = Canvas(np.full((64, 64, 3), 255, np.uint8), blocks.boxes((0, 16, 32, 48)), blocks.boxes(), blocks.boxes())
    batch = collate([canvas, replace(canvas, boxes=blocks.boxes()), canvas], 64)
    assert batch["img"].shape == (3, 3, 64, 64)
    assert float(batch["img"].max()) == 1
    assert batch["bboxes"].tolist() == [[0.25, 0.5, 0.5, 0.5]] * 2
    assert batch["batch_idx"].tolist() == [0, 2]
