"""Augmentation: geometry and colour shared by the frames of a window, damage frame by frame (SPEC 8.4 and beyond)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from ...pose.crop import SCALE_UNIT, box_to_center_scale, crop_affine
from ...pose.crop_shape import CropShape
from ...skeleton import FLIP_ORDER, UPPER_BODY
from .config import AugmentConfig
from .damage import body_box, damage, motion_direction
from .pack import PoseSample

#: So many labelled joints of a person must stay in view for the edge of the frame to cut it.
_LEAST_JOINTS = 5
_UPPER = np.zeros(17, bool)
_UPPER[list(UPPER_BODY)] = True


#: xyxy in whole pixels of a picture; the last row and column are no longer in it.
Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """Crops of one sample: images (K, h, w, 3) uint8 RGB; joints (K, 17, 3) in crop pixels and weight."""

    images: NDArray[np.uint8]
    joints: NDArray[np.float32]


def plain_crops(sample: PoseSample, shape: CropShape) -> Crops:
    """The crops of inference: the box of the current frame, no variation."""
    center, scale = box_to_center_scale(sample.boxes[_current(sample)], shape.size, shape.enlarge)
    size = plain_size(sample, shape)
    matrix = _middle_part(crop_affine(center[0], scale[0], shape.size), shape, size)
    return _cut(sample.pictures, sample.joints, [matrix] * len(sample.pictures), size)


def plain_size(sample: PoseSample, shape: CropShape) -> tuple[int, int]:
    """Width and height of `plain_crops`."""
    box = sample.boxes[_current(sample)][None]
    width, height = shape.sizes(box, box)[0].tolist()
    return width, height


def _middle_part(matrix: NDArray[np.float64], shape: CropShape, size: tuple[int, int]) -> NDArray[np.float64]:
    """From a picture to a whole crop (2, 3) -> to its middle part of that size."""
    moved = matrix.copy()
    moved[:, 2] -= shape.offset(size)
    return moved


def random_crops(
    sample: PoseSample,
    size: tuple[int, int],
    config: AugmentConfig,
    rng: np.random.Generator,
    *,
    other: PoseSample,
    window: bool,
    part: tuple[int, int] | None = None,
) -> Crops:
    """One random variation. other: another sample, used to occlude the body and to paste beside it.

    window: three frames are returned (previous, current, next), made out of a still by a small smooth motion where
    the sample has only one; otherwise one frame, a random one of a window. part: width and height of the middle part
    of the crops that is returned, None for all.
    """
    geometry = draw_geometry(sample, size, config, rng, window=window)
    if part is not None:
        geometry, size = geometry.middle_part(size, part), part
    pictures = [sample.pictures[k] for k in geometry.frames]
    crops = _cut(pictures, geometry.joints, geometry.matrices, size, geometry.seen)
    if rng.random() < config.flip_prob:
        crops = flip(crops)
    images = _colour(crops.images, config.color, rng)
    body = body_box(crops.joints[len(images) // 2], size)
    direction = motion_direction(crops.joints)
    for k in range(len(images)):
        chance = config.damage if k == len(images) // 2 else config.neighbour_damage
        if rng.random() < chance:
            images[k] = damage(images[k], body, other, rng, direction)
    return Crops(images, crops.joints)


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """How the frames of one sample are cut. frames: which pictures of the sample, one per crop. joints: (K, 17, 3) in
    pixels of those pictures. matrices: picture to crop, one per crop. box: (4,) xywh, of the person in the current
    picture, as far as it is seen. seen: xyxy, the part of the pictures that is not black, None for all."""

    frames: tuple[int, ...]
    joints: NDArray[np.float32]
    matrices: list[NDArray[np.float64]]
    box: NDArray[np.float32]
    seen: Rectangle | None = None

    def size(self, shape: CropShape) -> tuple[int, int]:
        """Width and height of the middle part of the crops in which the person is seen with the margin of `shape`.

        A person who is turned is as wide and as high as the ellipse in their box, turned.
        """
        if shape.margin is None:
            return shape.size
        matrix, sides = self.matrices[len(self.matrices) // 2], self.box[2:].astype(np.float64)
        linear = matrix[:, :2]
        middle = linear @ (self.box[:2] + sides / 2) + matrix[:, 2]
        half = np.sqrt((linear**2) @ (sides / 2) ** 2) + np.abs(middle - np.array(shape.size) / 2)
        half += shape.margin * sides.max() * math.sqrt(abs(np.linalg.det(linear)))
        width, height = shape.sizes_around(half[None])[0].tolist()
        return width, height

    def middle_part(self, size: tuple[int, int], part: tuple[int, int]) -> Geometry:
        """The same for the middle part of crops of that size."""
        shape = CropShape(size)
        return replace(self, matrices=[_middle_part(matrix, shape, part) for matrix in self.matrices])


def draw_geometry(
    sample: PoseSample, size: tuple[int, int], config: AugmentConfig, rng: np.random.Generator, *, window: bool
) -> Geometry:
    """Random place, size and angle of the crops, and the motion of a still; mirroring is chosen later."""
    count = len(sample.pictures)
    frames, joints, boxes = tuple(range(count)), sample.joints, sample.boxes
    if not window and count == 3:
        pick = int(rng.integers(3))
        pick = pick if joints[pick, :, 2].any() else 1  # of some windows only the current frame is labelled
        frames, joints, boxes = (pick,), joints[pick : pick + 1], boxes[pick : pick + 1]
    current = len(frames) // 2
    seen = None
    if config.cut_prob and rng.random() < config.cut_prob:
        seen = edge_of_frame(joints[current], boxes[current], sample.pictures[frames[current]].shape, rng)
    box = boxes[current]
    if seen is None:
        center, scale = _choose_box(joints[current], box, size, config, rng)
    else:
        joints, box = _within(joints, seen), _overlap(box, seen)
        center, scale = _choose_box(joints[current], box, size, replace(config, half_body_prob=0.0), rng)
    degrees = 0.0
    if rng.random() < config.rotation_prob:
        limit = config.rotation_limit
        degrees = config.rotation * float(np.clip(rng.standard_normal(), -limit, limit))
    if rng.random() < config.turn_prob:
        degrees += 180.0
    matrix = crop_affine(center, scale, size, degrees)
    if window and len(frames) == 1:
        moving = _smooth_motion(matrix, size, rng, config.still_motion)
        return Geometry(frames * 3, np.repeat(joints, 3, axis=0), moving, box, seen)
    return Geometry(frames, joints, [matrix] * len(frames), box, seen)


def edge_of_frame(
    joints: NDArray[np.float32], box: NDArray[np.float32], shape: tuple[int, ...], rng: np.random.Generator
) -> Rectangle | None:
    """What is left of a picture (height, width, ...) whose edge cuts the person in `box` (xywh): mostly below, as of
    people close to the camera. None where too few joints (17, 3) would be left."""
    height, width = shape[:2]
    side, share = rng.random(), float(rng.uniform(0.1, 0.4))
    x0, y0, x1, y1 = 0, 0, width, height
    if side < 0.7:
        y1 = round(float(box[1] + box[3] * rng.uniform(0.35, 0.9)))
    elif side < 0.8:
        y0 = round(float(box[1] + box[3] * share))
    elif side < 0.9:
        x0 = round(float(box[0] + box[2] * share))
    else:
        x1 = round(float(box[0] + box[2] * (1 - share)))
    left: Rectangle = (max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))
    remains = _overlap(box, left)
    enough = (_within(joints, left)[:, 2] > 0).sum() >= _LEAST_JOINTS
    return left if enough and remains[2] >= 8 and remains[3] >= 8 else None


def _within(joints: NDArray[np.float32], seen: Rectangle) -> NDArray[np.float32]:
    """Joints (..., 17, 3), of which those outside the rectangle have lost their weight."""
    x0, y0, x1, y1 = seen
    out = joints.copy()
    x, y = joints[..., 0], joints[..., 1]
    out[..., 2] *= (x >= x0) & (x <= x1 - 1) & (y >= y0) & (y <= y1 - 1)
    return out


def _overlap(box: NDArray[np.float32], seen: Rectangle) -> NDArray[np.float32]:
    """The part of a box (4,) xywh inside the rectangle; sides of 0 where there is none."""
    low = np.maximum(box[:2], seen[:2])
    high = np.minimum(box[:2] + box[2:], seen[2:])
    return np.concatenate([low, np.maximum(high - low, 0)]).astype(np.float32)


def flip(crops: Crops) -> Crops:
    """Mirror images and joints; left and right change names."""
    width = crops.images.shape[2]
    joints = crops.joints[:, list(FLIP_ORDER)].copy()
    joints[..., 0] = width - 1 - joints[..., 0]
    return Crops(np.ascontiguousarray(crops.images[:, :, ::-1]), joints)


def half_body(
    joints: NDArray[np.float32], size: tuple[int, int], draw: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Centre (2,) and scale (2,) around the upper (draw < 0.5) or lower joints, None where too few are labelled
    or all lie in one place.

    joints: (17, 3) in pixels of the picture. draw: a standard normal number (SPEC 8.4).
    """
    seen = joints[:, 2] > 0
    upper, lower = joints[seen & _UPPER, :2], joints[seen & ~_UPPER, :2]
    chosen = upper if (draw < 0.5 and len(upper) > 2) or len(lower) <= 2 else lower
    if len(chosen) < 2:
        return None
    extent = chosen.max(axis=0) - chosen.min(axis=0)
    if extent.max() < 1:
        return None
    aspect = size[0] / size[1]
    w, h = float(extent[0]), float(extent[1])
    w, h = (w, w / aspect) if w > aspect * h else (h * aspect, h)
    scale = np.array([w, h], np.float32) / np.float32(SCALE_UNIT) * np.float32(1.5)
    return chosen.mean(axis=0).astype(np.float32), scale


