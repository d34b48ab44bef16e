"""Augmentation: the joints follow the picture, frames share their geometry, damage touches what it says."""

from __future__ import annotations

from colorsys import hsv_to_rgb
from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli.pose.crop import box_to_center_scale, crop_affine
from dcpose_cli.pose.crop_shape import CropShape
from dcpose_cli.skeleton import FLIP_ORDER, FLIP_PAIRS
from dcpose_cli.training.data import augment
from dcpose_cli.training.data.augment import Crops, flip, half_body, plain_crops, plain_size, random_crops
from dcpose_cli.training.data.config import AugmentConfig
from dcpose_cli.training.data.pack import PoseSample

SIZE = (144, 192)
#: Geometry only: colours stay what they are.
GEOMETRY = AugmentConfig(color=0.0, damage=0.0, neighbour_damage=0.0, turn_prob=0.3, half_body_prob=0.5)
#: One pure hue per joint on white: where a dot fades into the ground it loses saturation and looks like no other.
COLOURS = np.array([[255 * c for c in hsv_to_rgb(j / 17, 1, 1)] for j in range(17)]).round().astype(np.uint8)
GROUND = 255


@pytest.fixture(scope="module")
def prepost(golden):
    return golden.arrays(golden.DATA / "prepost.npz")


def dots(shift=0, size=(400, 320)):
    """A picture (w, h = size) with a square of each joint's colour, and the joints (17, 3)."""
    import cv2

    picture = np.full((size[1], size[0], 3), GROUND, np.uint8)
    joints = np.zeros((17, 3), np.float32)
    for j in range(17):
        x, y = 130 + 35 * (j % 5) + shift, 60 + 55 * (j // 5)
        joints[j] = x, y, 1
        cv2.circle(picture, (x, y), 9, COLOURS[j].tolist(), -1)
    return picture, joints


def sample(frames=1, step=0):
    parts = [dots(step * (k - frames // 2)) for k in range(frames)]
    boxes = np.array([[100 + step * (k - frames // 2), 30, 200, 230] for k in range(frames)], np.float32)
    return PoseSample(
        pictures=tuple(p for p, _ in parts),
        joints=np.stack([j for _, j in parts]),
        boxes=boxes,
        margin=(1, 1),
        human=True,
        source="own",
        name="dots",
    )


def found(image, slot):
    """Centre of the pixels near a joint's colour, None where there are fewer than six."""
    near = np.abs(image.astype(int) - COLOURS[slot]).max(axis=2) < 30
    ys, xs = np.nonzero(near)
    return np.array([xs.mean(), ys.mean()]) if len(xs) >= 6 else None


def vary(person, seed, config=GEOMETRY, window=False, size=SIZE):
    return random_crops(person, size, config, np.random.default_rng(seed), other=stranger(90), window=window)


def stranger(grey=9, size=60):
    """Somebody on a plain picture."""
    box = np.array([[10, 5, size - 20, size - 10]], np.float32)
    picture = np.full((size, size, 3), grey, np.uint8)
    return replace(sample(), pictures=(picture,), boxes=box)


def check_dots(crops, order=tuple(range(17)), tolerance=1.0):
    """Every joint of weight 1 lies on its dot; returns how many were compared."""
    h, w = crops.images.shape[1:3]
    compared = 0
    for image, joints in zip(crops.images, crops.joints, strict=True):
        for slot in range(17):
            x, y, weight = joints[slot]
            inner = 12 < x < w - 13 and 12 < y < h - 13
            if inner:
                assert weight == 1
                centre = found(image, order[slot])
                assert centre is not None, slot
                assert np.abs(centre - [x, y]).max() < tolerance
                compared += 1
    return compared


# --- geometry


def test_plain_crops_are_those_of_inference():
    person = sample()
    crops = plain_crops(person, CropShape(SIZE))
    center, scale = box_to_center_scale(person.boxes[0], SIZE, 1.25)
    matrix = crop_affine(center[0], scale[0], SIZE)
    wanted = person.joints[0, :, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(crops.joints[0, :, :2] - wanted).max() < 1e-3
    assert crops.images.shape == (1, 192, 144, 3)
    assert crops.images.dtype == np.uint8
    assert check_dots(crops) == 17


def test_plain_crops_are_trimmed_as_in_inference():
    person, shape = sample(), CropShape((176, 224), margin=0.05)
    size = plain_size(person, shape)
    assert size == tuple(shape.sizes(person.boxes[:1], person.boxes[:1])[0])
    assert size != shape.size
    crops = plain_crops(person, shape)
    assert crops.images.shape == (1, size[1], size[0], 3)
    assert check_dots(crops) == 17


def test_joints_follow_the_picture_whatever_happens():
    compared, flipped = 0, 0
    for seed in range(40):
        crops = vary(sample(), seed)
        # A mirrored picture is seen by its colours: the dot under a left joint is that of the right one.
        mirrored = _is_mirrored(crops)
        flipped += mirrored
        compared += check_dots(crops, FLIP_ORDER if mirrored else tuple(range(17)), tolerance=1.5)
    assert compared > 200
    assert 8 < flipped < 32


def _is_mirrored(crops):
    """Whether the joints' layout is mirrored (sign of an area that rotation and scale keep)."""
    points = crops.joints[0, :, :2].astype(np.float64)
    a, b = points[1] - points[0], points[2] - points[0]  # both along a row
    # Rows go down in the drawing: slot 5 is one row below slot 0 (or slot 6, its partner, when mirrored).
    below = (points[5] + points[6]) / 2 - (points[0] + points[1]) / 2
    assert np.abs(np.cross(np.append(a, 0), np.append(b, 0))).max() < 1e-2
    return bool(a[0] * below[1] - a[1] * below[0] < 0)


def test_flip_swaps_left_and_right():
    rng = np.random.default_rng(0)
    crops = Crops(
        rng.integers(0, 255, (3, 20, 16, 3), dtype=np.uint8), rng.uniform(0, 15, (3, 17, 3)).astype(np.float32)
    )
    out = flip(crops)
    assert np.array_equal(out.images, crops.images[:, :, ::-1])
    for left, right in FLIP_PAIRS:
        assert np.allclose(out.joints[:, left, 0], 15 - crops.joints[:, right, 0])
        assert np.array_equal(out.joints[:, left, 1:], crops.joints[:, right, 1:])
    for slot in (0, 1, 2):
        assert np.allclose(out.joints[:, slot, 0], 15 - crops.joints[:, slot, 0])
    again = flip(out)
    assert np.array_equal(again.images, crops.images)
    assert np.allclose(again.joints, crops.joints, atol=1e-5)


def test_flip_golden(prepost):
    """The published flip of a 640 px wide picture: joints x -> 639 - x, sides swapped, unseen ones zeroed."""
    joints, seen = prepost["target_joints"][1], prepost["target_vis"][1]
    width = 640
    crops = Crops(np.zeros((1, 2, width, 3), np.uint8), np.c_[joints[:, :2], seen[:, 0]][None].astype(np.float32))
    out = flip(crops).joints[0]
    theirs, their_seen = prepost["flip_joints_w640_item1"], prepost["flip_vis_item1"][:, 0]
    assert np.array_equal(out[:, 2], their_seen)
    labelled = their_seen > 0
    assert labelled.sum() > 5
    assert np.abs(out[labelled, :2] - theirs[labelled, :2]).max() < 1e-3


def test_half_body_golden(prepost):
    joints = np.c_[prepost["target_joints"][2][:, :2], prepost["target_vis"][2][:, 0]].astype(np.float32)
    rows = prepost["half_body_draw_cx_cy_sx_sy_item2"]
    assert {bool(draw < 0.5) for draw in rows[:, 0]} == {True, False}
    for draw, *wanted in rows:
        center, scale = half_body(joints, (288, 384), draw)
        assert np.abs(np.concatenate([center, scale]) - wanted).max() < 1e-3


def test_half_body_needs_joints():
    joints = np.zeros((17, 3), np.float32)
    assert half_body(joints, SIZE, 0.0) is None
    joints[5:9] = 10, 20, 1  # four joints in one place make no box
    assert half_body(joints, SIZE, 0.0) is None
    joints[6, 0] = 60
    assert half_body(joints, SIZE, 0.0) is not None


def test_joints_outside_the_crop_lose_their_weight():
    person = sample()
    zoomed = replace(person, boxes=np.array([[180, 100, 60, 80]], np.float32))
    joints = plain_crops(zoomed, CropShape(SIZE)).joints[0]
    outside = (joints[:, :2] < 0).any(1) | (joints[:, 0] > 143) | (joints[:, 1] > 191)
    assert 3 < outside.sum() < 17
    assert np.array_equal(joints[:, 2] == 0, outside)


def test_published_target_weights_agree_on_the_crop(prepost):
    """SPEC 8.1: weight 0 outside the crop; joints whose patch alone touches the crop are rarer than those inside."""
    joints, weight = prepost["target_joints"].reshape(-1, 3), prepost["target_weight"].ravel()
    seen = prepost["target_vis"].reshape(-1, 3)[:, 0] > 0
    inside = (joints[:, 0] >= 0) & (joints[:, 0] <= 287) & (joints[:, 1] >= 0) & (joints[:, 1] <= 383)
    assert (seen & inside).sum() > 10
    assert np.all(weight[seen & inside] == 1)
    assert np.all(weight[~seen] == 0)


def test_the_edge_of_the_frame_cuts_people():
    config = replace(GEOMETRY, cut_prob=1.0, turn_prob=0.0, rotation_prob=0.0)
    compared, dark, lost = 0, 0, 0
    for seed in range(40):
        crops = vary(sample(), seed, config)
        image, joints = crops.images[0], crops.joints[0]
        order = FLIP_ORDER if _is_mirrored(crops) else tuple(range(17))
        for slot in np.flatnonzero(joints[:, 2]):
            x, y = joints[slot, :2].round().astype(int)
            if 3 < x < SIZE[0] - 4 and 3 < y < SIZE[1] - 4:
                near = image[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).astype(int) - COLOURS[order[slot]]
                assert np.abs(near).max(axis=1).min() < 30
                compared += 1
        dark += bool((image == 0).all(axis=2).mean() > 0.05)  # the ground is white
        lost += bool((joints[:, 2] == 0).any())
    assert compared > 100
    assert dark > 20
    assert lost > 20


def test_what_the_edge_of_the_frame_leaves():
    picture, joints = dots()
    box = np.array([100, 30, 200, 230], np.float32)
    found = [augment.edge_of_frame(joints, box, picture.shape, np.random.default_rng(k)) for k in range(200)]
    left = [rectangle for rectangle in found if rectangle is not None]
    assert len(left) > 150
    below = [y1 for x0, y0, x1, y1 in left if y1 < 320]
    assert 80 < len(below) < 160
    assert all((x0 == 0) + (y0 == 0) + (x1 == 400) + (y1 == 320) == 3 for x0, y0, x1, y1 in left)
    assert 30 + 0.35 * 230 - 1 <= min(below) <= max(below) <= 30 + 0.9 * 230 + 1
    assert augment.edge_of_frame(joints * [1, 1, 0], box, picture.shape, np.random.default_rng(0)) is None


def test_a_cut_is_the_same_for_three_frames():
    config = replace(GEOMETRY, cut_prob=1.0)
    for person in (sample(frames=3, step=4), sample()):
        for seed in range(8):
            crops = vary(person, seed, config, window=True)
            shares = [(image == 0).all(axis=2).mean() for image in crops.images]
            assert max(shares) - min(shares) < 0.15


# --- windows


def test_three_frames_share_one_geometry():
    person = sample(frames=3, step=6)
    for seed in range(8):
        crops = vary(person, seed, window=True)
        assert crops.images.shape == (3, 192, 144, 3)
        assert check_dots(crops, FLIP_ORDER if _is_mirrored(crops) else tuple(range(17)), tolerance=1.5) > 10
        # The same linear map in all frames: the step between frames is the same for every joint.
        steps = np.diff(crops.joints[..., :2], axis=0)
        assert np.abs(steps - steps[0, :1]).max() < 1e-3
        assert np.abs(steps).max() > 0.5


def test_a_still_set_in_motion():
    moved = []
    for seed in range(12):
        crops = vary(sample(), seed, window=True)
        assert len(crops.images) == 3
        mirrored = _is_mirrored(crops)
        check_dots(crops, FLIP_ORDER if mirrored else tuple(range(17)), tolerance=1.5)
        previous, current, following = crops.joints[..., :2]
        # Smooth: the current frame lies halfway, up to the second order of a small turn and zoom.
        assert np.abs((previous + following) / 2 - current).max() < 2.5
        moved.append(np.abs(following - previous).max())
    assert 1 < np.median(moved) < 40


def test_how_far_a_still_moves():
    matrix = np.array([[0.5, 0.1, 3.0], [-0.1, 0.5, 2.0]])
    still, once, far = (augment._smooth_motion(matrix, SIZE, np.random.default_rng(3), k) for k in (0.0, 1.0, 3.0))
    assert all(np.allclose(m, matrix) for m in still)
    middle = np.array(SIZE) / 2
    shifts = [np.abs((m[0] - m[1])[:, 2] + (m[0] - m[1])[:, :2] @ middle) for m in (once, far)]
    assert (shifts[1] > 1.5 * shifts[0]).all()


def test_motion_turns_and_zooms_about_the_middle_of_the_crop():
    matrix = crop_affine(np.array([200, 150], np.float32), np.array([1.2, 1.6], np.float32), SIZE, 20)
    before, now, after = (m @ [200, 150, 1] for m in augment._smooth_motion(matrix, SIZE, np.random.default_rng(3)))
    assert np.allclose(now, [72, 96])
    assert np.allclose((before + after) / 2, now)  # there is nothing but drift, the same both ways
    assert 0.5 < np.abs(after - now).max() < 20


def test_single_frames_come_from_all_of_a_window():
    person = sample(frames=3, step=40)
    plain = AugmentConfig(
        color=0, damage=0, scale=0, rotation_prob=0, turn_prob=0, shift=0, half_body_prob=0, flip_prob=0
    )
    # The box moves with the joints, so crops look alike; count which frame was cut by a mark in its corner.
    pictures = tuple(np.full_like(p, 50 * (k + 1)) for k, p in enumerate(person.pictures))
    picks = {int(vary(replace(person, pictures=pictures), seed, plain).images[0, 96, 72, 0]) for seed in range(20)}
    assert picks == {50, 100, 150}


# --- chance


def test_the_same_seed_gives_the_same_crops():
    config = AugmentConfig(damage=0.9, neighbour_damage=0.9)
    for window in (False, True):
        first, again = (vary(sample(3, 5), 4, config, window) for _ in range(2))
        assert np.array_equal(first.images, again.images)
        assert np.array_equal(first.joints, again.joints)
        other = vary(sample(3, 5), 5, config, window)
        assert not np.array_equal(first.images, other.images)


def test_nothing_of_the_sample_is_changed():
    person = sample(3, 5)
    before = [p.copy() for p in person.pictures], person.joints.copy(), person.boxes.copy()
    for seed in range(6):
        vary(person, seed, AugmentConfig(damage=1.0, neighbour_damage=1.0), window=True)
    assert all(np.array_equal(a, b) for a, b in zip(before[0], person.pictures, strict=True))
    assert np.array_equal(before[1], person.joints)
    assert np.array_equal(before[2], person.boxes)


def test_colour_is_shared_by_the_frames():
    person = sample(3, 0)
    crops = vary(person, 2, replace(GEOMETRY, color=0.5), window=True)
    assert np.array_equal(crops.images[0], crops.images[1])
    assert np.array_equal(crops.images[0], crops.images[2])
    assert not np.array_equal(crops.images[0], vary(person, 2, window=True).images[0])


def test_damage_chances_are_per_frame():
    config = replace(GEOMETRY, damage=1.0)  # neighbours stay whole
    clean, spoilt = vary(sample(3, 5), 3, window=True), vary(sample(3, 5), 3, config, window=True)
    same = [np.array_equal(a, b) for a, b in zip(clean.images, spoilt.images, strict=True)]
    assert same == [True, False, True]
    assert np.array_equal(clean.joints, spoilt.joints)
