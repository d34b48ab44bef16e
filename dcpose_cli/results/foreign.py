"""Reading results of every known kind: ours, PoseTrack17, 18 and 21, COCO, those of other_tools.py, and FILES."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, Final

from .._text import one_line, printable, reason_of
from ..datasets.labels import listed_picture, picture_id
from ..errors import InputError
from ..files import complete_set
from ..sequences import natural
from ..skeleton import JOINT_NAMES
from ..types import FrameResult, Person
from .annolist import frames_of_annolist
from .coco import frames_of_coco, is_coco, triples, wholebody_lists
from .deeplabcut import read_csv, read_hdf5
from .other_tools import (
    frames_by_picture,
    frames_of_alphapose,
    frames_of_mmpose,
    frames_of_openpose,
    is_alphapose,
    is_alphapose_by_picture,
    is_mmpose,
    is_openpose,
    openpose_files,
)
from .reader import PoseTrackResult, load_json, own_result, require_known_schema, time_base, time_scale
from .schema import require_header
from .skeletons import joints_of_names, with_one_skeleton
from .trc import read_trc
from .validation import foreign_header, numbered_frames, raw_person, require_crowds, require_order, scalar

#: Frame rate of files that say nothing about time.
DEFAULT_FPS: Final = Fraction(25)
_INT64: Final = 2**63
_LIMBS: Final = frozenset(JOINT_NAMES[JOINT_NAMES.index("left_shoulder") :])
_READABLE: Final = (
    "give JSON of dcpose, PoseTrack, COCO, AlphaPose or mmpose, a table of DeepLabCut, a TRC file in pixels, or the "
    "folder of OpenPose's frames"
)
#: Results that are no JSON, by the ending of the file: reads a result; frame rate of files without times. The readers
#: raise OSError, KeyError, IndexError, TypeError or ValueError.
FILES: Final[dict[str, Callable[[Path, Fraction], PoseTrackResult]]] = {
    ".csv": read_csv,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".trc": read_trc,
}
#: Files of other tools that are refused by their names.
_LAYOUTS: Final = {
    ".c3d": "this is a C3D marker file",
    ".slp": "this is a project of SLEAP",
    ".npz": "these are NumPy arrays",
    ".pkl": "this is a Python pickle, as some versions of mmpose write it",
    ".pickle": "this is a Python pickle",
}


def is_json(path: Path) -> bool:
    """Whether a result with this name would be JSON."""
    return path.suffix.lower() not in FILES


def files_of(path: Path) -> list[Path]:
    """The files that `read_result` reads: one, or OpenPose's frames in a folder."""
    return [path, *(openpose_files(path) if path.is_dir() else [])]


def assumed_times(path: Path) -> str:
    """What to say of a file without times for which no frame rate was given."""
    return f"{printable(path)} has no times; {DEFAULT_FPS} frames/s are assumed, set --fps"


def read_result(path: Path, fps: Fraction | None = None) -> PoseTrackResult:
    """Read a result of dcpose or of another tool.

    fps: frame rate of a file that does not say the time of its frames; 25 when not given. Raises InputError.
    """
    return replace(_read(Path(path), fps), path=Path(path))


def _read(path: Path, fps: Fraction | None) -> PoseTrackResult:
    if path.is_dir():
        return _openpose_folder(path, fps or DEFAULT_FPS)
    if path.suffix.lower() in _LAYOUTS:
        raise InputError(f"{_LAYOUTS[path.suffix.lower()]}, which dcpose does not read", path=path, hint=_READABLE)
    if path.suffix.lower() in FILES:
        return _other_file(path, fps or DEFAULT_FPS)
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
        reason = reason_of(error)
    raise InputError(f"it is no result that dcpose can read: {reason}", path=path, hint=_READABLE)


def _other_file(path: Path, fps: Fraction) -> PoseTrackResult:
    complete_set(path)
    try:
        return _checked(FILES[path.suffix.lower()](path, fps))
    except InputError as error:
        reason = str(error)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or one_line(error)}"
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = reason_of(error)
    raise InputError(reason, path=path, hint=_READABLE)


def _openpose_folder(folder: Path, fps: Fraction) -> PoseTrackResult:
    try:
        files = openpose_files(folder)
    except ValueError as error:
        raise InputError(str(error), path=folder, hint="move the files of the others") from error
    if not files:
        raise InputError(
            "holds no files like NAME_000000000000_keypoints.json of OpenPose", path=folder, hint=_READABLE
        )
    try:
        return _timed(frames_of_openpose((path.name, load_json(path)) for path in files), fps)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = reason_of(error)
        raise InputError(f"its files are none of OpenPose: {reason}", path=folder, hint=_READABLE) from error


