"""Places of joints in pixels or in metres, with Y up and the floor level, for formats of biomechanics.

Without a scale: pixels, X to the right and Y down, X in pixel heights where pixels are not square. With a scale:
metres, X to the right and Y up. The scale is that of a pixel's height, given as such or found from the height of the
one person:

    pixels of the person = (head_top..neck + neck..hips + thigh + shank) / (1 - 0.039)

head_top and neck (head_bottom), the middle of the hips, knee and ankle; thigh and shank are the mean of both sides.
The sum is taken in every frame that has all of them at a confidence of at least 0.3, and its 90th percentile counts:
limbs that point at the camera look shorter, never longer. 0.039 of the height lies below the ankles (Winter,
Biomechanics and Motor Control of Human Movement, 4th ed., table 4.1). Joints that move towards or away from the
camera have another scale.

The floor is level in the result where `floor_angle` says how it lies in the picture: degrees by which it rises to the
right, or "auto", found from the ankles where they stand still. Y is then 0 at the height of the standing ankles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..config import Measures
from ..errors import UsageError
from ..results.measures import pixel_aspect
from ..results.reader import PoseTrackResult
from ..results.selected import picture_size
from ..skeleton import JOINT_NAMES
from .format import Options, tracks_of

#: Share of a person's height below the ankles.
BELOW_ANKLE: Final = 0.039
_LEAST_SCORE: Final = 0.3
_LENGTH_PERCENTILE: Final = 90
#: An ankle stands still below so many person heights per second.
_STANDING_SPEED: Final = 0.15
#: Standing ankles must lie so far apart, in person heights, that a floor can be laid through them.
_LEAST_SPREAD: Final = 0.4
AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class Space:
    """From pixels to places. aspect: width of a pixel over its height. metres: per pixel height; None: pixels stay.

    height: of the picture. angle: of the floor, radians, rising to the right. floor: a place (x, y) on it, in pixel
    heights with y up; None: Y is 0 at the lower edge of the picture.
    """

    aspect: float = 1.0
    metres: float | None = None
    height: float = 0.0
    angle: float = 0.0
    floor: tuple[float, float] | None = None

    @property
    def unit(self) -> str:
        """Its name."""
        return "px" if self.metres is None else "m"

    def place(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) pixels -> (..., 2) places."""
        x, y = xy[..., 0] * self.aspect, xy[..., 1]
        if self.metres is None:
            return np.stack([x, y], axis=-1)
        # The bottom edge of the last row of pixels lies half a pixel below its centre.
        up = self.height - 0.5 - y
        if self.floor is not None:
            along, above = x - self.floor[0], up - self.floor[1]
            cosine, sine = math.cos(self.angle), math.sin(self.angle)
            x, up = self.floor[0] + cosine * along + sine * above, cosine * above - sine * along
        return np.stack([x, up], axis=-1) * self.metres


def require_scale(asked: Options | Measures) -> None:
    """Raises UsageError for a scale or a floor that cannot be meant, whatever the result."""
    metres, person = asked.metres_per_pixel, asked.person_height
    if metres is not None and person is not None:
        raise UsageError("--metres-per-pixel and --person-height exclude each other", hint="give one of them")
    if metres is not None and not 0 < metres < 1e6:
        raise UsageError(f"metres per pixel must be positive, got {metres}")
    if person is not None and not 0.2 <= person <= 3:
        raise UsageError(f"--person-height is in metres, 0.2 to 3, got {person}")
    if asked.floor_angle is None:
        return
    if metres is None and person is None:
        raise UsageError("a floor needs metres", hint="give --person-height or --metres-per-pixel")
    try:
        degrees = 0.0 if asked.floor_angle == AUTO else float(asked.floor_angle)
    except ValueError:
        degrees = math.nan
    if not abs(degrees) <= 45:
        raise UsageError(f"--floor-angle is auto, or degrees from -45 to 45, got {asked.floor_angle:.40}")


def space_of(result: PoseTrackResult, options: Options) -> Space:
    """The space that options ask for. Raises UsageError for what cannot be, or cannot be found from the result."""
    aspect = pixel_aspect(result.header)
    require_scale(options)
    if options.metres_per_pixel is None and options.person_height is None:
        return Space(aspect)
    size = picture_size(result.header)
    if size is None:
        raise UsageError("the result does not say how high its picture is", hint="leave the scale out")
    metres = options.metres_per_pixel
    if metres is None:
        metres = _metres_per_pixel(result, float(options.person_height or 0), aspect)
    if options.floor_angle is None:
        return Space(aspect, metres, float(size[1]))
    angle, floor = _floor(result, options.floor_angle, aspect, float(size[1]))
    return Space(aspect, metres, float(size[1]), angle, floor)


