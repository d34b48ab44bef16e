"""Reading back a result that `PoseTrackWriter` wrote; any other content raises one InputError."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .._reading import read_file
from ..errors import InputError
from ..files import complete_set
from ..skeleton import JOINT_NAMES, NUM_JOINTS
from ..skeleton.sets import require_result_joints
from ..types import FrameResult, Person
from .format import FORMAT_VERSION, SCHEMA_VERSION, file_name_matches, frame_index
from .schema import require_header
from .validation import require_crowds, require_order

_INT64 = 2**63


@dataclass(frozen=True, slots=True, eq=False)
class PoseTrackResult:
    """A result file. header: its `dcpose` object (dcpose_cli.results.posetrack). frames: every frame, in order.

    joints: names of everybody's joints: the 17 slots, and behind them the further ones of the model's joint set.
    assumed_fps: the file was another tool's and says no times; they come from an assumed frame rate.
    path: the file or folder it was read from, for messages; None for a result made in memory.
    """

    header: Mapping[str, Any]
    frames: list[FrameResult]
    assumed_fps: bool = False
    joints: tuple[str, ...] = JOINT_NAMES
    path: Path | None = None

    def in_slots(self) -> PoseTrackResult:
        """The same with the 17 slots alone."""
        if self.joints == JOINT_NAMES:
            return self
        frames = [
            replace(
                f, people=tuple(replace(p, keypoints=p.keypoints[:NUM_JOINTS], joints=JOINT_NAMES) for p in f.people)
            )
            for f in self.frames
        ]
        return replace(self, frames=frames, joints=JOINT_NAMES)


def read_posetrack(path: Path) -> PoseTrackResult:
    """Read a result written by dcpose. Raises InputError with the reason when the file is anything else."""
    path = Path(path)
    return own_result(load_json(path), path)


def load_json(path: Path) -> Any:
    """The parsed file. Raises InputError when it cannot be read or is no JSON.

    The JSON of a run that was killed while it gave its outputs their names gets its name first.
    """
    complete_set(path)
    try:
        raw = read_file(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read: {getattr(error, 'strerror', None) or error}", path=path, hint="check the file"
        ) from error
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except InputError as error:
        reason = str(error)
    except (ValueError, RecursionError) as error:
        reason = ascii(str(error))[1:-1] if isinstance(error, ValueError) else "nested too deeply"
    raise InputError(f"not valid JSON: {reason}", path=path, hint="give a result that dcpose wrote")


def own_result(data: Any, path: Path) -> PoseTrackResult:
    """The result in parsed JSON; path: for the message of the InputError when dcpose did not write it."""
    require_known_schema(data.get("dcpose") if isinstance(data, dict) else None, path)
    try:
        return replace(_result(data), path=path)
    except InputError as error:
        failure = InputError(f"not a result of dcpose: {error}", path=path, hint="run `dcpose estimate` again")
    raise failure


def require_known_schema(header: Any, path: Path) -> None:
    """Raises InputError when a header (a `dcpose` object) says that a newer version wrote the file."""
    version = header.get("schema_version") if isinstance(header, dict) else None
    if type(version) is int and version > SCHEMA_VERSION:
        raise InputError(
            f"has the schema version {version!r:.40}, this dcpose reads up to {SCHEMA_VERSION}",
            path=path,
            hint="update dcpose",
        )


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is not a number")


def _result(data: Any) -> PoseTrackResult:
    header = _member(data, "dcpose", dict, "the file")
    if header.get("format") != FORMAT_VERSION:
        raise InputError(f"its format is {header.get('format')!r:.40}, this version of dcpose reads {FORMAT_VERSION}")
    if _whole(header.get("schema_version", 0), "schema_version") < 0:
        raise InputError("schema_version is negative")
    seconds = time_base(header) * time_scale(header)
    categories = _member(data, "categories", list, "the file")
    names = categories[0].get("keypoints") if len(categories) == 1 and isinstance(categories[0], dict) else None
    joints = _joints(names)
    images = _member(data, "images", list, "the file")
    indexes = [_image(entry, number) for number, entry in enumerate(images)]
    annotations = _member(data, "annotations", list, "the file")
    require_header(header, len(indexes))
    damaged = set(header["damaged_frames"])
    people: dict[int, list[Person]] = {index: [] for index in indexes}
    for number, entry in enumerate(annotations):
        index, person = _annotation(entry, f"annotation {number}", joints)
        if index not in people:
            raise InputError(f"annotation {number} belongs to no image")
        people[index].append(person)
    frames = [
        FrameResult(index, tick, float(tick * seconds), tuple(people[index]), index in damaged)
        for index, tick in zip(indexes, header["pts"], strict=True)
    ]
    try:
        require_order(frames)
        require_crowds(people.values())
    except ValueError as error:
        raise InputError(str(error)) from error
    return PoseTrackResult(header, frames, joints=joints)


def _joints(names: Any) -> tuple[str, ...]:
    """The names of a category's keypoints. Raises InputError."""
    if not isinstance(names, list) or len(names) < NUM_JOINTS:
        raise InputError("categories must be one person with the 17 PoseTrack joints")
    try:
        return require_result_joints(names)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"categories must be one person with the 17 PoseTrack joints, and others behind them: {error}"
        ) from error


