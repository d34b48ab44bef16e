"""Reading results of AlphaPose, mmpose and OpenPose, by their layouts. They raise KeyError, TypeError or ValueError.

AlphaPose   list of {"image_id": "0.jpg", "keypoints", "score", "box", "idx"}; 17 (COCO), 26 or 136 (Halpe) joints; and
            what it writes with `--format cmu` and `open`: {"0.jpg": {"bodies" or "people": [...]}}
mmpose      the inferencer's list of {"frame_id", "instances"}, {"meta_info", "instance_info"} of its video demo, or the
            `predictions` of the inferencer as they are in Python: a list of people per frame, perhaps in further lists
OpenPose    a folder of `NAME_000000000012_keypoints.json`, BODY_25 or COCO-18, perhaps with face and hands

Joints without a slot are further joints of the result (skeletons.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..types import Person
from .coco import triples
from .skeletons import OPENPOSE_LISTS, joints_of_count, joints_of_names
from .validation import raw_person, scalar, whole

Frames = tuple[list[int], list[list[Person]]]

_LAST_NUMBER: Final = re.compile(r"(\d{1,15})\D*$")
_OPENPOSE: Final = re.compile(r"(?!\._)(.*?)(\d{1,15})_keypoints\.json")  # ._: what macOS leaves beside files
#: How AlphaPose itself names the frames of a video: by their numbers in it.
_ALPHAPOSE_FRAME: Final = re.compile(r"(0|[1-9]\d*)\.jpg")


def is_alphapose_by_picture(data: Any) -> bool:
    """Whether parsed JSON is AlphaPose's object of pictures (`--format cmu` and `open`)."""
    return (
        isinstance(data, dict)
        and bool(data)
        and all(isinstance(one, dict) and isinstance(_bodies(one), list) for one in data.values())
    )


def frames_by_picture(data: Mapping[str, Mapping[str, Any]]) -> Frames:
    """Frames of AlphaPose's object of pictures, as `frames_of_alphapose`."""
    people: dict[str, list[Person]] = {}
    for name, picture in data.items():
        bodies = [{"pose_keypoints_2d": one.get("joints"), **one} for one in _bodies(picture)]
        found = [_openpose_person(one, number) for number, one in enumerate(bodies)]
        people[name] = [person for person in found if person is not None]
    return _by_number(people, first=0 if all(map(_ALPHAPOSE_FRAME.fullmatch, people)) else None)


def _bodies(picture: Mapping[str, Any]) -> Any:
    return picture.get("bodies", picture.get("people"))


def is_alphapose(data: Any) -> bool:
    """Whether parsed JSON is AlphaPose's list."""
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and isinstance(
        data[0].get("image_id"), str
    )  # fmt: skip


def frames_of_alphapose(data: Sequence[Mapping[str, Any]]) -> Frames:
    """Frames by the numbers in the names of their pictures, else in the order of the names.

    AlphaPose leaves out frames without people, at the beginning of a video, too.
    """
    people: dict[str, list[Person]] = {}
    for entry in data:
        persons = people.setdefault(str(entry["image_id"]), [])
        values = [scalar(value) for value in entry["keypoints"]]
        track = _flat(entry.get("idx", len(persons)))
        persons.append(_person(values, track, entry.get("score", 1.0), entry.get("box", entry.get("bbox"))))
    return _by_number(people, first=0 if all(map(_ALPHAPOSE_FRAME.fullmatch, people)) else None)


def is_mmpose(data: Any) -> bool:
    """Whether parsed JSON is mmpose's, of its inferencer or its video demo."""
    data = _predictions(data)
    if isinstance(data, dict):
        return "instance_info" in data
    if isinstance(data, list) and all(isinstance(frame, list) for frame in data):
        return any(isinstance(one, dict) and "keypoints" in one for frame in data for one in frame)
    first = data[0] if isinstance(data, list) and data else None
    return isinstance(first, dict) and ("instances" in first or "keypoint_scores" in first)


def frames_of_mmpose(data: Any) -> Frames:
    """Frames by `frame_id`, counted from the first one; a list of people alone is one frame."""
    data = _predictions(data)
    names: tuple[str, ...] | None = None
    if isinstance(data, dict):
        by_number = (data.get("meta_info") or {}).get("keypoint_id2name")
        if by_number:
            names = joints_of_names([by_number[key] for key in sorted(by_number, key=int)])
        data = data["instance_info"]
    if isinstance(data[0], list):
        data = [{"instances": people} for people in data]
    if "instances" not in data[0]:
        return [0], [_mmpose_people(data, names)]
    ids = [whole(frame.get("frame_id", number)) for number, frame in enumerate(data)]
    people = [_mmpose_people(frame["instances"], names) for frame in data]
    return [number - ids[0] for number in ids], people


