"""BVH (Biovision hierarchy) of the skeleton in the plane of the picture, one file per person, for animation programs.

The root `Hips` lies between the hips and moves in X and Y; every bone turns about Z. Bones have one length, the
median over the track, so that a limb that points at the camera keeps its length. Y points up; lengths are in metres
with a scale (space.py), else in pixels. Where a joint was not found its bone goes on from the turn before to the one
after, and at the ends of a track it stays as it is next to it: BVH knows no missing joints. Of models that know
no neck the middle of the shoulders stands for it, and the nose for the crown. Feet have bones where the model knows
them; ears, eyes, fingers and the face have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..results.reader import PoseTrackResult
from ..results.serialization import written
from .format import Format, Options, Track
from .trc import Markers, require_each_free, write_each


@dataclass(frozen=True, slots=True)
class Bone:
    """start, end: joints, "hips" for the middle of both. parent: the bone at whose end it begins; "" for the root.

    rest: direction in the rest pose, X to the right, Y up.
    """

    name: str
    parent: str
    start: str
    end: str
    rest: tuple[float, float]


def _limbs(side: str, right: float) -> tuple[Bone, ...]:
    """Of a person who faces the camera: their left is on the right of the picture."""
    s = side.lower()
    return (
        Bone(f"{side}Shoulder", "Spine", "head_bottom", f"{s}_shoulder", (right, 0)),
        Bone(f"{side}Arm", f"{side}Shoulder", f"{s}_shoulder", f"{s}_elbow", (right, 0)),
        Bone(f"{side}ForeArm", f"{side}Arm", f"{s}_elbow", f"{s}_wrist", (right, 0)),
        Bone(f"{side}Hip", "", "hips", f"{s}_hip", (right, 0)),
        Bone(f"{side}UpLeg", f"{side}Hip", f"{s}_hip", f"{s}_knee", (0, -1)),
        Bone(f"{side}Leg", f"{side}UpLeg", f"{s}_knee", f"{s}_ankle", (0, -1)),
    )


#: Bones of the 17 slots, parents first.
BONES: Final[tuple[Bone, ...]] = (
    Bone("Spine", "", "hips", "head_bottom", (0, 1)),
    Bone("Head", "Spine", "head_bottom", "head_top", (0, 1)),
    *_limbs("Left", 1),
    *_limbs("Right", -1),
)


def bones_of(joints: Sequence[str]) -> tuple[Bone, ...]:
    """The bones of people with these joints."""
    feet = [
        Bone(f"{side}Foot", f"{side}Leg", f"{side.lower()}_ankle", f"{side.lower()}_big_toe", (right, 0))
        for side, right in (("Left", 1), ("Right", -1))
        if f"{side.lower()}_big_toe" in joints
    ]
    return (*BONES, *feet)


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """bones: parents first. root: (F, 2) places of the hips. turns: bone -> (F,) degrees from its rest direction, in
    the picture's plane, anticlockwise. lengths: bone -> its length."""

    bones: tuple[Bone, ...]
    root: NDArray[np.float64]
    turns: dict[str, NDArray[np.float64]]
    lengths: dict[str, float]


def motion_of(markers: Markers, track: Track) -> Motion:
    """The motion of one track from its first to its last frame. Raises OutputError when the hips are never found."""
    first, last = min(track), max(track)
    places = np.full((last - first + 1, len(markers.joints), 2), np.nan)
    for position, person in track.items():
        for slot, joint in enumerate(written(person).joints):
            if joint is not None:
                places[position - first, slot] = markers.space.place(np.array(joint[:2], np.float64))
    if markers.space.metres is None:
        places[..., 1] *= -1
    at = {name: places[:, slot] for slot, name in enumerate(markers.joints)}
    at["hips"] = (at["left_hip"] + at["right_hip"]) / 2
    if np.isnan(at["hips"][:, 0]).all():
        raise OutputError("the hips are never found: there is no root for a skeleton", hint="use the format csv")
    for missing, instead in (
        ("head_bottom", (at["left_shoulder"] + at["right_shoulder"]) / 2),
        ("head_top", at["nose"]),
    ):
        if np.isnan(at[missing]).all():
            at[missing] = instead
    bones, turns, lengths = bones_of(markers.joints), {}, {}
    for bone in bones:
        vector = at[bone.end] - at[bone.start]
        length = np.hypot(*vector.T)
        lengths[bone.name] = float(np.nanmedian(length)) if not np.isnan(length).all() else 0.0
        angle = np.arctan2(vector[:, 1], vector[:, 0]) - np.arctan2(bone.rest[1], bone.rest[0])
        turns[bone.name] = np.degrees(_filled(angle, turning=True))
    root = np.stack([_filled(at["hips"][:, axis]) for axis in (0, 1)], axis=1)
    return Motion(bones, root, turns, lengths)


def _filled(values: NDArray[np.float64], *, turning: bool = False) -> NDArray[np.float64]:
    """Values without NaN, on straight lines between those that are there; turning: radians, by the shorter way."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.zeros_like(values)
    there = np.unwrap(values[known]) if turning else values[known]
    return np.interp(np.arange(len(values)), known, there)


def write_bvh(markers: Markers, track: Track, path: Path) -> None:
    """Write one track to `path`."""
    motion = motion_of(markers, track)
    with path.open("w", encoding="ascii", newline="\n") as out:
        out.write("HIERARCHY\nROOT Hips\n{\n  OFFSET 0 0 0\n")
        out.write("  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n")
        for bone in motion.bones:
            if not bone.parent:
                _write_bone(out, bone, motion, (0.0, 0.0), "  ")
        out.write(f"}}\nMOTION\nFrames: {len(motion.root)}\nFrame Time: {1 / markers.rate:.8f}\n")
        order = list(_in_order(motion.bones))
        for frame, (x, y) in enumerate(motion.root.tolist()):
            cells = [f"{x:.5f} {y:.5f} 0 0 0 0"]
            for bone in order:
                above = float(motion.turns[bone.parent][frame]) if bone.parent else 0.0
                turn = (float(motion.turns[bone.name][frame]) - above + 180) % 360 - 180
                cells.append(f"{turn:.5f} 0 0")
            out.write(" ".join(cells) + "\n")


def _write_bone(out: TextIO, bone: Bone, motion: Motion, offset: tuple[float, float], indent: str) -> None:
    inner, length = indent + "  ", motion.lengths[bone.name]
    end = (bone.rest[0] * length, bone.rest[1] * length)
    out.write(f"{indent}JOINT {bone.name}\n{indent}{{\n{inner}OFFSET {offset[0]:.5f} {offset[1]:.5f} 0\n")
    out.write(f"{inner}CHANNELS 3 Zrotation Xrotation Yrotation\n")
    children = [other for other in motion.bones if other.parent == bone.name]
    for child in children:
        _write_bone(out, child, motion, end, inner)
    if not children:
        out.write(f"{inner}End Site\n{inner}{{\n{inner}  OFFSET {end[0]:.5f} {end[1]:.5f} 0\n{inner}}}\n")
    out.write(f"{indent}}}\n")


def _in_order(bones: Sequence[Bone], parent: str = "") -> Iterator[Bone]:
    """Bones in the order in which the file has their channels: depth first."""
    for bone in bones:
        if bone.parent == parent:
            yield bone
            yield from _in_order(bones, bone.name)


def _write(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    return write_each(result, out, options, lambda markers, track, _: lambda path: write_bvh(markers, track, path))


FORMAT = Format(
    "BVH of the planar skeleton, one file per person", ".bvh", _write, require_each_free, measures=True, fixed_rate=True
)
