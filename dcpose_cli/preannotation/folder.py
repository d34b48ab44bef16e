"""A folder of pictures and COCO keypoints to be corrected in a labelling tool, and then trained on.

images/NAME_000123.jpg                       frame 123 of the video NAME
annotations/person_keypoints_default.json    COCO keypoints; the name that CVAT gives it, too
cvat_labels.json                             the label `person` for CVAT: its skeleton
label_studio_tasks.json                      the same pictures and labels for Label Studio
label_studio_interface.xml                   its labelling interface
recipe.toml                                  for `dcpose train`

The category has the joints that the result has. Visibility is 2 for a joint of at least SURE confidence, 1 for a less
sure one, 0 for one that was not predicted or lies outside the picture. Beside COCO's keys, images have `frame` (number
in the video), `time` (seconds) and `reasons` (choice.py), annotations `track_id` and `score`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from dcpose_cli._opencv import cv2

from ..config import EVERYBODY, Selection
from ..errors import InputError, UsageError
from ..export._outputs import AtomicFolder, require_free_folder
from ..files import printable, require_not_input, require_writable_folder, short_name
from ..render.redraw import differences, open_again
from ..results.foreign import read_result
from ..results.format import CATEGORY
from ..results.reader import PoseTrackResult
from ..results.selected import selected
from ..results.serialization import COORDINATE_DECIMALS, compact_json, present, rounded, written
from ..skeleton.sets import limbs
from ..types import Frame, Person
from .choice import Choice, choose_frames
from .cvat import label_of
from .label_studio import interface_of, tasks_of

#: Confidence from which on a joint counts as seen.
SURE: Final = 0.3
MOST_FRAMES: Final = 100_000
LABELS: Final = "annotations/person_keypoints_default.json"
RECIPE: Final = "recipe.toml"
_CVAT: Final = "cvat_labels.json"
_TASKS: Final = "label_studio_tasks.json"
_INTERFACE: Final = "label_studio_interface.xml"
_JPEG_QUALITY: Final = 95
_MAX_STEM_BYTES: Final = 100
#: What some systems allow in no name of a file.
_NOT_IN_NAMES: Final = '\\/:*?"<>|'


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """What was written. frames, people: counts. reasons: number of frames per reason. warnings: one line each."""

    folder: Path
    frames: int
    people: int
    reasons: Mapping[str, int]
    warnings: tuple[str, ...]


def write_labels(
    result: Path,
    video: Path,
    out: Path,
    *,
    frames: int,
    other: Path | None = None,
    selection: Selection = EVERYBODY,
    overwrite: bool = False,
) -> LabelSummary:
    """Write the folder `out`: `frames` frames of a video with the people of its result as labels to be corrected.

    other: a result of another model; frames where the two disagree come first. selection: only these people.
    Equal input gives equal bytes. Raises UsageError, InputError or OutputError; then nothing is written.
    """
    result, video, out = Path(result), Path(video), Path(out)
    if not 1 <= frames <= MOST_FRAMES:
        raise UsageError(f"--frames must lie between 1 and {MOST_FRAMES}, got {frames}")
    require_not_input(out, [path for path in (result, video, other) if path is not None])
    require_free_folder(out, is_ours, overwrite=overwrite)
    require_writable_folder(out.parent)
    found = selected(read_result(result), selection)
    second = None if other is None else read_result(Path(other)).frames
    chosen = choose_frames(found.frames, frames, second, everybody=selection.everybody)
    if not chosen:
        raise InputError("no frame shows people", path=result, hint="there is nothing to label")
    warnings = []
    if len(chosen) < frames:
        warnings.append(f"only {len(chosen)} frames of {printable(result)} differ enough to be worth labelling")
    with AtomicFolder(out, is_ours, overwrite=overwrite) as folder:
        said, people = _fill(folder.temp, video, found, chosen)
    reasons = Counter(reason for choice in chosen for reason in choice.reasons)
    return LabelSummary(out, len(chosen), people, dict(reasons), (*said, *warnings))


def is_ours(name: str) -> bool:
    """Whether something in the folder, by its relative path, is of a kind that this module writes."""
    if name in ("images", "annotations", LABELS, RECIPE, _CVAT, _TASKS, _INTERFACE):
        return True
    first, _, rest = name.partition("/")
    stem, _, number = rest.rpartition("_")
    return first == "images" and "/" not in rest and bool(stem) and number[-4:] == ".jpg" and number[:-4].isdigit()


def _fill(folder: Path, video: Path, result: PoseTrackResult, chosen: Sequence[Choice]) -> tuple[list[str], int]:
    """Write everything below `folder`; warnings, and the number of people."""
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    joints = _joints_of(result)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    stem = short_name(
        "".join(c if c.isprintable() and c not in _NOT_IN_NAMES else "_" for c in video.stem), _MAX_STEM_BYTES
    )
    with closing(open_again(video, result)) as reader:
        warnings = list(differences(video, reader.info, result))
        for frame, choice in _pictures(reader, chosen, video):
            name = f"{stem}_{frame.index:06d}.jpg"
            (folder / "images" / name).write_bytes(_jpeg(frame))
            height, width = frame.image.shape[:2]
            images.append(_image(len(images) + 1, name, (width, height), choice))
            for person in choice.frame.people:
                entry = _annotation(person, joints, (width, height))
                if entry is not None:
                    annotations.append({"id": len(annotations) + 1, "image_id": len(images), **entry})
    names = [result.joints[slot] for slot in joints]
    places = {slot: place for place, slot in enumerate(joints)}
    bones = [(places[a], places[b]) for a, b in limbs(result.joints) if a in places and b in places]
    # As CVAT writes it: its converter takes a category with a supercategory for a joint of another one.
    category = CATEGORY | {"supercategory": "", "keypoints": names, "skeleton": [[a + 1, b + 1] for a, b in bones]}
    labels = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / LABELS).write_text(compact_json(labels) + "\n", encoding="ascii")
    (folder / _CVAT).write_text(compact_json([label_of(names, bones)]) + "\n", encoding="ascii")
    model = result.header.get("model")
    name = str(model.get("name", "")) if isinstance(model, Mapping) else ""
    (folder / _TASKS).write_text(compact_json(tasks_of(labels, name or "dcpose")) + "\n", encoding="ascii")
    (folder / _INTERFACE).write_text(interface_of(names), encoding="utf-8")
    (folder / RECIPE).write_text(recipe_text(LABELS), encoding="utf-8")
    return warnings, len(annotations)


def recipe_text(train: str, val: str = "") -> str:
    """A recipe that goes on from dcpose-s. train, val: the files of labels, relative to the folder."""
    text = (files(__package__) / RECIPE).read_text(encoding="utf-8")
    named = f'train = "{train}"' + (f'\nval = "{val}"' if val else "")
    return text.replace(f'train = "{LABELS}"', named)


def _pictures(reader: Iterable[Frame], chosen: Sequence[Choice], video: Path) -> Iterator[tuple[Frame, Choice]]:
    """The chosen frames as pictures. Raises InputError for a video that ends before them."""
    wanted = {choice.frame.index: choice for choice in chosen}
    for frame in reader:
        if frame.index in wanted:
            yield frame, wanted.pop(frame.index)
            if not wanted:
                return
    raise InputError(
        f"it has no frame {min(wanted)}, which the result has", path=video, hint="give the video it was made from"
    )


def _jpeg(frame: Frame) -> bytes:
    done, data = cv2.imencode(".jpg", frame.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done  # any (H, W, 3) uint8 picture can be encoded
    return data.tobytes()


def _joints_of(result: PoseTrackResult) -> list[int]:
    """Slots of the joints that anybody has."""
    there = np.zeros(len(result.joints), np.bool_)
    for frame in result.frames:
        for person in frame.people:
            there |= present(person.keypoints)
    return np.flatnonzero(there).tolist()


def _image(number: int, name: str, size: tuple[int, int], choice: Choice) -> dict[str, Any]:
    frame = choice.frame
    facts = {"frame": frame.index, "time": round(frame.time, 6), "reasons": list(choice.reasons)}
    return {"id": number, "file_name": name, "width": size[0], "height": size[1], **facts}


def _annotation(person: Person, slots: Sequence[int], size: tuple[int, int]) -> dict[str, Any] | None:
    """Somebody as COCO has it; None for a box outside the picture."""
    numbers = written(person)
    low = np.maximum(person.bbox[:2], 0)
    high = np.minimum(person.bbox[:2] + person.bbox[2:], size)
    width, height = (rounded(value, COORDINATE_DECIMALS) for value in high - low)
    if min(width, height) <= 0:
        return None
    keypoints: list[float] = []
    for slot in slots:
        joint = numbers.joints[slot]
        inside = joint is not None and -0.5 <= joint[0] < size[0] and -0.5 <= joint[1] < size[1]
        keypoints += [joint[0], joint[1], 2 if joint[2] >= SURE else 1] if joint is not None and inside else [0, 0, 0]
    return {
        "category_id": 1,
        "keypoints": keypoints,
        "num_keypoints": sum(value > 0 for value in keypoints[2::3]),
        "bbox": [*(rounded(value, COORDINATE_DECIMALS) for value in low), width, height],
        "area": rounded(width * height, COORDINATE_DECIMALS),
        "iscrowd": 0,
        "segmentation": [],
        "track_id": numbers.track_id,
        "score": numbers.score,
    }
