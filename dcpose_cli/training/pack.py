"""Reader of the training pack: COCO-style JSON beside tar files of pictures, single people and three-frame windows."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import shown
from ..skeleton import LABELLED_SLOTS, NUM_JOINTS

#: Weight of a joint whose teacher was unsure (v = 1) and of a joint in a doubtful annotation.
UNSURE_WEIGHT = 0.4
SUSPECT_WEIGHT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class PoseSample:
    """One labelled person: a still (one picture) or a window (previous, current, next; all cut alike).

    pictures: (H, W, 3) uint8 RGB each, one or three. joints: (K, 17, 3) float32, x and y in pixels of the picture and
    the weight of the label in 0..1, K as pictures. boxes: (K, 4) float32 xywh. margin: frames from previous to current
    and from current to next. human: labelled by a person. name: source and file or clip.
    """

    pictures: tuple[NDArray[np.uint8], ...]
    joints: NDArray[np.float32]
    boxes: NDArray[np.float32]
    margin: tuple[int, int]
    human: bool
    source: str
    name: str


def read_parts(
    root: Path,
    parts: Sequence[str],
    *,
    split: str | None,
    exclude: Iterable[str] = (),
    limit: int | None = None,
    hold_out: float = 0.0,
) -> list[PoseSample]:
    """Read the named parts (`stills`, `triplets2`, ...) of the pack in `root`, all pictures decoded.

    split: "train", "val", or None for all. exclude: sources left out. limit: at most so many per part, evenly spread.
    hold_out: share of the clips that are left out (`is_held_out`).
    Raises InputError when a part or its pictures cannot be read.
    """
    out: list[PoseSample] = []
    for part in parts:
        out.extend(_read_part(root, part, split, frozenset(exclude), limit, hold_out))
    return out


def _read_part(
    root: Path, part: str, split: str | None, exclude: frozenset[str], limit: int | None, hold_out: float
) -> list[PoseSample]:
    path = root / f"{part}.json"
    folder = root / "images"
    if not path.is_file() and (root / part / f"{part}.json").is_file():
        path, folder = root / part / f"{part}.json", root / part
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        chosen = _chosen(data, split, exclude, limit, hold_out)
        with _Tars(folder) as tars:
            return [sample for group in chosen for sample in _samples(group, tars)]
    except OSError as error:
        raise InputError(f"cannot read the training part {shown(path)}: {error.strerror}; check --data") from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{shown(path)} is not a part of a training pack ({reason}); check --data") from error


def is_held_out(clip: str, share: float) -> bool:
    """Whether a clip belongs to the `share` (0..1) of all clips that training leaves out: decided by its name alone,
    so that it is the same in every part and every run."""
    return int(hashlib.sha1(clip.encode()).hexdigest()[:8], 16) < share * 2**32


#: An image of the pack with its annotations.
_Labelled = tuple[dict[str, Any], list[dict[str, Any]]]


def _chosen(
    data: dict[str, Any], split: str | None, exclude: frozenset[str], limit: int | None, hold_out: float
) -> list[list[_Labelled]]:
    """The images of a part that are wanted: stills alone, the frames of a window together and in their order."""
    people: dict[int, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        people.setdefault(annotation["image_id"], []).append(annotation)
    groups: dict[Any, list[_Labelled]] = {}
    for image in data["images"]:
        wanted = (split is None or image.get("split") == split) and image.get("source") not in exclude
        if wanted and not ("clip" in image and is_held_out(image["clip"], hold_out)):
            key = image.get("triplet", ("still", image["id"]))
            groups.setdefault(key, []).append((image, people.get(image["id"], [])))
    found = [sorted(group, key=lambda item: "pcn".index(item[0].get("role", "c"))) for group in groups.values()]
    if limit is not None and len(found) > limit:
        found = [found[i] for i in np.linspace(0, len(found) - 1, limit).astype(int)]
    return found


class _Tars:
    """Open tar files, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tarfile.TarFile] = {}
        self._stack = ExitStack()

    def __enter__(self) -> _Tars:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def picture(self, image: dict[str, Any]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        shard, name = image["shard"], shown(image["file_name"])
        try:
            if shard not in self._open:
                self._open[shard] = self._stack.enter_context(tarfile.open(self._folder / shard, "r:"))  # noqa: SIM115
            member = self._open[shard].extractfile(image["file_name"])
            data = member.read() if member else b""
        except (OSError, KeyError, tarfile.TarError) as error:
            raise InputError(f"cannot read {name} from {shown(self._folder / shard)}: {error}; check --data") from error
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if bgr is None:
            raise InputError(f"{name} in {shown(self._folder / shard)} is not a picture; check --data")
        return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def _samples(group: list[_Labelled], tars: _Tars) -> list[PoseSample]:
    """The people of a still, the person of a window; none where a window is incomplete or nobody has joints."""
    images = [image for image, _ in group]
    people = [[a for a in annotations if _usable(a)] for _, annotations in group]
    if len(images) == 3:
        rows = [[a[0] for a in people]] if all(len(a) == 1 for a in people) else []
    else:
        rows = [[a] for a in people[0]] if len(images) == 1 else []
    if not rows:
        return []
    pictures = tuple(tars.picture(image) for image in images)
    gaps = {image.get("role"): int(image.get("gap", 0)) for image in images}
    first = images[0]
    return [
        PoseSample(
            pictures=pictures,
            joints=np.stack([joints_of(a) for a in row]),
            boxes=np.array([a["bbox"] for a in row], np.float32),
            margin=(max(1, -gaps.get("p", -1)), max(1, gaps.get("n", 1))),
            human=row[0].get("label_kind") == "human",
            source=str(first.get("source", "")),
            name=str(first.get("clip", first["file_name"])),
        )
        for row in rows
    ]


def _usable(annotation: dict[str, Any]) -> bool:
    """Whether it has joints and a box to cut out."""
    return "keypoints" in annotation and annotation["bbox"][2] > 0 and annotation["bbox"][3] > 0


def joints_of(annotation: dict[str, Any]) -> NDArray[np.float32]:
    """(17, 3) x, y, weight of a pack annotation.

    v = 2 weighs 1. v = 1 weighs 1 where a person placed it (hidden but known), UNSURE_WEIGHT where a teacher did.
    Annotations marked `suspect` weigh half.
    """
    out = np.zeros((NUM_JOINTS, 3), np.float32)
    out[list(LABELLED_SLOTS)] = np.array(annotation["keypoints"], np.float32).reshape(15, 3)
    if "ears" in annotation:
        out[3:5] = np.array(annotation["ears"], np.float32).reshape(2, 3)
    v = out[:, 2].copy()
    kinds = annotation.get("joint_kind")
    human = np.array([kinds[j] == "h" for j in range(NUM_JOINTS)]) if kinds else np.zeros(NUM_JOINTS, bool)
    if not kinds and annotation.get("label_kind") == "human":
        human[:] = True
    out[:, 2] = np.where(v >= 2, 1.0, np.where(v >= 1, np.where(human, 1.0, UNSURE_WEIGHT), 0.0))
    if annotation.get("suspect"):
        out[:, 2] *= SUSPECT_WEIGHT
    return out
