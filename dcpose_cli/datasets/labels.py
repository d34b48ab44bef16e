"""What all readers give: videos of frames of people. A picture on its own is a video of one frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._reading import read_file
from .._text import reason_of
from ..errors import InputError
from ..skeleton import JOINT_NAMES, NUM_JOINTS, standard_name
from ..skeleton.sets import MOST_JOINTS

#: Where no box was drawn, it is the extent of the joints with so much added on each side, in shares of the extent.
BOX_BORDER: Final = 0.15
#: COCO's 17 keypoints; from the shoulders on they stand where PoseTrack's stand.
COCO_NAMES: Final = ("nose", "left_eye", "right_eye", *JOINT_NAMES[3:])

#: Joints that labels of whole people have.
_LIMBS: Final = frozenset(JOINT_NAMES[5:])
_LARGEST: Final = 1e7
#: Longest name of a keypoint, characters.
_MOST_NAME: Final = 1_000
#: Longest id of a picture, characters.
_MOST_ID: Final = 1_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPerson:
    """joints: (17, 3) float32: x, y in pixels, and 1 where labelled, else 0. box: (4,) float32 xywh in pixels.

    further: x, y of labelled joints that have no slot, by name; only of labels that are evaluated.
    """

    joints: NDArray[np.float32]
    box: NDArray[np.float32]
    track_id: int | None = None
    further: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFrame:
    """picture: its file. name: as the labels call it. people: nobody where the frame is not labelled."""

    picture: Path
    name: str
    people: tuple[LabelledPerson, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class LabelledVideo:
    """frames: all there are, in the order of time, labelled or not."""

    name: str
    frames: tuple[LabelledFrame, ...]


def parse(path: Path, what: str, build: Callable[[Any], T]) -> T:
    """`build` of a JSON file's content. Raises InputError, which names the file and says it is not `what`."""
    try:
        return build(json.loads(read_file(path)))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path, hint="check the file") from error
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        reason = reason_of(error)
        raise InputError(f"not {what} ({reason})", path=path, hint="check [data] in the recipe") from error


def picture_id(value: Any) -> str:
    """The id of a picture as text: some tools write numbers, some names, and some both. Raises ValueError."""
    if not isinstance(value, int | str) or isinstance(value, bool) or len(text := str(value)) > _MOST_ID:
        raise ValueError(f"{value!r:.40} is no id of a picture")
    return text


def listed_picture(entry: Mapping[str, Any], pictures: Mapping[str, T]) -> T:
    """What `pictures` has, by their ids, for the picture of an annotation. Raises ValueError where it has none."""
    name = picture_id(entry["image_id"])
    if name not in pictures:
        raise ValueError(f"an annotation is of image {name:.40}, which is not in its list of images")
    return pictures[name]


def slots_of(names: Sequence[str], *, both_sides: bool = True) -> list[int | None]:
    """The PoseTrack slot of every named keypoint, in any common spelling; None for those we have no slot for.

    both_sides: joints of one side alone are refused: labels of whole people have both.
    Raises ValueError for more names than any joint set has, and where no keypoint is known, one is named twice, one
    side of a pair is missing, or names are not understood while limbs are missing.
    """
    require_joints(names)
    known = [standard_name(name) for name in names]
    found = [name for name in known if name is not None]
    slots = [JOINT_NAMES.index(name) if name in JOINT_NAMES else None for name in known]
    strange = [str(name) for name, meant in zip(names, known, strict=True) if meant is None]
    wanted = f"known are {', '.join(n for n in JOINT_NAMES)}"
    if all(slot is None for slot in slots):
        raise ValueError(f"none of its keypoints is known ({_some(names)}); {wanted}")
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise ValueError(f"its keypoints name {_some(twice)} more than once")
    if strange and _LIMBS - set(found):
        left = f"{len(set(found))} of {len(names)} remain"
        raise ValueError(f"these names of keypoints are not understood: {_some(strange)}; {left}; {wanted}")
    alone = [name for name in found if name in JOINT_NAMES and other_side(name) not in found]
    if alone and both_sides:
        raise ValueError(f"its keypoints name {_some(alone)} without the other side")
    return slots


def require_joints(names: Sequence[str]) -> None:
    """Raises ValueError for more keypoints than any joint set has, and for names that nobody gives."""
    if len(names) > MOST_JOINTS:
        raise ValueError(f"it has {len(names):,} keypoints, {MOST_JOINTS:,} are the most")
    longest = max(map(len, names), default=0)
    if longest > _MOST_NAME:
        raise ValueError(f"a keypoint has a name of {longest:,} characters, {_MOST_NAME:,} are the most")


def other_side(name: str) -> str:
    """The joint of the other side; the same one where it has none."""
    first, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(first, name)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(f"{name:.40}" for name in names[:8]) + more


def joints_from(keypoints: Sequence[float], slots: Sequence[int | None]) -> NDArray[np.float32]:
    """(17, 3) joints out of triples x, y, visibility; hidden but labelled joints count as labelled."""
    triples = np.asarray(keypoints, np.float64).reshape(len(slots), 3)
    require_pixels(triples)
    out = np.zeros((NUM_JOINTS, 3), np.float32)
    for slot, (x, y, v) in zip(slots, triples, strict=True):
        if slot is not None and v > 0:
            out[slot] = x, y, 1
    return out


def require_pixels(values: NDArray[np.floating]) -> None:
    """Raises ValueError for numbers that are no places in a picture: not finite, or far from every pixel."""
    if not (np.abs(values) < _LARGEST).all():
        raise ValueError("a keypoint or bbox is out of range")


def clip_box(box: Sequence[float], size: tuple[int, int] | None) -> NDArray[np.float32] | None:
    """The part of an xywh box inside a picture of (width, height), as the published lists are read (SPEC 7.2): corners
    at most at the last pixel, sides a pixel shorter. None where nothing is left; as it is where the size is unknown."""
    x, y, w, h = (float(value) for value in box)
    require_pixels(np.array([x, y, w, h]))
    if size is None:
        return np.array([x, y, w, h], np.float32) if w > 0 and h > 0 else None
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(size[0] - 1.0, left + max(0.0, w - 1)), min(size[1] - 1.0, top + max(0.0, h - 1))
    if right <= left or bottom <= top:
        return None
    return np.array([left, top, right - left, bottom - top], np.float32)


def box_of_joints(joints: NDArray[np.float32]) -> list[float]:
    """The box around the labelled joints, with a border; empty where fewer than two are labelled."""
    seen = joints[joints[:, 2] > 0, :2]
    if len(seen) < 2:
        return [0.0, 0.0, 0.0, 0.0]
    low, high = seen.min(axis=0), seen.max(axis=0)
    border = BOX_BORDER * (high - low)
    x, y = (low - border).tolist()
    w, h = (high - low + 2 * border).tolist()
    return [x, y, w, h]


def picture_of(images: Path, name: str) -> Path:
    """Where a picture is that the labels call `name`: under `images`, or beside it, as names often begin with it."""
    inside = images / name
    beside = images.parent / name
    return beside if not inside.is_file() and beside.is_file() else inside
