"""PoseTrack annotation files in both styles, read into what the AP of poseval needs (SPEC 7.4, 7.5).

PoseTrack18: `images`, `annotations`, `categories`. PoseTrack17: `annolist` of frames with `annorect`. Joints are kept
in the order of poseval's 15 evaluation joints.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._reading import read_file
from .._text import reason_of
from ..config import Selection
from ..datasets.labels import require_pixels
from ..errors import InputError, UsageError
from ..files import complete_set
from ..results.foreign import is_json
from ..results.selected import picture_size
from ..results.validation import require_crowds
from ..selection import choose
from ..skeleton import EVAL_SLOTS, JOINT_NAMES

#: Names of the 15 evaluated joints, 0 = right ankle ... 14 = head top.
EVAL_JOINTS: Final[tuple[str, ...]] = tuple(JOINT_NAMES[slot] for slot in EVAL_SLOTS)

_INT64: Final = 2**63
_NO_SCORE: Final = -9999.0  # what poseval takes for a point without one


@dataclass(frozen=True, slots=True, eq=False)
class EvalPerson:
    """One person. points: (15, 2) pixels, NaN where absent. scores: (15,). head_box: xyxy, None in predictions.

    bbox: xywh; score: of the person; None where the file has none. interpolated: nobody was detected there, and a gap
    in the track was filled (see results.posetrack). further: places of joints that are not among the fifteen, by name.
    """

    points: NDArray[np.float64]
    scores: NDArray[np.float64]
    head_box: tuple[float, float, float, float] | None
    bbox: tuple[float, float, float, float] | None = None
    track_id: int | None = None
    score: float | None = None
    interpolated: bool = False
    further: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class EvalFrame:
    """One frame. ignore: polygons, each (K, 2) pixels."""

    people: list[EvalPerson]
    ignore: list[NDArray[np.float64]]


def read_frames(path: Path) -> list[EvalFrame]:
    """All frames of a file in list order. Raises InputError when it is neither of the two styles."""
    path = Path(path)
    data = load(path)
    try:
        return frames_of(data)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = reason_of(error)
        raise InputError(f"not a PoseTrack annotation file: {reason}", path=path, hint="check the file") from error


def chosen_frames(frames: Sequence[EvalFrame], path: Path, selection: Selection) -> list[EvalFrame]:
    """The frames of a prediction file with the chosen people alone. Raises UsageError."""
    if any(person.track_id is None or person.bbox is None for frame in frames for person in frame.people):
        raise UsageError("has people without track id or box: they cannot be chosen", path=path)
    size = picture_size(header_of(load(path))) if selection.center and is_json(path) else None
    chosen = choose([frame.people for frame in frames], selection, size)
    return [EvalFrame(people, frame.ignore) for people, frame in zip(chosen, frames, strict=True)]


def header_of(data: Any) -> Mapping[str, Any]:
    """The `dcpose` object of parsed JSON; empty where there is none."""
    header = data.get("dcpose") if isinstance(data, dict) else None
    return header if isinstance(header, dict) else {}


def clip_of(path: Path) -> str | None:
    """Name of the video that a file is of, where it says so: a result of dcpose, or the truth of a sample clip."""
    data = load(path) if is_json(path) else None
    made_from = header_of(data).get("input")
    name = (
        made_from.get("name") if isinstance(made_from, dict) else data.get("video") if isinstance(data, dict) else None
    )
    return name if isinstance(name, str) else None


def load(path: Path) -> Any:
    """Parsed JSON. Raises InputError."""
    complete_set(path)
    try:
        return json.loads(read_file(path))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path, hint="check the file") from error
    except (ValueError, RecursionError) as error:
        raise InputError("not valid JSON", path=path, hint="give a PoseTrack annotation file") from error


def frames_of(data: Mapping[str, Any]) -> list[EvalFrame]:
    """The same for parsed JSON; raises KeyError, TypeError or ValueError when it is neither style."""
    frames = [_frame17(frame) for frame in data["annolist"]] if "annolist" in data else _frames18(data)
    require_crowds(frame.people for frame in frames)
    for frame in frames:
        for person in frame.people:
            _require_places(person)
        for polygon in frame.ignore:
            require_pixels(polygon)
    return frames


def _require_places(person: EvalPerson) -> None:
    """Raises ValueError for places that are in no picture, and for scores that are no numbers."""
    require_pixels(np.where(np.isnan(person.points).all(axis=1, keepdims=True), 0, person.points))
    for box in (person.head_box, person.bbox, *person.further.values()):
        require_pixels(np.array(box or (), np.float64))
    if not (np.isfinite(person.scores).all() and math.isfinite(person.score or 0.0)):
        raise ValueError("a score is not finite")


def _frames18(data: Mapping[str, Any]) -> list[EvalFrame]:
    (category,) = data["categories"]
    slots = [category["keypoints"].index(name) for name in EVAL_JOINTS]
    further = {name: place for place, name in enumerate(category["keypoints"]) if name not in EVAL_JOINTS}
    by_image: dict[int, list[EvalPerson]] = {image["id"]: [] for image in data["images"]}
    for entry in data["annotations"]:
        by_image[entry["image_id"]].append(_person18(entry, slots, further))
    return [EvalFrame(by_image[image["id"]], _ignore18(image)) for image in data["images"]]


def _person18(entry: Mapping[str, Any], slots: list[int], further: Mapping[str, int]) -> EvalPerson:
    """further: names of the joints that are not among the fifteen, and where they stand."""
    everything = np.asarray(entry["keypoints"], np.float64).reshape(-1, 3)
    keypoints = everything[slots]
    absent = (keypoints == 0).all(axis=1)
    given = entry.get("scores") or []
    scores = np.asarray(given, np.float64)[slots] if len(given) else np.full(len(slots), _NO_SCORE)
    head = entry.get("bbox_head")
    box = (head[0], head[1], head[0] + head[2], head[1] + head[3]) if head else None
    points = np.where(absent[:, None], np.nan, keypoints[:, :2])
    return EvalPerson(
        points,
        scores,
        box,
        _box(entry.get("bbox")),
        _id(entry.get("track_id")),
        _float(entry.get("score")),
        entry.get("interpolated") is True,
        {name: (x, y) for name, place in further.items() if any(everything[place]) for x, y, _ in [everything[place]]},
    )


def _ignore18(image: Mapping[str, Any]) -> list[NDArray[np.float64]]:
    regions = zip(image.get("ignore_regions_x") or [], image.get("ignore_regions_y") or [], strict=True)
    return [np.column_stack([np.asarray(x, np.float64), np.asarray(y, np.float64)]) for x, y in regions]


def _frame17(frame: Mapping[str, Any]) -> EvalFrame:
    ignore = [
        np.array([(_scalar(point["x"]), _scalar(point["y"])) for point in region["point"]], np.float64).reshape(-1, 2)
        for region in frame.get("ignore_regions") or []
    ]
    return EvalFrame([_person17(rect) for rect in frame.get("annorect") or []], ignore)


def _person17(rect: Mapping[str, Any]) -> EvalPerson:
    points = np.full((len(EVAL_JOINTS), 2), np.nan)
    scores = np.full(len(EVAL_JOINTS), _NO_SCORE)
    annopoints = rect.get("annopoints") or []
    for point in annopoints[0]["point"] if annopoints else []:
        joint = int(_scalar(point["id"]))
        points[joint] = _scalar(point["x"]), _scalar(point["y"])
        scores[joint] = _scalar(point["score"]) if "score" in point else _NO_SCORE
    sides = [_scalar(rect[key]) for key in ("x1", "y1", "x2", "y2") if key in rect]
    box = (sides[0], sides[1], sides[2], sides[3]) if len(sides) == 4 else None
    track_id, score = (_inner(rect.get(key)) for key in ("track_id", "score"))
    return EvalPerson(points, scores, box, _box(rect.get("bbox")), _id(track_id), _float(score))


def _scalar(value: Any) -> float:
    """PoseTrack17 wraps every number in a list; some writers do not."""
    return float(_inner(value))


def _inner(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def _box(value: Any) -> tuple[float, float, float, float] | None:
    if not value:
        return None
    x, y, width, height = map(float, value)
    return x, y, width, height


def _id(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not -_INT64 <= value < _INT64:
        raise ValueError(f"the track_id {value!r:.40} is not a whole number")
    return value


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
