"""Joint sets: what the channels of a model mean. This is the one table; a new set is one line in JOINT_SETS.

Arrays and results begin with the 17 PoseTrack slots. The joints of a set that have no slot follow in the order of its
channels; slots that a set lacks are absent joints. Everything else hangs on the names: limbs, left and right, standard
deviations, and which joints are details.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from . import EAR_SLOTS, EDGES, EXTRA_JOINTS, JOINT_NAMES, NUM_JOINTS, OKS_SIGMAS, standard_name

#: COCO's 17 keypoints; from the ears on it is the order of the slots.
COCO_NAMES: Final[tuple[str, ...]] = ("nose", *EXTRA_JOINTS, *JOINT_NAMES[3:])
#: The parts of a foot, as COCO-WholeBody orders them.
FOOT: Final = ("big_toe", "small_toe", "heel")
_FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")
#: The 68 points of iBUG: jaw from the person's right ear, brows, nose, eyes, lips.
FACE: Final[tuple[str, ...]] = tuple(f"face_{number}" for number in range(68))
#: 21 points of each hand, the root first, every finger from its root to its tip.
HANDS: Final[dict[str, tuple[str, ...]]] = {
    side: (f"{side}_hand_root", *(f"{side}_{finger}_{k}" for finger in _FINGERS for k in (1, 2, 3, 4)))
    for side in ("left", "right")
}
#: Halpe's body: its head and neck are PoseTrack's head_top and head_bottom (the picture in its documentation).
_HALPE: Final = (*COCO_NAMES, "head_top", "head_bottom", "hip", *(f"{side}_{p}" for p in FOOT for side in HANDS))
#: The feet of COCO-WholeBody.
FEET: Final[tuple[str, ...]] = tuple(f"{side}_{part}" for side in HANDS for part in FOOT)
_WHOLE: Final = (*COCO_NAMES, *FEET)
#: COCO-WholeBody's lists beside `keypoints`, in labels and results.
WHOLEBODY_LISTS: Final[dict[str, tuple[str, ...]]] = {
    "foot_kpts": FEET,
    "face_kpts": FACE,
    "lefthand_kpts": HANDS["left"],
    "righthand_kpts": HANDS["right"],
}
_DETAILS: Final = (*FACE, *HANDS["left"], *HANDS["right"])

_COCO_SIGMAS: Final = (0.026, 0.025, 0.025, *OKS_SIGMAS[3:])
#: COCO-WholeBody's, from its evaluation: feet, face, hand.
_FOOT_SIGMAS: Final = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
_FACE_SIGMAS: Final = (
    *(0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041),
    *(0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012),
    *(0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034),
    *(0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008),
    *(0.008, 0.008, 0.010, 0.008),
)
_HAND_SIGMAS: Final = (
    *(0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021),
    *(0.032, 0.020, 0.019, 0.022, 0.031),
)
#: Halpe's, from its evaluation: head, neck and hip, then the feet; face and hands have one value.
_HALPE_SIGMAS: Final = (*_COCO_SIGMAS, *[0.08] * 3, *[0.089] * 6)

_POSETRACK_META: Final = r"(?i:PoseTrack(?:18)?\w*Dataset|dataset_name['\"]?\s*[=:]\s*['\"]posetrack)"
_COCO_META: Final = r"\b(?:TopDown|BottomUp)?Coco(?:Dataset)\b|dataset_name['\"]?\s*[=:]\s*['\"]coco['\"]"


@dataclass(frozen=True, slots=True)
class JointSet:
    """A joint set. name: of the option `--joints`. about: one line. channels: names, in the order of the outputs.

    sigmas: standard deviations of OKS, one per channel. predicts: channels that are annotated; () for all. meta: what
    the configuration in a checkpoint says of models with this set, a pattern; word: what their file names hold. Both
    matter only between sets of equal size.
    """

    name: str
    about: str
    channels: tuple[str, ...]
    sigmas: tuple[float, ...]
    predicts: tuple[int, ...] = ()
    meta: str = ""
    word: str = ""

    @property
    def predicted(self) -> tuple[int, ...]:
        """The channels that are annotated."""
        return self.predicts or tuple(range(len(self.channels)))


_LABELLED: Final = tuple(slot for slot in range(NUM_JOINTS) if slot not in EAR_SLOTS)
_WHOLE_SIGMAS: Final = (*_COCO_SIGMAS, *_FOOT_SIGMAS, *_FACE_SIGMAS, *_HAND_SIGMAS, *_HAND_SIGMAS)
#: Every joint set by its name. PoseTrack before COCO: configurations of PoseTrack models name their COCO model, too.
JOINT_SETS: Final[dict[str, JointSet]] = {
    joint_set.name: joint_set
    for joint_set in (
        JointSet("posetrack", "PoseTrack", JOINT_NAMES, OKS_SIGMAS, _LABELLED, _POSETRACK_META, "posetrack"),
        JointSet("coco", "COCO", COCO_NAMES, _COCO_SIGMAS, (), _COCO_META, "coco"),
        JointSet("halpe26", "Halpe, body and feet", _HALPE, _HALPE_SIGMAS),
        JointSet("halpe136", "Halpe", (*_HALPE, *_DETAILS), (*_HALPE_SIGMAS, *[0.025] * len(_DETAILS))),
        JointSet("wholebody", "COCO-WholeBody", (*_WHOLE, *_DETAILS), _WHOLE_SIGMAS),
    )
}

#: In a header and in `ModelHeader.joints`: the channels are named one by one.
NAMED: Final = "named"
#: Most channels of a model whose joints are named one by one.
MOST_JOINTS: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")


def sets_with(count: int) -> list[JointSet]:
    """The joint sets with so many channels."""
    return [one for one in JOINT_SETS.values() if len(one.channels) == count]


def named_channels(names: Iterable[str]) -> tuple[str, ...]:
    """Names that users give to channels, known joints in our spelling. Raises ValueError for names that cannot be."""
    given = [name.strip() for name in names]
    if not 0 < len(given) <= MOST_JOINTS:
        raise ValueError(f"{len(given)} joints, there can be 1 to {MOST_JOINTS}")
    odd = next((name for name in given if not _NAME.fullmatch(name)), None)
    if odd is not None:
        raise ValueError(f"{odd!r:.60} is no name of a joint: letters, digits, _, - and . can be in one")
    # Spellings are compared by their letters: a number tells points apart that have the same ones.
    known = tuple((None if re.search("[0-9]", name) else standard_name(name)) or name for name in given)
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice:
        raise ValueError(f"the joint {twice[0]} is named twice")
    return known


def result_joints(channels: Iterable[str]) -> tuple[str, ...]:
    """Names of the joints in arrays and results of a model with these channels: the slots, then the others."""
    return (*JOINT_NAMES, *(name for name in channels if name not in JOINT_NAMES))


def require_result_joints(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the joints of a result, as they stand in a file. Raises ValueError when they are not such."""
    if list(names[:NUM_JOINTS]) != list(JOINT_NAMES):
        raise ValueError("the first joints are not the 17 PoseTrack joints")
    extra = names[NUM_JOINTS:]
    if len(extra) > MOST_JOINTS or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in extra):
        raise ValueError("joints have names that cannot be")
    if len({*names}) != len(names):
        raise ValueError("a joint is named twice")
    return tuple(names)


