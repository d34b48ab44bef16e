"""Kinds of damage to a crop."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dcpose_cli.training.data import damage as damage_module
from dcpose_cli.training.data.pack import PoseSample

SIZE = (144, 192)


def stranger(grey=9, size=60):
    """Somebody on a plain picture."""
    box = np.array([[10, 5, size - 20, size - 10]], np.float32)
    picture = np.full((size, size, 3), grey, np.uint8)
    return PoseSample((picture,), np.zeros((1, 17, 3), np.float32), box, (1, 1), True, "own", "stranger")


@pytest.fixture
def crop():
    rng = np.random.default_rng(1)
    return cv2.resize(rng.integers(0, 256, (24, 18, 3), dtype=np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)


BODY = (40.0, 30.0, 100.0, 160.0)


def test_every_kind_of_damage_keeps_shape_and_input(crop):
    before, outcomes = crop.copy(), []
    for seed in range(24):
        out = damage_module.damage(crop, BODY, stranger(), np.random.default_rng(seed))
        assert out.shape == crop.shape
        assert out.dtype == np.uint8
        assert out.flags.c_contiguous
        assert not np.array_equal(out, crop)
        outcomes.append(out)
    assert np.array_equal(crop, before)
    assert len({out.tobytes() for out in outcomes}) == 24


def test_cover_touches_one_patch_of_the_said_size(crop):
    for seed in range(20):
        out = damage_module.cover(crop, BODY, np.full((60, 60, 3), 9, np.uint8), np.random.default_rng(seed))
        ys, xs = np.nonzero((out != crop).any(axis=2))
        x0, x1, y0, y1 = xs.min(), xs.max(), ys.min(), ys.max()
        area = (x1 - x0 + 1) * (y1 - y0 + 1)
        assert 0.06 * 60 * 130 < area < 0.4 * 60 * 130
        patch = out[y0 : y1 + 1, x0 : x1 + 1].reshape(-1, 3)
        assert (patch == patch[0]).all()  # a plain colour, or the plain picture given
        assert BODY[0] - 1 <= (x0 + x1) / 2 <= BODY[2] + 1
        assert BODY[1] - 1 <= (y0 + y1) / 2 <= BODY[3] + 1


def test_cover_of_a_body_without_size(crop):
    out = damage_module.cover(crop, (50.0, 50.0, 50.0, 50.0), np.zeros((4, 4, 3), np.uint8), np.random.default_rng(0))
    assert 0 < (out != crop).any(axis=2).sum() <= 16


def test_pasted_people_stand_beside_or_partly_before_the_body(crop):
    sides = set()
    for seed in range(30):
        out = damage_module.paste_person(crop, BODY, stranger(255), np.random.default_rng(seed))
        ys, xs = np.nonzero((out != crop).any(axis=2))
        middle = (xs.min() + xs.max()) / 2
        sides.add(middle > 70)
        assert abs(middle - 70) > 10
        assert ys.max() - ys.min() > 60  # about as tall as the body, cut by the picture at most
        kept = (out[30:160, 40:100] == crop[30:160, 40:100]).all(axis=2).mean()
        assert kept > 0.3
    assert sides == {True, False}


def test_a_pasted_person_beyond_the_picture_changes_nothing(crop):
    body = (-400.0, 30.0, -300.0, 160.0)
    assert np.array_equal(damage_module.paste_person(crop, body, stranger(255), np.random.default_rng(0)), crop)


def test_the_direction_of_motion_is_that_of_the_fastest_joint():
    joints = np.zeros((3, 17, 3), np.float32)
    joints[..., 2] = 1
    assert damage_module.motion_direction(joints) is None
    joints[2, 9, :2] = 0, 20
    joints[2, 10, :2] = 5, 0
    assert damage_module.motion_direction(joints) == pytest.approx(90)
    joints[0, 9, 2] = 0  # not labelled: the other wrist is the fastest then
    assert damage_module.motion_direction(joints) == pytest.approx(0)
    assert damage_module.motion_direction(joints[:1]) is None


def test_the_blur_of_a_window_lies_along_its_motion(crop, monkeypatch):
    seen = []
    monkeypatch.setattr(damage_module, "motion_blur", lambda image, length, degrees: seen.append(degrees) or image)
    for seed in range(40):
        damage_module.damage(crop, BODY, stranger(), np.random.default_rng(seed), 30.0)
    assert len(seen) >= 3
    assert all(abs(degrees - 30) < 45 for degrees in seen)


def test_motion_blur_blurs_along_its_line():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 255
    across, down = damage_module.motion_blur(image, 9, 0), damage_module.motion_blur(image, 9, 90)
    assert set(np.nonzero(across[..., 0])[0]) == {20}
    assert set(np.nonzero(down[..., 0])[1]) == {20}
    assert 8 <= np.count_nonzero(across[..., 0]) <= 11
    flat = np.full((30, 30, 3), 77, np.uint8)
    assert np.array_equal(damage_module.motion_blur(flat, 7, 33), flat)


def test_coarsen_keeps_the_picture_and_loses_detail(crop):
    out = damage_module.coarsen(crop, 3.0, 40)
    assert out.shape == crop.shape
    assert np.abs(out.astype(int).mean(axis=(0, 1)) - crop.astype(int).mean(axis=(0, 1))).max() < 4
    assert np.abs(np.diff(out.astype(int), axis=1)).mean() < np.abs(np.diff(crop.astype(int), axis=1)).mean()
