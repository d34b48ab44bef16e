"""OpenPose's output: a folder with one JSON per frame, 25 joints per person (BODY_25).

NAME_000000000007_keypoints.json is frame 7, counted from 0; NAME is the folder's name. Each file is

    {"version": 1.3, "people": [{"person_id": [track], "pose_keypoints_2d": [25 x (x, y, confidence)], ...}]}

with the empty lists that OpenPose writes for face, hands and 3D. Joints: nose, neck, right and left arm, mid-hip, right
and left leg, eyes, ears, feet. Where the result has no neck and no mid-hip, they are the middle of the shoulders and of
the hips, each with the lower of the two confidences, as OpenPose's training labels have it. A joint that was not
predicted is 0, 0, 0: of models that do not know them, eyes and feet. Of models that know them, the lists of the face
(70 points, of which 68 and 69, the pupils, are 0, 0, 0) and of the hands (21 points each) are filled. Our head_bottom
and head_top have no place, nor have boxes and times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..results.reader import PoseTrackResult
from ..results.serialization import COORDINATE_DECIMALS, compact_json, rounded, written
from ..results.skeletons import BODY_25 as JOINTS
from ..skeleton.sets import FACE, HANDS
from ..types import Person
from ._outputs import AtomicFolder, require_free_folder
from .format import Format, Options

#: BODY_25 in order: the slot of the same joint, the two whose middle it is, or nothing.
BODY_25: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Nose", ("nose",)),
    ("Neck", ("left_shoulder", "right_shoulder")),
    ("RShoulder", ("right_shoulder",)),
    ("RElbow", ("right_elbow",)),
    ("RWrist", ("right_wrist",)),
    ("LShoulder", ("left_shoulder",)),
    ("LElbow", ("left_elbow",)),
    ("LWrist", ("left_wrist",)),
    ("MidHip", ("left_hip", "right_hip")),
    ("RHip", ("right_hip",)),
    ("RKnee", ("right_knee",)),
    ("RAnkle", ("right_ankle",)),
    ("LHip", ("left_hip",)),
    ("LKnee", ("left_knee",)),
    ("LAnkle", ("left_ankle",)),
    ("REye", ("right_eye",)),
    ("LEye", ("left_eye",)),
    ("REar", ("right_ear",)),
    ("LEar", ("left_ear",)),
    ("LBigToe", ("left_big_toe",)),
    ("LSmallToe", ("left_small_toe",)),
    ("LHeel", ("left_heel",)),
    ("RBigToe", ("right_big_toe",)),
    ("RSmallToe", ("right_small_toe",)),
    ("RHeel", ("right_heel",)),
)
#: Lists of points that models of the whole body fill, with the joints in their order; OpenPose's face has two pupils.
_PARTS: Final[dict[str, tuple[str, ...]]] = {
    "face_keypoints_2d": (*FACE, "", ""),
    "hand_left_keypoints_2d": HANDS["left"],
    "hand_right_keypoints_2d": HANDS["right"],
}
_EMPTY: Final = ("pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d")
_Joint = tuple[float, float, float] | None
_FILE: Final = re.compile(r".*_\d{12,}_keypoints\.json", re.DOTALL)
_MAX_NAME_BYTES: Final = 200


def is_openpose_file(name: str) -> bool:
    """Whether a file in the folder is one of ours."""
    return _FILE.fullmatch(name) is not None


def write_openpose(result: PoseTrackResult, folder: Path, *, overwrite: bool = False) -> None:
    """Write the folder. Raises OutputError."""
    stem = folder.name
    while len(stem.encode()) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    with AtomicFolder(folder, is_openpose_file, overwrite=overwrite) as output:
        for frame in result.frames:
            content = {"version": 1.3, "people": [_person(person) for person in frame.people]}
            path = output.temp / f"{stem}_{frame.index:012d}_keypoints.json"
            path.write_text(compact_json(content) + "\n", encoding="utf-8")


def _person(person: Person) -> dict[str, Any]:
    numbers = written(person)
    joints = dict(zip(person.joints, numbers.joints, strict=True))
    keypoints: list[float] = []
    for name, (_, sources) in zip(JOINTS, BODY_25, strict=True):
        keypoints += joints.get(name) or _middle([joints.get(source) for source in sources])
    parts = {key: _points(names, joints) for key, names in _PARTS.items()}
    return {"person_id": [numbers.track_id], "pose_keypoints_2d": keypoints} | parts | {key: [] for key in _EMPTY}


def _points(names: Sequence[str], joints: Mapping[str, _Joint]) -> list[float]:
    """x, y, confidence of some joints, one after the other; nothing where the model knows none of them."""
    if not any(name in joints for name in names):
        return []
    return [value for name in names for value in joints.get(name) or (0, 0, 0)]


def _middle(joints: Sequence[_Joint]) -> tuple[float, float, float]:
    there = [joint for joint in joints if joint is not None]
    if not there or len(there) < len(joints):
        return 0, 0, 0
    x, y = (rounded(sum(joint[axis] for joint in there) / len(there), COORDINATE_DECIMALS) for axis in (0, 1))
    return x, y, min(joint[2] for joint in there)


def _write(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
    write_openpose(result, out, overwrite=options.overwrite)
    return [out]


def _require_free(out: Path, *, overwrite: bool) -> None:
    require_free_folder(out, is_openpose_file, overwrite=overwrite)


FORMAT = Format("OpenPose: a folder with a JSON per frame", "", _write, _require_free)
