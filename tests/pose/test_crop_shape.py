"""Trimmed crops: the person and the margin are in them, the scale is that of the whole crop."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.pose.crop import apply_affine, crop_affines
from dcpose_cli.pose.crop_shape import LEAST, STEP, CropShape

SIZE = (176, 224)
MARGIN = 0.15


def boxes(count, seed=0):
    """Of people from lying to standing, (count, 4) xywh."""
    rng = np.random.default_rng(seed)
    high = rng.uniform(20, 400, count)
    wide = high * np.exp(rng.uniform(-1.5, 1.5, count))
    return np.stack([rng.uniform(-50, 900, count), rng.uniform(-50, 900, count), wide, high], 1).astype(np.float32)


def test_without_a_margin_crops_are_whole():
    assert CropShape(SIZE).sizes(boxes(9), boxes(9)).tolist() == [list(SIZE)] * 9
    assert CropShape(SIZE, margin=MARGIN).sizes(boxes(0), boxes(0)).shape == (0, 2)


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((30, 20, 60, 200), (112, 224)),  # stands: 0.3 + 2 * 0.15 of 179 pixels
        ((30, 20, 120, 200), (176, 224)),
        ((30, 20, 200, 60), (176, 96)),  # lies: 0.6 of 141 pixels
        ((30, 20, 200, 5), (176, 64)),  # no less than that
    ],
)
def test_who_stands_is_seen_in_narrow_crops_and_who_lies_in_low_ones(box, size):
    box = np.array([box], np.float32)
    assert CropShape(SIZE, margin=MARGIN).sizes(box, box).tolist() == [list(size)]


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("moved", [0.0, 0.07])
def test_person_and_margin_are_in_sides_that_are_trimmed(margin, moved):
    people, shape = boxes(300), CropShape(SIZE, margin=margin)
    shown = people + np.array([1, -1, 0, 0], np.float32) * moved * people[:, 2:].max(axis=1, keepdims=True)
    sizes = shape.sizes(people, shown)
    assert len(np.unique(sizes, axis=0)) > 3
    assert ((np.array(SIZE) - sizes) % STEP == 0).all()
    assert (sizes >= LEAST).all()
    wide = people[:, 2:].max(axis=1, keepdims=True) * margin
    corners = np.stack([people[:, :2] - wide, people[:, :2] + people[:, 2:] + wide], axis=1)
    affines = crop_affines(shown, SIZE)
    found = apply_affine(affines, corners)
    first = np.stack([shape.offset(size) for size in map(tuple, sizes.tolist())])[:, None]
    inside = ((found >= first - 1e-3) & (found <= np.array(SIZE) - first + 1e-3)).all(axis=1)
    assert inside[sizes < SIZE].all()


def test_no_narrower_crop_would_do():
    people, shape = boxes(300, seed=1), CropShape(SIZE, margin=MARGIN)
    sizes = shape.sizes(people, people)
    scale = SIZE[0] / (np.maximum(people[:, 2], people[:, 3] * SIZE[0] / SIZE[1]) * 1.25)
    needed = (people[:, 2:] + 2 * MARGIN * people[:, 2:].max(axis=1, keepdims=True)) * scale[:, None]
    assert ((sizes - STEP < needed) | (sizes - STEP < LEAST)).all()


@pytest.mark.parametrize(("size", "trimmed"), [((128, 160), (None, 128)), ((160, 224), (128, None))])
def test_rounding_does_not_decide_where_a_whole_number_of_steps_is_cut_off(size, trimmed):
    people = boxes(300, seed=2)
    wide = people[:, 2] > people[:, 3] * size[0] / size[1]
    people = people[wide if trimmed[0] else ~wide]
    sizes = CropShape(size, margin=0.0).sizes(people, people)
    side = 0 if trimmed[0] else 1
    assert len(people) > 50
    assert set(sizes[:, side].tolist()) == {trimmed[side]}


def test_the_middle_part_begins_at_a_pixel_of_the_heatmap():
    shape = CropShape(SIZE, margin=0.0)
    for size in np.unique(shape.sizes(boxes(300), boxes(300)), axis=0):
        assert (shape.offset(tuple(size)) % 4 == 0).all()