def _timed(frames: tuple[list[int], list[list[Person]]], fps: Fraction) -> PoseTrackResult:
    """A result whose times are the frames' numbers over the rate."""
    indexes, people = frames
    header = foreign_header(indexes, sum(map(len, people)), fps)
    return _checked(PoseTrackResult(header, numbered_frames(indexes, people, fps), assumed_fps=True))


def _foreign(data: Any, fps: Fraction) -> PoseTrackResult:
    if is_alphapose(data):
        return _timed(frames_of_alphapose(data), fps)
    if is_alphapose_by_picture(data):
        return _timed(frames_by_picture(data), fps)
    if is_mmpose(data):
        return _timed(frames_of_mmpose(data), fps)
    if is_openpose(data):
        return _timed(frames_of_openpose([("0", data)]), fps)
    if is_coco(data):
        indexes, people = frames_of_coco(data)
    elif isinstance(data, dict) and "annolist" in data:
        indexes, people = frames_of_annolist(data)
        if "dcpose" in data:
            return _with_header(data["dcpose"], indexes, people)
    elif isinstance(data, dict) and {"images", "annotations", "categories"} <= data.keys():
        people = _frames18(data)
        indexes = list(range(len(people)))
    else:
        raise InputError("its layout is none that dcpose knows")
    return _timed((indexes, people), fps)


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
    """People per image, in natural order of the names: of PoseTrack18, and of COCO's labels.

    Joints without a score get 1 where they are annotated, and so do people.
    """
    folders = {str(image.get("vid_id") or PurePosixPath(str(image["file_name"])).parent) for image in data["images"]}
    if len(folders) > 1:
        raise InputError(f"it lists the frames of {len(folders)} videos: give one file per video")
    categories = [c for c in data["categories"] if c.get("keypoints")]
    if len(categories) != 1:
        raise InputError(f"{len(categories)} of its categories have keypoints, one must")
    meant = joints_of_names(categories[0]["keypoints"])
    if not {*meant} >= _LIMBS:
        raise InputError("its category lacks some of the shoulders, elbows, wrists, hips, knees and ankles")
    people: dict[str, list[Person]] = {picture_id(image["id"]): [] for image in data["images"]}
    others = {c["id"] for c in data["categories"] if c is not categories[0] and "id" in c}
    for entry in data["annotations"]:
        if entry.get("category_id") in others:
            continue  # a ball, a bicycle
        persons = listed_picture(entry, people)
        person = _person18(entry, meant, len(persons))
        if person is not None:
            persons.append(person)
    ordered = sorted(data["images"], key=lambda image: natural(PurePosixPath(str(image.get("file_name", "")))))
    return [people[picture_id(image["id"])] for image in ordered]


def _person18(entry: Mapping[str, Any], names: tuple[str, ...], number: int) -> Person | None:
    # A rectangle without joints; other tools write an empty list.
    values = [scalar(value) for value in entry.get("keypoints") or [0] * (3 * len(names))]
    scores = [scalar(value) for value in entry.get("scores") or [1.0] * len(names)]
    if len(values) != 3 * len(names) or len(scores) != len(names):
        raise ValueError("keypoints and scores do not fit the category")
    score_of = dict(zip(names, scores, strict=True))
    joints = triples(values, names)
    for key, known in wholebody_lists(entry):
        joints |= triples([scalar(value) for value in entry[key]], known)
        names += known
    if not joints:
        return None
    scored = {name: (x, y, score_of.get(name, 1.0)) for name, (x, y, _) in joints.items()}
    track, score = entry.get("track_id", number), scalar(entry.get("score", 1.0))
    return raw_person(scored, track, score, entry.get("bbox"), names)


def _checked(result: PoseTrackResult) -> PoseTrackResult:
    if not all(0 <= frame.index < _INT64 for frame in result.frames):
        raise InputError("the number of a frame is below 0 or too large")
    try:
        require_order(result.frames)
        require_crowds(frame.people for frame in result.frames)
    except ValueError as error:
        raise InputError(str(error)) from error
    joints, frames = with_one_skeleton(result.frames)
    return replace(result, frames=frames, joints=joints)