#: Of skeletons whose neck lies between the shoulders.
_NECK_LIMBS: Final = tuple(("neck", other) for other in ("nose", "left_shoulder", "right_shoulder", "hip"))
_FEET_LIMBS: Final = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in HANDS
    for a, b in (("ankle", "big_toe"), ("big_toe", "small_toe"), ("ankle", "heel"))
)
_HEAD_LIMBS: Final = (("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"))
#: Between the sides, where no middle of the hips is known.
_ACROSS: Final = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))
_HIP_LIMBS: Final = (("head_bottom", "hip"), ("hip", "left_hip"), ("hip", "right_hip"))
#: First and last point of each line of the face, and whether it closes.
_FACE_LINES: Final = (
    *((0, 16, False), (17, 21, False), (22, 26, False), (27, 30, False), (31, 35, False)),
    *((36, 41, True), (42, 47, True), (48, 59, True), (60, 67, True)),
)
_FACE_LIMBS: Final = tuple(
    (FACE[a], FACE[b])
    for first, last, closes in _FACE_LINES
    for a, b in (*pairwise(range(first, last + 1)), *([(last, first)] if closes else []))
)
_HAND_LIMBS: Final = tuple(
    limb
    for side, (root, *points) in HANDS.items()
    for finger in range(len(_FINGERS))
    for limb in pairwise((root, *points[4 * finger : 4 * finger + 4]))
) + tuple((f"{side}_wrist", f"{side}_hand_root") for side in HANDS)


@lru_cache(maxsize=64)
def limbs(names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """The limbs of people with these joints: pairs of places in `names`, the body's first."""
    if names == JOINT_NAMES:
        return EDGES
    at = {name: place for place, name in enumerate(names)}
    across = () if "hip" in at else _ACROSS
    further = (*_HEAD_LIMBS, *across, *_NECK_LIMBS, *_HIP_LIMBS, *_FEET_LIMBS, *_FACE_LIMBS, *_HAND_LIMBS)
    return (*EDGES, *((at[a], at[b]) for a, b in further if a in at and b in at))


#: Point of the mirrored face for the points of the middle line and of the person's right half.
_FACE_PAIRS: Final[dict[int, int]] = (
    {k: 16 - k for k in range(9)}
    | {k: 43 - k for k in range(17, 22)}
    | {k: k for k in (27, 28, 29, 30, 33, 51, 57, 62, 66)}
    | {31: 35, 32: 34, 36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
    | {48: 54, 49: 53, 50: 52, 58: 56, 59: 55, 60: 64, 61: 63, 67: 65}
)
_FACE_MIRROR: Final = {FACE[a]: FACE[b] for one, other in _FACE_PAIRS.items() for a, b in ((one, other), (other, one))}


def mirrored(name: str) -> str:
    """The joint on the other side of the body; the name itself for one in the middle."""
    side, _, rest = name.partition("_")
    return _FACE_MIRROR.get(name) or {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


@lru_cache(maxsize=64)
def flip_order(names: tuple[str, ...]) -> tuple[int, ...]:
    """Place of the mirrored joint for every joint of `names`, channels or joints of a result."""
    at = {name: place for place, name in enumerate(names)}
    return tuple(at.get(mirrored(name), place) for place, name in enumerate(names))


@lru_cache(maxsize=64)
def sigmas(names: tuple[str, ...]) -> tuple[float | None, ...]:
    """Standard deviations of OKS for the joints of a result; None where none is published."""
    known: dict[str, float] = dict(zip(JOINT_NAMES, OKS_SIGMAS, strict=True))
    one = next((one for one in JOINT_SETS.values() if result_joints(one.channels) == names), None)
    if one is not None:
        known |= dict(zip(one.channels, one.sigmas, strict=True))
    return tuple(known.get(name) for name in names)


@lru_cache(maxsize=64)
def detail_joints(names: tuple[str, ...]) -> frozenset[int]:
    """Places of the joints of face and hands, which are small and close together."""
    return frozenset(place for place, name in enumerate(names) if name in _DETAILS)