def _current(sample: PoseSample) -> int:
    return len(sample.pictures) // 2


def _choose_box(
    joints: NDArray[np.float32],
    box: NDArray[np.float32],
    size: tuple[int, int],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    centers, scales = box_to_center_scale(box, size, config.enlarge)
    center, scale = centers[0], scales[0]
    if (joints[:, 2] > 0).sum() > 8 and rng.random() < config.half_body_prob:
        center, scale = half_body(joints, size, float(rng.standard_normal())) or (center, scale)
    # Detectors miss the box of a label by a few per cent.
    center = center + (rng.standard_normal(2) * config.shift * scale * SCALE_UNIT).astype(np.float32)
    factor = float(np.clip(1 + config.scale * rng.standard_normal(), 1 - config.scale, 1 + config.scale))
    return center.astype(np.float32), (scale * factor).astype(np.float32)


def _smooth_motion(
    matrix: NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator, strength: float = 1.0
) -> list[NDArray[np.float64]]:
    """Three matrices: the camera drifts, turns and zooms a little around the current one."""
    drift = rng.standard_normal(2) * 0.025 * size[1] * strength
    turn, zoom = rng.standard_normal() * 2.0 * strength, rng.standard_normal() * 0.02 * strength
    out = []
    for t in (-1.0, 0.0, 1.0):
        c, s = np.cos(np.radians(turn * t)), np.sin(np.radians(turn * t))
        linear = (1 + zoom * t) * np.array([[c, s], [-s, c]])
        middle = np.array(size) / 2
        out.append(
            np.concatenate(
                [linear @ matrix[:, :2], (linear @ (matrix[:, 2] - middle) + middle + drift * t)[:, None]], axis=1
            )
        )
    return out


def _cut(
    pictures: Sequence[NDArray[np.uint8]],
    joints: NDArray[np.float32],
    matrices: list[NDArray[np.float64]],
    size: tuple[int, int],
    seen: Rectangle | None = None,
) -> Crops:
    cut = matrices
    if seen is not None:
        x0, y0, x1, y1 = seen
        pictures = [p[y0:y1, x0:x1] for p in pictures]
        cut = [np.concatenate([m[:, :2], (m[:, :2] @ [x0, y0] + m[:, 2])[:, None]], axis=1) for m in matrices]
    images = np.stack([cv2.warpAffine(p, m, size, flags=cv2.INTER_LINEAR) for p, m in zip(pictures, cut, strict=True)])
    return Crops(images.astype(np.uint8, copy=False), moved_joints(joints, matrices, size))


def moved_joints(
    joints: NDArray[np.float32], matrices: Sequence[NDArray[np.float64]], size: tuple[int, int]
) -> NDArray[np.float32]:
    """(K, 17, 3) joints in crop pixels; those outside the crop lose their weight."""
    w, h = size
    moved = joints.copy()
    for k, m in enumerate(matrices):
        moved[k, :, :2] = joints[k, :, :2] @ m[:, :2].T + m[:, 2]
    outside = (moved[..., 0] < 0) | (moved[..., 0] > w - 1) | (moved[..., 1] < 0) | (moved[..., 1] > h - 1)
    moved[..., 2] *= ~outside
    return moved


def _colour(images: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Contrast, brightness, tint and now and then grey, alike for all frames of a window."""
    if strength <= 0:
        return images.copy()
    gain = 1 + strength * rng.uniform(-1, 1) + 0.4 * strength * rng.uniform(-1, 1, 3)
    shift = 255 * 0.4 * strength * rng.uniform(-1, 1)
    table = np.clip(np.arange(256)[:, None] * gain + shift, 0, 255).astype(np.uint8)
    out = np.stack([cv2.LUT(image, table[None]) for image in images])
    if rng.random() < 0.1:
        grey = out.mean(axis=3, keepdims=True).astype(np.uint8)
        out = np.repeat(grey, 3, axis=3)
    return out
