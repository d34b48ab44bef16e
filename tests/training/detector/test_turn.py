"""Turned, small, close and damaged people on the canvases of the person detector."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dcpose_cli.training.detector.canvas import CanvasMaker, damaged
from dcpose_cli.training.detector.data import JOINTS, Picture
from dcpose_cli.training.detector.recipe import CanvasConfig
from dcpose_cli.training.detector.turn import turned_boxes

NOBODY = np.zeros((0, 4), np.float32)
CONFIG = CanvasConfig(crop_share=0.0)


def turn(degrees: float, centre: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    sin, cos = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, np.array(centre) - linear @ centre])


def ellipse_picture(side: int = 240) -> Picture:
    """A white ellipse, 60 x 160 pixels, on black."""
    image = np.zeros((side, side, 3), np.uint8)
    cv2.ellipse(image, (side // 2, side // 2), (30, 80), 0, 0, 360, (255, 255, 255), -1)
    box = np.array([[side / 2 - 30, side / 2 - 80, side / 2 + 30, side / 2 + 80]], np.float32)
    return Picture(image, box, NOBODY, True)


def test_boxes_of_turned_people_lie_between_ellipse_and_corners():
    box = np.array([[-20, -50, 20, 50]], np.float32)
    for degrees in (0, 90, -90, 180):
        found, _ = turned_boxes(box, turn(degrees))
        wide = abs(degrees) == 90
        np.testing.assert_allclose(found[0], [-50, -20, 50, 20] if wide else box[0], atol=1e-4)
    found, heads = turned_boxes(box, turn(45))
    ellipse, corners = np.hypot(20, 50) / np.sqrt(2), 70 / np.sqrt(2)
    assert ellipse < found[0, 2] < corners
    np.testing.assert_allclose(heads[0], turn(45)[:, :2] @ [0, -38], atol=1e-4)
    wide, _ = turned_boxes(box, turn(45), spread=1.0)
    np.testing.assert_allclose(wide[0, 2], corners, rtol=1e-5)
    assert turned_boxes(NOBODY, turn(30))[0].shape == (0, 4)


def test_joints_say_where_a_turned_person_is():
    box = np.array([[-20, -50, 20, 50]], np.float32)
    joints = np.full((1, JOINTS, 2), np.nan, np.float32)
    joints[0, :11] = [(0, -46)] + [(x, y) for y in (-30, -10, 0, 20, 45) for x in (-16, 16)]
    joints[0, 9:11] = [(-2, 45), (2, 45)]
    found, heads = turned_boxes(box, turn(45), joints)
    plain, _ = turned_boxes(box, turn(45))
    np.testing.assert_allclose(heads[0], turn(45)[:, :2] @ [0, -46], atol=1e-4)
    assert not np.allclose(found, plain, atol=0.5)
    moved = joints[0, :11] @ turn(45)[:, :2].T
    assert (found[0, :2] < moved.min(0)).all()
    assert (found[0, 2:] > moved.max(0)).all()
    few = np.where(np.arange(JOINTS)[None, :, None] < 5, joints, np.nan)
    np.testing.assert_allclose(turned_boxes(box, turn(45), few)[0], plain)
    upright, _ = turned_boxes(box, turn(3), joints)
    np.testing.assert_allclose(upright, turned_boxes(box, turn(3))[0])


@pytest.mark.parametrize("shares", [{"tilt": 1.0}, {"quarter": 1.0}, {}])
def test_boxes_follow_the_pixels(shares: dict[str, float]):
    """The box drawn for an ellipse covers what is white on the canvas, turned or not."""
    maker = CanvasMaker([ellipse_picture()], [], replace(CONFIG, **shares))
    rng = np.random.default_rng(2)
    checked = 0
    for _ in range(40):
        canvas = maker.make(rng, 160, 0.0)
        if len(canvas.boxes) != 1:
            continue
        bright = np.argwhere((canvas.image.max(2) > 140) & (np.ptp(canvas.image, axis=2) < 90))
        box = canvas.boxes[0]
        if min(box[:2]) < 2 or max(box[2:]) > 158 or not len(bright):
            continue
        low, high = bright.min(0)[::-1], bright.max(0)[::-1] + 1
        sides = box[2:] - box[:2]
        if np.abs(high - low - sides).max() < 0.5 * sides.max():  # a grey ground is not mistaken for the ellipse
            assert np.abs(np.concatenate([low, high]) - box).max() < 0.12 * sides.max() + 2.5
            checked += 1
    assert checked > 8


def test_small_and_close_people():
    rng = np.random.default_rng(1)
    tall = {}
    for kind in ("small", "large"):
        maker = CanvasMaker([ellipse_picture()], [], replace(CONFIG, **{kind: 1.0}))
        canvases = [maker.make(rng, 320, float(kind == "small")) for _ in range(40)]
        tall[kind] = np.concatenate([c.boxes[:, 3] - c.boxes[:, 1] for c in canvases])
    assert np.median(tall["small"]) < 90
    assert tall["small"].min() < 50
    assert np.median(tall["large"]) > 290  # from edge to edge


def test_pictures_without_people_come_as_often_as_asked():
    empty = Picture(np.zeros((50, 50, 3), np.uint8), NOBODY, NOBODY, True)
    maker = CanvasMaker([ellipse_picture()], [], replace(CONFIG, empty=0.3), [empty])
    rng = np.random.default_rng(1)
    without = sum(len(maker.make(rng, 64, 0.0).boxes) == 0 for _ in range(300))
    assert 60 < without < 130


def test_damage_repeats_with_the_generator_and_the_teacher_sees_none():
    picture = ellipse_picture()
    maker = CanvasMaker([picture], [], replace(CONFIG, damage=1.0))
    for seed in range(40):
        first, second = (maker.make(np.random.default_rng(seed), 96, 0.3) for _ in range(2))
        np.testing.assert_array_equal(first.image, second.image)
        assert first.clean is not None
        assert first.image.shape == first.clean.shape
    changed = sum(bool(np.any(damaged(np.random.default_rng(s), picture.image) != picture.image)) for s in range(40))
    assert changed == 40
    assert CanvasMaker([picture], [], CONFIG).make(np.random.default_rng(0), 96, 0.3).clean is None
