"""Numbers and names of a PoseTrack18 file as dcpose writes it: ids, paths, the category. Source: SPEC 7.4."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from ..skeleton import JOINT_NAMES
from ..skeleton.sets import flip_order, limbs, sigmas

#: Version of the `dcpose` object for readers of 0.6, which refuse any other; `schema_version` takes its place.
FORMAT_VERSION: Final = 1
#: Version of the file's members; raised with every change. Results of 0.6 and earlier have none and are version 0.
SCHEMA_VERSION: Final = 1

FRAMES_PER_SEQUENCE: Final = 10_000
_TYPE_MPII: Final = 1
_TYPE_UNIT: Final = 10**10
_PEOPLE_PER_IMAGE: Final = 100
_BEYOND_ALL_IMAGES: Final = 10**13
_FILE_NAME: Final = re.compile(r"images/[^/]+/(\d{1,12})_mpii[^/]*/(\d{6})\.jpg")


def image_id(index: int) -> int:
    """PoseTrack's id of frame `index`: type, sequence and frame number; unique up to 10^10 frames."""
    sequence, frame = divmod(index, FRAMES_PER_SEQUENCE)
    return _TYPE_MPII * _TYPE_UNIT + (sequence + 1) * FRAMES_PER_SEQUENCE + frame


def frame_index(identity: int) -> int:
    """The frame of an `image_id`; negative for an id of another type or sequence."""
    return identity - image_id(0)


def annotation_id(image: int, number: int) -> int:
    """The id of person `number` of an image: image * 100 + number while that leaves the next image's ids alone.

    The hundredth person and later ones get ids above those of every possible image, so ids stay unique.
    """
    block, rest = divmod(number, _PEOPLE_PER_IMAGE)
    return block * _BEYOND_ALL_IMAGES + image * _PEOPLE_PER_IMAGE + rest


def image_entry(index: int, nframes: int) -> dict[str, Any]:
    """The `images` entry of frame `index`; nframes: entries that share its sequence."""
    sequence, frame = divmod(index, FRAMES_PER_SEQUENCE)
    identity = image_id(index)
    return {
        "file_name": f"images/val/{sequence + 1:06d}_mpii_dcpose/{frame:06d}.jpg",
        "id": identity,
        "frame_id": identity,
        "vid_id": f"{sequence + 1:06d}",
        "nframes": nframes,
        "is_labeled": True,
        "has_no_densepose": True,
    }


def file_name_matches(name: str, index: int) -> bool:
    """Whether an `images` file name says the same frame as its id."""
    found = _FILE_NAME.fullmatch(name)
    if found is None:
        return False
    return (int(found[1]) - 1) * FRAMES_PER_SEQUENCE + int(found[2]) == index


def category_of(joints: Sequence[str]) -> dict[str, Any]:
    """The one category: joint names and the limbs, numbered from 1 as COCO does.

    With joints behind the 17 slots also `flip_pairs`, numbered alike, and `sigmas`, the standard deviations of OKS
    (null where none is published).
    """
    names = tuple(joints)
    category = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": list(names),
        "skeleton": [[start + 1, end + 1] for start, end in limbs(names)],
    }
    if names == JOINT_NAMES:
        return category
    pairs = [[one + 1, other + 1] for one, other in enumerate(flip_order(names)) if one < other]
    return category | {"flip_pairs": pairs, "sigmas": list(sigmas(names))}


#: That of the 17 slots.
CATEGORY: Final[dict[str, Any]] = category_of(JOINT_NAMES)
