"""Which data a pose network is trained on, and how its crops vary: the tables [data] and [augment] of a recipe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..engine.config import need

#: Formats of labels, see DataConfig.
FORMATS = ("pack", "coco", "label-studio", "posetrack18", "posetrack17", "posetrack-lists")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatConfig:
    """How many times an epoch shows each person of a source."""

    source: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOutConfig:
    """The share of a source's people, in 0..1, that training only validates on: a hash of their picture decides."""

    source: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureConfig:
    """A group of validation people with joints placed by people, measured apart: those of the sources."""

    name: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which data is used, and what part of it. All paths are relative to --data.

    format: "pack" (our training pack), "coco" (COCO keypoints), "label-studio" (its export "JSON"), "posetrack18"
    (native JSON, also of PoseTrack21), "posetrack17" (annolist JSON), "posetrack-lists" (COCO-style lists of PoseTrack
    frames, SPEC 7.2).
    stills, triplets: parts of the pack. exclude: its sources never trained on. label_scores: whether joints of
    labelling networks weigh as much as their score instead of one of two levels.
    train, val: of the other formats, a JSON file, or a folder of one per video. images: folder of the pictures.
    distance: a neighbour lies 1 to distance - 1 frames away (SPEC 6.4); random_neighbours: a random one of them,
    otherwise the farthest. hold_out_clips: share of the clips, chosen by a hash of their names, that is never trained
    on. validate: people to validate on besides those the data set itself keeps for it; people of one photograph stay
    together. measure: groups of validation people whose human labels are measured apart, as columns of validation.csv.
    human_repeat: how often an epoch shows a person whose joints people labelled, when networks labelled others;
    repeat: the same by source, which goes first.
    memory_gib: decoded pictures are kept up to this much, and decoded when needed beyond it.
    """

    format: str = "pack"
    stills: tuple[str, ...] = ()
    triplets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    label_scores: bool = False
    train: str = ""
    val: str = ""
    images: str = ""
    distance: int = 2
    random_neighbours: bool = True
    hold_out_clips: float = 0.0
    validate: tuple[HoldOutConfig, ...] = ()
    measure: tuple[MeasureConfig, ...] = ()
    human_repeat: int = 1
    repeat: tuple[RepeatConfig, ...] = ()
    memory_gib: float = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How training crops vary (SPEC 8.4 and additions; probabilities in 0..1, angles in degrees).

    enlarge: box factor. scale: spread of the size. rotation: spread of the angle, at most rotation_limit
    times it, rotation_prob its chance.
    shift: spread of the box centre, in box sides. half_body_prob, flip_prob, color: chances and strength.
    cut_prob: chance that the edge of the frame cuts the person, as of people close to the camera: what lies beyond it
    is not seen, and the box ends there.
    damage: chance that a still, or the current frame of a window, is blurred, covered or coarsened; neighbours are
    damaged with neighbour_damage. still_motion: how far stills are moved to make windows of them, 1 for a drift of
    about 2.5 % of the crop's height between frames.
    """

    enlarge: float = 1.25
    scale: float = 0.3
    rotation: float = 40.0
    rotation_limit: float = 2.2
    rotation_prob: float = 0.6
    turn_prob: float = 0.05
    shift: float = 0.04
    half_body_prob: float = 0.2
    cut_prob: float = 0.0
    flip_prob: float = 0.5
    color: float = 0.25
    damage: float = 0.3
    neighbour_damage: float = 0.1
    still_motion: float = 1.0


#: Of what is no chance; crops beyond them show nothing of a person.
_RANGES: Final = {
    "enlarge": (0.1, 10.0),
    "scale": (0.0, 0.95),
    "rotation": (0.0, 360.0),
    "rotation_limit": (0.0, 10.0),
    "shift": (0.0, 10.0),
    "color": (0.0, 10.0),
    "still_motion": (0.0, 100.0),
}
_MOST_REPEATS: Final = 1000
_MOST_DISTANCE: Final = 10_000


def check_augment(key: str, augment: AugmentConfig) -> None:
    """ValueError names the first value out of range in the table `key`."""
    for name in (
        "rotation_prob", "turn_prob", "half_body_prob", "cut_prob", "flip_prob", "damage", "neighbour_damage",
    ):  # fmt: skip
        need(0 <= getattr(augment, name) <= 1, f"{key}.{name} must be in 0..1")
    need(augment.still_motion >= 0, f"{key}.still_motion must not be negative")
    for name, (least, most) in _RANGES.items():
        need(least <= getattr(augment, name) <= most, f"{key}.{name} must be in {least:g}..{most:g}")


def check_data(data: DataConfig) -> None:
    """ValueError names the first value of [data] that is out of range."""
    need(data.format in FORMATS, f"data.format must be one of {', '.join(FORMATS)}")
    if data.format == "pack":
        need(bool(data.stills or data.triplets), "missing key data.stills or data.triplets")
    else:
        need(bool(data.train), f"missing key data.train, which {data.format} needs")
        need(not data.validate, "data.validate is of the format pack alone; give data.val")
    need(data.distance >= 2, "data.distance must be at least 2: it is exclusive")
    need(data.distance <= _MOST_DISTANCE, f"data.distance must be at most {_MOST_DISTANCE}")
    need(0 <= data.hold_out_clips < 1, "data.hold_out_clips must be in 0..1, without 1")
    need(data.human_repeat >= 1, "data.human_repeat must be at least 1")
    need(all(one.times >= 1 for one in data.repeat), "data.repeat: times must be at least 1")
    repeats = (data.human_repeat, *(one.times for one in data.repeat))
    need(max(repeats) <= _MOST_REPEATS, f"data.human_repeat and data.repeat: at most {_MOST_REPEATS} times")
    need(all(0 <= one.share <= 1 for one in data.validate), "data.validate: share must be in 0..1")
    for key, names in (
        ("repeat names a source", [one.source for one in data.repeat]),
        ("validate names a source", [one.source for one in data.validate]),
        ("measure has a name", [one.name for one in data.measure]),
    ):
        need(len(set(names)) == len(names), f"data.{key} twice")
    need(all(re.fullmatch(r"[a-z0-9_]+", one.name) for one in data.measure), "data.measure: name must be like_this")
    need(0 <= data.memory_gib <= 2**20, "data.memory_gib must be in 0..1048576")
