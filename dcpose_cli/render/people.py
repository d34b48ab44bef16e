"""People drawn over a frame: limbs, joints, boxes and identities.

One hue per track, the same in every frame. The person's left limbs are a light shade of it and the right limbs a deep
one, so that crossed legs stay readable. Limbs and joints are outlined in near-black, which keeps them visible on any
background, and everything is sized by the frame and by the person. Fingers and the points of the face are thin and lie
under the body, which they do not cover.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from ..pixels import Part
from ..skeleton.sets import detail_joints, limbs
from ..types import Person

_SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
_ONE = 1 << _SHIFT
_FAR = 30_000.0  # pixels; beyond this OpenCV's fixed-point arithmetic is not safe
_GOLDEN_ANGLE = 137.508  # degrees: successive tracks get hues far apart, for any number of tracks
_FIRST_HUE = 235.0  # degrees; blue stands out from skin, grass and tarmac
OUTLINE = (18, 18, 22)  # RGB; near-black, which is seen on any background
#: Width of fingers and of the lines of a face, as a share of a limb's.
_DETAIL_SHARE = 0.3
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_CAP_HEIGHT = 21.0  # pixels of a digit at font scale 1

Colour = tuple[int, int, int]

#: Ways to draw a person: limbs and joints; thin bare lines; joints alone; nothing.
STYLES = ("limbs", "lines", "dots", "none")


@dataclass(frozen=True, slots=True)
class Palette:
    """The shades of one track, RGB: `left` and `right` limbs, `centre` for head, neck, box and label."""

    left: Colour
    right: Colour
    centre: Colour

    def of_joint(self, name: str) -> Colour:
        """The shade of a joint, by the person's own left and right."""
        if name.startswith("left_"):
            return self.left
        return self.right if name.startswith("right_") else self.centre


