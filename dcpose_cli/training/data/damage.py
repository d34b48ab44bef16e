"""Damage to the crop of one frame: blur, occlusion, low resolution, another person (beyond SPEC 8.4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from .pack import PoseSample

#: Crop pixels that the fastest joint must move over a window for its blur to have a direction.
_LEAST_MOTION = 3.0


def body_box(joints: NDArray[np.float32], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """xyxy of the labelled joints (17, 3), the whole crop where fewer than two are."""
    seen = joints[joints[:, 2] > 0, :2]
    if len(seen) < 2:
        return 0.0, 0.0, float(size[0]), float(size[1])
    low, high = seen.min(axis=0), seen.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def motion_direction(joints: NDArray[np.float32]) -> float | None:
    """Angle, in degrees of the picture, in which the joints of a window (K, 17, 3) move from its first to its last
    frame; None with one frame, or too little motion."""
    both = (joints[0, :, 2] > 0) & (joints[-1, :, 2] > 0)
    if len(joints) < 2 or not both.any():
        return None
    moved = joints[-1, both, :2] - joints[0, both, :2]
    # The fastest joint: the mean over all is near zero for a person who waves.
    x, y = moved[np.argmax(np.linalg.norm(moved, axis=1))]
    return float(np.degrees(np.arctan2(y, x))) if np.hypot(x, y) >= _LEAST_MOTION else None


def damage(
    image: NDArray[np.uint8],
    body: tuple[float, float, float, float],
    other: PoseSample,
    rng: np.random.Generator,
    direction: float | None = None,
) -> NDArray[np.uint8]:
    """One kind of damage to a crop: motion blur, defocus, an occluder, low resolution, or another person.

    body: xyxy of the joints. direction: of the blur in degrees, any when None.
    """
    kind = int(rng.integers(5))
    span = max(body[2] - body[0], body[3] - body[1], 8.0)
    if kind == 0:
        angle = rng.uniform(0, 180) if direction is None else direction + 10 * rng.standard_normal()
        return motion_blur(image, span * rng.uniform(0.05, 0.3), angle)
    if kind == 1:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.8, 6.0))), np.uint8)
    if kind == 2:
        return cover(image, body, other.pictures[0], rng)
    if kind == 3:
        return coarsen(image, float(rng.uniform(1.5, 4.0)), int(rng.integers(15, 60)))
    return paste_person(image, body, other, rng)


def motion_blur(image: NDArray[np.uint8], length: float, degrees: float) -> NDArray[np.uint8]:
    """Blur along a line of `length` pixels."""
    half = max(1, round(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    dx, dy = half * np.cos(np.radians(degrees)), half * np.sin(np.radians(degrees))
    start, end = (round(half - dx), round(half - dy)), (round(half + dx), round(half + dy))
    cv2.line(kernel, start, end, (1.0,), 1)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def cover(
    image: NDArray[np.uint8],
    body: tuple[float, float, float, float],
    occluder: NDArray[np.uint8],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Hide 10-40 % of the body's box behind a patch of another picture or a plain colour."""
    h, w = image.shape[:2]
    bw, bh = body[2] - body[0], body[3] - body[1]
    area, ratio = rng.uniform(0.1, 0.4), np.exp(rng.uniform(-0.7, 0.7))
    pw = int(np.clip(np.sqrt(area * bw * bh * ratio), 4, w))
    ph = int(np.clip(np.sqrt(area * bw * bh / ratio), 4, h))
    x = int(np.clip(rng.uniform(body[0], body[2]) - pw / 2, 0, w - pw))
    y = int(np.clip(rng.uniform(body[1], body[3]) - ph / 2, 0, h - ph))
    out = image.copy()
    oh, ow = occluder.shape[:2]
    if rng.random() < 0.7 and oh > 8 and ow > 8:
        cw, ch = int(rng.integers(ow // 3, ow + 1)), int(rng.integers(oh // 3, oh + 1))
        ox, oy = int(rng.integers(ow - cw + 1)), int(rng.integers(oh - ch + 1))
        out[y : y + ph, x : x + pw] = cv2.resize(occluder[oy : oy + ch, ox : ox + cw], (pw, ph))
    else:
        out[y : y + ph, x : x + pw] = rng.integers(0, 256, 3, dtype=np.uint8)
    return out


def paste_person(
    image: NDArray[np.uint8],
    body: tuple[float, float, float, float],
    other: PoseSample,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Paste another person beside the body, about as tall and partly over it, with a soft edge."""
    picture, box = other.pictures[0], other.boxes[0]
    height, width = picture.shape[:2]
    x0, y0 = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    x1, y1 = int(np.clip(box[0] + box[2], x0 + 1, width)), int(np.clip(box[1] + box[3], y0 + 1, height))
    patch = picture[y0:y1, x0:x1]
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    h, w = image.shape[:2]
    ph = int(np.clip((body[3] - body[1]) * rng.uniform(0.8, 1.2), 8, 2 * h))
    pw = int(np.clip(ph * patch.shape[1] / patch.shape[0], 4, 2 * w))
    patch = cv2.resize(np.ascontiguousarray(patch), (pw, ph), interpolation=cv2.INTER_AREA)
    # From half before the body to just beside it, on either side.
    apart = (body[2] - body[0] + pw) / 2 * rng.uniform(0.45, 1.0) * rng.choice((-1, 1))
    left = round((body[0] + body[2]) / 2 + apart - pw / 2)
    top = round((body[1] + body[3]) / 2 + (body[3] - body[1]) * 0.12 * rng.standard_normal() - ph / 2)
    ax, ay, bx, by = max(left, 0), max(top, 0), min(left + pw, w), min(top + ph, h)
    if ax >= bx or ay >= by:
        return image
    alpha = _soft_patch(pw, ph)[ay - top : by - top, ax - left : bx - left, None]
    out = image.copy()
    mixed = out[ay:by, ax:bx] * (1 - alpha) + patch[ay - top : by - top, ax - left : bx - left] * alpha
    out[ay:by, ax:bx] = mixed.astype(np.uint8)
    return out


def _soft_patch(width: int, height: int) -> NDArray[np.float32]:
    """(height, width) weights in 0..1 of an ellipse-cornered patch that fades out at its edge."""
    x = np.abs(np.linspace(-1, 1, width, dtype=np.float32))[None]
    y = np.abs(np.linspace(-1, 1, height, dtype=np.float32))[:, None]
    weights: NDArray[np.float32] = np.clip((1 - (x**4 + y**4) ** 0.25) / 0.12, 0, 1)
    return weights


def coarsen(image: NDArray[np.uint8], factor: float, quality: int) -> NDArray[np.uint8]:
    """Fewer pixels, then JPEG at `quality`."""
    h, w = image.shape[:2]
    small = cv2.resize(image, (max(8, int(w / factor)), max(8, int(h / factor))), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    back = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.resize(back, (w, h), interpolation=cv2.INTER_LINEAR), np.uint8)
