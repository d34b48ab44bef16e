"""The damage done to the current frame, fixed before any training and the same in every run.

Each kind touches the person alone, never the whole frame; its strength is drawn once per window by a generator that is
seeded with the window's number.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dcpose_cli.training.data.damage import motion_blur, paste_person
from dcpose_cli.training.data.pack import PoseSample

KINDS = ("blur", "defocus", "cover", "person")
SEED = 20261125
#: Blur along the motion, in shares of the longer side of the box; sigma of the defocus in pixels of the crop; share of
#: the box that is covered.
BLUR, DEFOCUS, COVER = (0.1, 0.3), (2.0, 6.0), (0.2, 0.4)

Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]


def damaged(image: Image, kind: str, box: Box, direction: float | None, other: PoseSample, number: int) -> Image:
    """A crop (H, W, 3) with one kind of damage.

    box: the person's, xyxy in pixels of the crop. direction: in which it moves, degrees; any where None. other: who
    covers and is pasted. number: of the window.
    """
    rng = np.random.default_rng([SEED, KINDS.index(kind), number])
    if kind == "blur":
        length = max(box[2] - box[0], box[3] - box[1]) * rng.uniform(*BLUR)
        angle = rng.uniform(0, 180) if direction is None else direction
        return _within(image, motion_blur(image, length, angle), box)
    if kind == "defocus":
        return _within(image, np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(*DEFOCUS))), np.uint8), box)
    if kind == "cover":
        return _covered(image, box, other.pictures[0], rng)
    return paste_person(image, box, other, rng)


def _within(image: Image, changed: Image, box: Box) -> Image:
    """The changed picture inside the box, the old one outside, with a soft edge."""
    mask = np.zeros(image.shape[:2], np.float32)
    x0, y0, x1, y1 = (round(v) for v in box)
    cv2.rectangle(mask, (x0, y0), (x1, y1), (1.0,), -1)
    soft = cv2.GaussianBlur(mask, (0, 0), 2.0)[..., None]
    return np.asarray(image * (1 - soft) + changed * soft, np.uint8)


def _covered(image: Image, box: Box, picture: Image, rng: np.random.Generator) -> Image:
    """A patch of another picture over 20 to 40 % of the box, wholly inside it."""
    height, width = image.shape[:2]
    x0, y0 = max(0.0, box[0]), max(0.0, box[1])
    bw, bh = min(width, box[2]) - x0, min(height, box[3]) - y0
    area, ratio = rng.uniform(*COVER), np.exp(rng.uniform(-0.5, 0.5))
    pw = float(np.clip(np.sqrt(area * ratio) * bw, area * bw, bw))
    ph = area * bw * bh / pw
    left, top = round(x0 + rng.uniform(0, bw - pw)), round(y0 + rng.uniform(0, max(0.0, bh - ph)))
    size = max(2, round(pw)), max(2, round(ph))
    out = image.copy()
    patch = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    shown = out[top : top + size[1], left : left + size[0]]
    shown[:] = patch[: shown.shape[0], : shown.shape[1]]
    return out