def _member(value: Any, key: str, kind: type, what: str) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get(key), kind):
        raise InputError(f"{what} has no {'list' if kind is list else 'object'} {key!r}")
    return value[key]


def _whole(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -_INT64 <= value < _INT64:
        raise InputError(f"{what} holds {value!r:.40}, not a whole number")
    return value


def time_base(header: Mapping[str, Any]) -> Fraction:
    """Seconds per tick of a header. Raises InputError."""
    return _fraction(header, "time_base")


def time_scale(header: Mapping[str, Any]) -> Fraction:
    """Seconds of real time per second of the video: below 1 for slow motion (`shot_fps`). Raises InputError."""
    if header.get("shot_fps") is None:
        return Fraction(1)
    return _fraction(header, "fps") / _fraction(header, "shot_fps")


def _fraction(header: Mapping[str, Any], key: str) -> Fraction:
    text = header.get(key)
    numerator, slash, denominator = text.partition("/") if isinstance(text, str) else ("", "", "")
    digits = numerator.isascii() and numerator.isdigit() and denominator.isascii() and denominator.isdigit()
    if not (slash and digits and len(text or "") <= 40 and int(numerator) and int(denominator)):
        raise InputError(f"{key} is {text!r:.60}, not a fraction like '1/12800'")
    return Fraction(int(numerator), int(denominator))


def _image(entry: Any, number: int) -> int:
    """The frame index of an `images` entry."""
    if not isinstance(entry, dict):
        raise InputError(f"image {number} is not an object")
    index = frame_index(_whole(entry.get("id"), f"the id of image {number}"))
    name = entry.get("file_name")
    if index < 0 or not isinstance(name, str) or not file_name_matches(name, index):
        raise InputError(f"image {number} has an id or a file name that is not ours")
    return index


def _numbers(entry: Mapping[str, Any], key: str, count: int, what: str) -> NDArray[np.float32]:
    values = entry.get(key)
    if not isinstance(values, list) or len(values) != count:
        raise InputError(f"{key} of {what} is not a list of {count} numbers")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise InputError(f"{key} of {what} holds something that is not a number")
    # 1e7 is far from every pixel; areas and sums of it are still numbers that a float32 holds.
    if not all(abs(value) < 1e7 for value in values):
        raise InputError(f"{key} of {what} holds a number that is out of range")
    return np.array(values, np.float32)


def _annotation(entry: Any, what: str, joints: tuple[str, ...]) -> tuple[int, Person]:
    if not isinstance(entry, dict):
        raise InputError(f"{what} is not an object")
    count = len(joints)
    keypoints = _numbers(entry, "keypoints", count * 3, what).reshape(count, 3)
    keypoints[:, 2] = _numbers(entry, "scores", count, what)
    score = entry.get("score")
    person = Person(
        track_id=_whole(entry.get("track_id"), f"track_id of {what}"),
        bbox=_numbers(entry, "bbox", 4, what),
        score=float(_numbers({"score": [score]}, "score", 1, what)[0]) if score is not None else 0.0,
        keypoints=keypoints,
        interpolated=entry.get("interpolated") is True,
        joints=joints,
    )
    return frame_index(_whole(entry.get("image_id"), f"image_id of {what}")), person
