"""The joints: 17 PoseTrack slots as the networks order them, and what hangs on their order.

Source: SPEC 7.1. The two ear slots are never annotated in PoseTrack; models that do not predict them write (0, 0, 0).
Models may know more joints; `sets` has them.
"""

from __future__ import annotations

import re
from typing import Final

#: Names of the 17 slots, in the order of the heatmap channels and of every keypoint array.
JOINT_NAMES: Final[tuple[str, ...]] = (
    "nose",
    "head_bottom",
    "head_top",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
NUM_JOINTS: Final = len(JOINT_NAMES)

#: COCO's joints that have no slot; results of COCO models have them behind the slots.
EXTRA_JOINTS: Final[tuple[str, ...]] = ("left_eye", "right_eye")
#: The joints of results of COCO models, in order.
ALL_JOINTS: Final[tuple[str, ...]] = JOINT_NAMES + EXTRA_JOINTS

#: Slots that PoseTrack never annotates.
EAR_SLOTS: Final[tuple[int, int]] = (3, 4)

#: The 15 annotated slots in slot order (the order of the sample clips and of the training pack).
LABELLED_SLOTS: Final[tuple[int, ...]] = tuple(i for i in range(NUM_JOINTS) if i not in EAR_SLOTS)

#: Evaluation joint (PoseTrack17 / poseval order, 0 = right ankle ... 14 = head top) -> slot.
EVAL_SLOTS: Final[tuple[int, ...]] = (16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9, 1, 0, 2)

#: Slots that change places when a picture is mirrored.
FLIP_PAIRS: Final[tuple[tuple[int, int], ...]] = ((3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))

#: Slot of the mirrored person for every slot.
FLIP_ORDER: Final[tuple[int, ...]] = (0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)

#: Slots of the upper body (half-body augmentation).
UPPER_BODY: Final[tuple[int, ...]] = tuple(range(11))

#: Limbs drawn and written as `skeleton`: pairs of slots.
EDGES: Final[tuple[tuple[int, int], ...]] = (
    (2, 1),
    (1, 5),
    (1, 6),
    (5, 7),
    (7, 9),
    (6, 8),
    (8, 10),
    (5, 11),
    (6, 12),
    (11, 13),
    (13, 15),
    (12, 14),
    (14, 16),
)

#: Joint groups of the PoseTrack tables -> slots.
JOINT_GROUPS: Final[dict[str, tuple[int, ...]]] = {
    "head": (0, 1, 2),
    "shoulder": (5, 6),
    "elbow": (7, 8),
    "wrist": (9, 10),
    "hip": (11, 12),
    "knee": (13, 14),
    "ankle": (15, 16),
}

#: COCO's per-joint standard deviations, head points 0.05 (head_bottom and head_top are not COCO joints).
OKS_SIGMAS: Final[tuple[float, ...]] = (
    *(0.026, 0.05, 0.05, 0.035, 0.035),
    *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)

# Spellings of joints that people and labelling tools use, with letters alone: "LeftShoulder", "shoulder_l", "LSHO".
_PARTS: Final = {
    "ear": ("ear",),
    "shoulder": ("shoulder", "shldr", "shld", "sho"),
    "elbow": ("elbow", "elb"),
    "wrist": ("wrist", "wri", "wrs"),
    "hip": ("hip",),
    "knee": ("knee", "kne"),
    "ankle": ("ankle", "ank"),
    "eye": ("eye",),
    "big_toe": ("bigtoe",),
    "small_toe": ("smalltoe", "littletoe"),
    "heel": ("heel",),
}
_SIDES: Final = {"left": ("left", "lt", "l"), "right": ("right", "rt", "r")}
_ALONE: Final = {
    "nose": ("nose",),
    "head_bottom": ("headbottom", "upperneck"),
    "head_top": ("headtop", "tophead", "topofhead", "crown", "vertex"),
    "hip": ("hip", "midhip", "hipcenter", "pelvis"),
}
_SPELLINGS: Final[dict[str, str]] = {word: name for name, words in _ALONE.items() for word in words} | {
    word: f"{side}_{part}"
    for side, prefixes in _SIDES.items()
    for part, words in _PARTS.items()
    for one in words
    for prefix in prefixes
    for word in (prefix + one, one + prefix)
}


def standard_name(name: str) -> str | None:
    """Our name of the joint of the body that a spelling means, which may have no slot; None for an unknown one."""
    return _SPELLINGS.get(re.sub(r"[^a-z]", "", name.lower()))