def pixel_height(result: PoseTrackResult, aspect: float = 1.0) -> float:
    """Height of the one person in pixel heights; see above. Raises UsageError."""
    tracks = tracks_of(result)
    if len(tracks) != 1:
        raise UsageError(
            f"--person-height is for one person, the result has {len(tracks)} tracks",
            hint="choose by --track or --largest",
        )
    points = np.stack([p.keypoints for p in next(iter(tracks.values())).values()]).astype(np.float64)
    lengths = _lengths(points * (aspect, 1, 1))
    if not len(lengths):
        raise UsageError(
            "the person is never seen from head to ankle: no height can be found", hint="use --metres-per-pixel"
        )
    return float(np.percentile(lengths, _LENGTH_PERCENTILE)) / (1 - BELOW_ANKLE)


def _lengths(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the lengths from head to ankle in the frames (M, 17, 3) that have all joints."""
    at = {name: points[:, JOINT_NAMES.index(name)] for name in JOINT_NAMES}
    sides = ("left", "right")
    needed = ["head_top", "head_bottom", *(f"{side}_{joint}" for side in sides for joint in ("hip", "knee", "ankle"))]
    sure = np.logical_and.reduce([at[name][:, 2] >= _LEAST_SCORE for name in needed])

    def apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.hypot(*(a - b)[:, :2].T), np.float64)

    hips = (at["left_hip"] + at["right_hip"]) / 2
    legs = [apart(at[f"{s}_hip"], at[f"{s}_knee"]) + apart(at[f"{s}_knee"], at[f"{s}_ankle"]) for s in sides]
    total = apart(at["head_top"], at["head_bottom"]) + apart(at["head_bottom"], hips) + (legs[0] + legs[1]) / 2
    return np.asarray(total[sure], np.float64)


def _metres_per_pixel(result: PoseTrackResult, metres: float, aspect: float) -> float:
    return metres / pixel_height(result, aspect)


def _floor(result: PoseTrackResult, wanted: str, aspect: float, height: float) -> tuple[float, tuple[float, float]]:
    """Angle in radians, and a place on the floor."""
    size = _body_size(result)
    standing = _standing_ankles(result, aspect, height, size)
    if wanted != AUTO:
        angle = math.radians(float(wanted))
        # Of standing ankles, half lie above the floor's line and half below; without any, the picture's edge counts.
        above = standing @ (-math.sin(angle), math.cos(angle)) if len(standing) else np.zeros(1)
        middle = float(np.median(above))
        return angle, (-math.sin(angle) * middle, math.cos(angle) * middle)
    if len(standing) < 10 or np.ptp(standing[:, 0]) < _LEAST_SPREAD * size:
        raise UsageError(
            "no floor can be found: the feet never stand at places far enough apart",
            hint="give --floor-angle in degrees",
        )
    slope = _theil_sen(standing)
    middle = float(np.median(standing[:, 1] - slope * standing[:, 0]))
    return math.atan(slope), (0.0, middle)


def _theil_sen(points: NDArray[np.float64]) -> float:
    """Median slope of lines through pairs of points (K, 2) that lie apart: outliers do not count."""
    some = points[:: max(1, len(points) // 400)]
    dx, dy = (some[:, None, axis] - some[None, :, axis] for axis in (0, 1))
    far = np.abs(dx) > 0.25 * np.ptp(points[:, 0])
    return float(np.median(dy[far] / dx[far]))


def _body_size(result: PoseTrackResult) -> float:
    heights = [max(float(p.bbox[2]), float(p.bbox[3])) for frame in result.frames for p in frame.people]
    return float(np.median(heights)) if heights else 1.0


def _standing_ankles(result: PoseTrackResult, aspect: float, height: float, size: float) -> NDArray[np.float64]:
    """(K, 2) places of ankles that stand still, in pixel heights with y up."""
    found = []
    slots = [JOINT_NAMES.index(name) for name in ("left_ankle", "right_ankle")]
    for track in tracks_of(result).values():
        positions = sorted(track)
        for before, now in pairwise(positions):
            seconds = result.frames[now].time - result.frames[before].time
            for slot in slots:
                a, b = track[before].keypoints[slot], track[now].keypoints[slot]
                if seconds <= 0 or min(a[2], b[2]) < _LEAST_SCORE:
                    continue
                if float(np.hypot((b[0] - a[0]) * aspect, b[1] - a[1])) / seconds < _STANDING_SPEED * size:
                    found.append((float(b[0]) * aspect, height - 0.5 - float(b[1])))
    return np.array(found, np.float64).reshape(-1, 2)
