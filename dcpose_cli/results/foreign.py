"""Reading results of every known kind: ours, PoseTrack18 or 21, a PoseTrack17 annolist, COCO keypoint results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from ..errors import InputError
from ..skeleton import EAR_SLOTS, JOINT_NAMES
from ..types import FrameResult, Person
from .annolist import frames_of_annolist
from .coco import frames_of_coco
from .reader import PoseTrackResult, load_json, own_result, require_known_schema, time_base, time_scale
from .schema import require_header
from .validation import foreign_header, numbered_frames, raw_person, scalar, whole

#: Frame rate of files that say nothing about time.
DEFAULT_FPS: Final = Fraction(25)
_INT64: Final = 2**63


def read_result(path: Path, fps: Fraction | None = None) -> PoseTrackResult:
    """Read a result of dcpose or of another tool.

    fps: frame rate of a file that does not say the time of its frames; 25 when not given. Raises InputError.
    """
    path = Path(path)
    data = load_json(path)
    if isinstance(data, dict) and "dcpose" in data and "annolist" not in data:
        return own_result(data, path)
    if isinstance(data, dict):
        require_known_schema(data.get("dcpose"), path)
    try:
        return _checked(_foreign(data, fps or DEFAULT_FPS))
    except InputError as error:
        reason = str(error)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = ascii(f"{type(error).__name__}: {error}")[1:-1]
    raise InputError(f"it is no result that dcpose can read: {reason}", path=path, hint="check the file")


def _foreign(data: Any, fps: Fraction) -> PoseTrackResult:
    if isinstance(data, list):
        indexes, people = frames_of_coco(data)
    elif isinstance(data, dict) and "annolist" in data:
        indexes, people = frames_of_annolist(data)
        if "dcpose" in data:
            return _with_header(data["dcpose"], indexes, people)
    elif isinstance(data, dict) and {"images", "annotations", "categories"} <= data.keys():
        people = _frames18(data)
        indexes = list(range(len(people)))
    else:
        raise InputError("it is neither PoseTrack nor COCO keypoint results")
    header = foreign_header(indexes, sum(map(len, people)), fps)
    return PoseTrackResult(header, numbered_frames(indexes, people, fps), assumed_fps=True)


def _with_header(header: Any, indexes: Sequence[int], people: Sequence[Sequence[Person]]) -> PoseTrackResult:
    """Times from the header that our own annolist carries."""
    if not isinstance(header, dict):
        raise InputError("its header is not an object")
    seconds = time_base(header) * time_scale(header)
    require_header(header, len(indexes))
    damaged = set(header["damaged_frames"])
    frames = [
        FrameResult(index, tick, float(tick * seconds), tuple(persons), index in damaged)
        for index, tick, persons in zip(indexes, header["pts"], people, strict=True)
    ]
    return PoseTrackResult(header, frames)


def _frames18(data: Mapping[str, Any]) -> list[list[Person]]:
    """People per image, in list order. Joints without a score get 1 where they are annotated, and so do people."""
    (category,) = data["categories"]
    names = category["keypoints"]
    slots = [JOINT_NAMES.index(name) for name in names]
    if not {i for i in range(len(JOINT_NAMES)) if i not in EAR_SLOTS} <= set(slots):
        raise InputError("its category lacks some of the 15 PoseTrack joints")
    people: dict[int, list[Person]] = {whole(image["id"]): [] for image in data["images"]}
    for entry in data["annotations"]:
        persons = people[whole(entry["image_id"])]
        person = _person18(entry, slots, len(persons))
        if person is not None:
            persons.append(person)
    return [people[whole(image["id"])] for image in data["images"]]


def _person18(entry: Mapping[str, Any], slots: Sequence[int], number: int) -> Person | None:
    values = [scalar(value) for value in entry["keypoints"]]
    scores = [scalar(value) for value in entry.get("scores") or [1.0] * len(slots)]
    if len(values) != 3 * len(slots) or len(scores) != len(slots):
        raise ValueError("keypoints and scores do not fit the category")
    joints = {
        slot: (values[3 * k], values[3 * k + 1], scores[k])
        for k, slot in enumerate(slots)
        if any(values[3 * k : 3 * k + 3])
    }
    if not joints:
        return None
    return raw_person(joints, entry.get("track_id", number), scalar(entry.get("score", 1.0)), entry.get("bbox"))


def _checked(result: PoseTrackResult) -> PoseTrackResult:
    indexes = [frame.index for frame in result.frames]
    if any(later <= earlier for earlier, later in pairwise(indexes)) or not all(0 <= i < _INT64 for i in indexes):
        raise InputError("its frames are not in ascending order")
    return result