def _oklch_to_rgb(lightness: float, chroma: float, hue: float) -> Colour:
    """OKLCH (lightness 0..1, chroma, hue in degrees) as 8-bit sRGB; chroma is lowered until the colour exists."""
    for share in np.linspace(1.0, 0.0, 21):
        a = share * chroma * math.cos(math.radians(hue))
        b = share * chroma * math.sin(math.radians(hue))
        roots = np.array(
            [
                lightness + 0.3963377774 * a + 0.2158037573 * b,
                lightness - 0.1055613458 * a - 0.0638541728 * b,
                lightness - 0.0894841775 * a - 1.2914855480 * b,
            ]
        )
        linear = _LMS_TO_RGB @ roots**3
        if linear.min() >= -1e-3 and linear.max() <= 1.0 + 1e-3:
            break
    linear = np.clip(linear, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = np.rint(encoded * 255).astype(int).tolist()
    return red, green, blue


_LMS_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@lru_cache(maxsize=1024)
def track_palette(track_id: int) -> Palette:
    """The colours of a track; depends on nothing but its id."""
    hue = (_FIRST_HUE + _GOLDEN_ANGLE * track_id) % 360.0
    return Palette(
        left=_oklch_to_rgb(0.84, 0.14, hue),
        right=_oklch_to_rgb(0.60, 0.21, hue),
        centre=_oklch_to_rgb(0.74, 0.18, hue),
    )


def draw_people(
    image: NDArray[np.uint8],
    people: Sequence[Person],
    *,
    kpt_thr: float,
    boxes: bool = True,
    ids: bool = True,
    style: str = "limbs",
) -> NDArray[np.uint8]:
    """Draw people over a copy of a frame.

    image: (H, W, 3) uint8, RGB; never written to. people: of this frame, pixel coordinates of `image`.
    kpt_thr: joints with less confidence are left out, and limbs that end in one. Absent joints (x = y = 0 with no
    confidence) and joints that are not finite are left out at any threshold. boxes, ids: draw the person's box and
    its track id. style: one of STYLES.
    Returns a new (H, W, 3) uint8 RGB array. Raises ValueError when `image` is not (H, W, 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
    canvas = np.array(image, order="C", copy=True)
    draw_on(canvas, people, kpt_thr=kpt_thr, boxes=boxes, ids=ids, style=style)
    return canvas


def draw_on(
    canvas: NDArray[np.uint8],
    people: Sequence[Person],
    *,
    kpt_thr: float,
    boxes: bool = True,
    ids: bool = True,
    style: str = "limbs",
) -> None:
    """`draw_people` on the frame itself, within `drawn_parts`."""
    if 0 in canvas.shape:
        return
    # Whoever stands lower in the picture is usually nearer, and is drawn on top.
    ordered = sorted(people, key=lambda person: (float(person.bbox[1] + person.bbox[3]), person.track_id))
    for person in ordered:
        palette = track_palette(person.track_id)
        if boxes:
            _draw_box(canvas, person.bbox, palette.centre)
        _draw_skeleton(canvas, person, palette, kpt_thr, style)
    if ids:
        for person in ordered:
            _draw_label(canvas, str(person.track_id), person.bbox, track_palette(person.track_id).centre)


def drawn_parts(shape: tuple[int, ...], people: Sequence[Person], *, kpt_thr: float) -> list[Part]:
    """The parts of a frame of this shape that `draw_on` writes on: one per person, and one per label."""
    parts: list[Part] = []
    for person in people:
        corners = _corners(person.bbox)
        points = person.keypoints[drawn_joints(person.keypoints, kpt_thr), :2].reshape(-1, 2).astype(np.float64)
        if corners is not None:
            points = np.concatenate([points, np.array(corners, np.float64).reshape(2, 2)])
            tag = _tag(shape, str(person.track_id), corners)
            parts.append((tag.left, tag.top, tag.left + tag.width, tag.top + tag.height))
        if len(points):
            # The widest of what is drawn around a joint or along a box, and the blur of its edge.
            around = math.ceil(2.5 * _limb_width(shape, person.bbox) + 2 * frame_unit(shape)) + 2
            low, high = np.floor(points.min(axis=0)) - around, np.ceil(points.max(axis=0)) + around
            parts.append((int(low[0]), int(low[1]), int(high[0]), int(high[1])))
    return parts


def frame_unit(shape: tuple[int, ...]) -> float:
    """One unit of size for a frame of this shape: 1 at 640x360, 3 at 1080p, 6 at 4K, never under 0.8."""
    return max(math.sqrt(shape[0] * shape[1]) / 480.0, 0.8)


def _limb_width(shape: tuple[int, ...], bbox: NDArray[np.float32]) -> float:
    """Pixels; the frame sets it, and small people get thinner limbs so that they are not buried."""
    unit = frame_unit(shape)
    person = float(max(bbox[2], bbox[3]))
    by_person = person / 55.0 if math.isfinite(person) else math.inf
    return max(min(3.0 * unit, by_person), 1.4 * min(unit, 1.5))


def drawn_joints(keypoints: NDArray[np.float32], kpt_thr: float) -> NDArray[np.bool_]:
    """Which of (J, 3) keypoints are drawn at a threshold: (J,) bool."""
    with np.errstate(invalid="ignore"):
        absent = (keypoints[:, 0] == 0) & (keypoints[:, 1] == 0) & (keypoints[:, 2] <= 0)
        near = np.isfinite(keypoints).all(axis=1) & (np.abs(keypoints[:, :2]) < _FAR).all(axis=1)
        shown: NDArray[np.bool_] = near & ~absent & (keypoints[:, 2] >= kpt_thr)
    return shown


def _fixed(x: float, y: float) -> tuple[int, int]:
    return round(float(x) * _ONE), round(float(y) * _ONE)


def _draw_skeleton(canvas: NDArray[np.uint8], person: Person, palette: Palette, kpt_thr: float, style: str) -> None:
    shown = drawn_joints(person.keypoints, kpt_thr) & (style != "none")
    width = _limb_width(canvas.shape, person.bbox) * (0.5 if style == "lines" else 1.0)
    details = detail_joints(person.joints)
    seen = [(a, b) for a, b in limbs(person.joints) if shown[a] and shown[b] and style != "dots"]
    edges = [(a, b) for a, b in seen if a not in details and b not in details]
    points = [_fixed(x, y) if ok else (0, 0) for (x, y, _), ok in zip(person.keypoints, shown, strict=True)]
    joints = [place for place in range(len(points)) if shown[place] and style != "lines"]
    small = [place for place in joints if place in details]
    _draw_details(canvas, points, [limb for limb in seen if limb not in edges], small, person.joints, palette, width)
    _draw_body(
        canvas, points, edges, [place for place in joints if place not in details], person.joints, palette, width
    )


def _draw_details(
    canvas: NDArray[np.uint8],
    points: Sequence[tuple[int, int]],
    lines: Sequence[tuple[int, int]],
    dots: Sequence[int],
    names: Sequence[str],
    palette: Palette,
    width: float,
) -> None:
    """Fingers and faces. width: of a limb, pixels."""
    thin = _DETAIL_SHARE * width
    for start, end in lines:
        _draw_limb(canvas, points[start], points[end], thin, palette.of_joint(names[end]))
    for place in dots:
        _draw_disc(canvas, points[place], thin, palette.of_joint(names[place]))


def _draw_body(
    canvas: NDArray[np.uint8],
    points: Sequence[tuple[int, int]],
    edges: Sequence[tuple[int, int]],
    joints: Sequence[int],
    names: Sequence[str],
    palette: Palette,
    width: float,
) -> None:
    border, radius = max(width * 0.4, 0.8), width * 0.95
    # All outlines first: one person reads as one figure, without dark seams where limbs meet.
    for start, end in edges:
        _draw_limb(canvas, points[start], points[end], width + 2 * border, OUTLINE)
    for slot in joints:
        _draw_disc(canvas, points[slot], radius + border, OUTLINE)
    for start, end in edges:
        _draw_limb(canvas, points[start], points[end], width, palette.of_joint(names[end]))
    for slot in joints:
        _draw_disc(canvas, points[slot], radius, palette.of_joint(names[slot]))
        _draw_disc(canvas, points[slot], radius * 0.45, (255, 255, 255))


def _draw_limb(
    canvas: NDArray[np.uint8], start: tuple[int, int], end: tuple[int, int], width: float, colour: Colour
) -> None:
    cv2.line(canvas, start, end, colour, max(round(width), 1), cv2.LINE_AA, _SHIFT)


def _draw_disc(canvas: NDArray[np.uint8], centre: tuple[int, int], radius: float, colour: Colour) -> None:
    cv2.circle(canvas, centre, max(round(radius * _ONE), _ONE // 2), colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _corners(bbox: NDArray[np.float32]) -> tuple[float, float, float, float] | None:
    """x0, y0, x1, y1 of an xywh box, or None for one that cannot be drawn."""
    x, y, width, height = (float(value) for value in bbox)
    corners = (x, y, x + width, y + height)
    if not all(math.isfinite(value) and abs(value) < _FAR for value in corners) or width <= 0 or height <= 0:
        return None
    return corners


def _draw_box(canvas: NDArray[np.uint8], bbox: NDArray[np.float32], colour: Colour) -> None:
    corners = _corners(bbox)
    if corners is None:
        return
    unit = frame_unit(canvas.shape)
    width = max(round(0.9 * unit), 1)
    first, last = _fixed(corners[0], corners[1]), _fixed(corners[2], corners[3])
    if unit > 1.8:  # a dark edge on a one-pixel line would be louder than the person
        cv2.rectangle(canvas, first, last, OUTLINE, width + 2 * max(round(0.3 * unit), 1), cv2.LINE_AA, _SHIFT)
    cv2.rectangle(canvas, first, last, colour, width, cv2.LINE_AA, _SHIFT)


def _draw_label(canvas: NDArray[np.uint8], text: str, bbox: NDArray[np.float32], colour: Colour) -> None:
    """The track id on a tag at the box's upper left corner, moved inside the frame."""
    corners = _corners(bbox)
    if corners is None:
        return
    tag = _tag(canvas.shape, text, corners)
    right, bottom = tag.left + tag.width - 1, tag.top + tag.height - 1
    cv2.rectangle(canvas, (tag.left, tag.top), (right, bottom), OUTLINE, cv2.FILLED)
    edge = max(round(0.5 * frame_unit(canvas.shape)), 1)
    cv2.rectangle(canvas, (tag.left + edge, tag.top + edge), (right - edge, bottom - edge), colour, cv2.FILLED)
    start = tag.left + tag.pad, tag.top + tag.height - tag.pad
    cv2.putText(canvas, text, start, _FONT, tag.scale, OUTLINE, tag.stroke, cv2.LINE_AA)


class _Tag(NamedTuple):
    """Where a label lies, and how large its text is. All but `scale`, that of the font, in pixels."""

    left: int
    top: int
    width: int
    height: int
    pad: int
    stroke: int
    scale: float


def _tag(shape: tuple[int, ...], text: str, corners: tuple[float, float, float, float]) -> _Tag:
    unit = frame_unit(shape)
    scale = max(5.5 * unit + 3.0, 8.0) / _FONT_CAP_HEIGHT
    stroke = max(round(1.1 * unit), 1)
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, stroke)
    pad = max(round(3.0 * unit), 2)
    width, height = text_width + 2 * pad, text_height + 2 * pad
    left = min(max(round(corners[0]), 0), max(shape[1] - width, 0))
    top = min(max(round(corners[1]) - height, 0), max(shape[0] - height, 0))
    return _Tag(left, top, width, height, pad, stroke, scale)