def _predictions(data: Any) -> Any:
    """The frames in what the inferencer returns: one answer or a list of them, each with a list for every picture."""
    answers = data if isinstance(data, list) else [data]
    if answers and all(isinstance(one, dict) and isinstance(one.get("predictions"), list) for one in answers):
        data = [one["predictions"] for one in answers]
    if isinstance(data, list) and data and all(isinstance(one, list) and _is_of_pictures(one) for one in data):
        return [people for answer in data for people in answer]
    return data


def _is_of_pictures(answer: Sequence[Any]) -> bool:
    return bool(answer) and all(isinstance(people, list) for people in answer)


def _mmpose_people(instances: Iterable[Mapping[str, Any]], names: tuple[str, ...] | None) -> list[Person]:
    people = []
    for number, one in enumerate(instances):
        points = [[scalar(value) for value in point] for point in one["keypoints"]]
        scores = [scalar(value) for value in one.get("keypoint_scores") or [1.0] * len(points)]
        values = [value for point, score in zip(points, scores, strict=True) for value in (*point[:2], score)]
        box = one.get("bbox")
        if box:
            left, top, right, bottom = (scalar(value) for value in (box[0] if isinstance(box[0], list) else box))
            box = [left, top, right - left, bottom - top]
        score = _flat(one.get("bbox_score", 1.0))
        people.append(_person(values, one.get("track_id", number), score, box or None, names))
    return people


def is_openpose(data: Any) -> bool:
    """Whether parsed JSON is a frame of OpenPose."""
    return isinstance(data, dict) and isinstance(data.get("people"), list)


def openpose_files(folder: Path) -> list[Path]:
    """The frames of OpenPose in a folder, in order. Raises ValueError for those of several videos."""
    found = [(match, path) for path in folder.iterdir() if (match := _OPENPOSE.fullmatch(path.name))]
    if len(videos := {match[1] for match, _ in found}) > 1:
        raise ValueError(f"holds the frames of {len(videos)} videos: give a folder for each")
    return [path for _, path in sorted((int(match[2]), path) for match, path in found)]


def frames_of_openpose(frames: Iterable[tuple[str, Mapping[str, Any]]]) -> Frames:
    """Frames from the names and contents of their files; numbers in the names count from the first one."""
    people: dict[str, list[Person]] = {}
    for name, data in frames:
        found = [_openpose_person(one, number) for number, one in enumerate(data["people"])]
        people[name] = [person for person in found if person is not None]
    return _by_number({name.removesuffix("_keypoints.json"): persons for name, persons in people.items()})


def _person(values: Sequence[float], track: Any, score: Any, box: Any, names: tuple[str, ...] | None = None) -> Person:
    """values: x, y, confidence of every joint, one after the other. box: xywh or None."""
    skeleton = joints_of_count(len(values) // 3) if names is None else names
    joints = triples(values, skeleton)
    if not joints and box is None:
        raise ValueError("a person has neither keypoints nor a box")
    return raw_person(joints, track, scalar(score), box, skeleton)


def _openpose_person(one: Mapping[str, Any], number: int) -> Person | None:
    """The person `number` of a frame, with face and hands where the file has them; None without a joint."""
    values = [scalar(value) for value in one["pose_keypoints_2d"]]
    skeleton = joints_of_count(len(values) // 3)
    joints = triples(values, skeleton)
    for key, known in OPENPOSE_LISTS.items():
        points = [scalar(value) for value in one.get(key) or ()][: 3 * len(known)]
        joints |= triples(points, known) if points else {}
        skeleton += known if points else ()
    track = whole(_flat(one.get("person_id", number)))
    return raw_person(joints, number if track < 0 else track, 1.0, None, skeleton) if joints else None


def _by_number(people: Mapping[str, list[Person]], first: int | None = None) -> Frames:
    numbers = frame_numbers(people, first)
    return list(numbers.values()), [people[name] for name in numbers]


def frame_numbers(names: Iterable[str], first: int | None = None) -> dict[str, int]:
    """Names of pictures in the order of time, and the numbers of their frames: those in the names where all have one.

    first: the number of the first frame; None for the least one that is there.
    """
    matches = {name: _LAST_NUMBER.search(Path(name).stem) for name in names}
    found = {name: int(match[1]) for name, match in matches.items() if match}
    if len(set(found.values())) < len(matches):
        return {name: place for place, name in enumerate(sorted(matches))}
    ordered = sorted(found, key=found.__getitem__)
    if first is None:
        first = found[ordered[0]]
    return {name: found[name] - first for name in ordered}


def _flat(value: Any) -> Any:
    """A value out of lists of one entry."""
    while isinstance(value, list) and value:
        value = value[0]
    return int(value) if isinstance(value, float) and value.is_integer() else value
