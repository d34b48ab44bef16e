"""Reader of the training pack: COCO-style JSON beside tar files of pictures, single people and three-frame windows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._reading import read_file
from ..._text import reason_of
from ...datasets.labels import require_pixels
from ...errors import InputError
from ...pictures import PictureFile, TarIndex
from ...skeleton import LABELLED_SLOTS, NUM_JOINTS
from .pictures import PictureStore, StoredPictures

#: Weight of a joint whose teacher was unsure (v = 1) and of a joint in a doubtful annotation.
UNSURE_WEIGHT = 0.4
SUSPECT_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Frames before and after a current one, nearest first, to choose neighbours from."""

    previous: tuple[PictureFile, ...]
    following: tuple[PictureFile, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PoseSample:
    """One labelled person: a still (one picture) or a window (previous, current, next; all cut alike).

    pictures: (H, W, 3) uint8 RGB each, one or three, perhaps decoded on demand. joints: (K, 17, 3) float32,
    x and y in pixels of the picture and the weight of the label in 0..1, K as pictures. boxes: (K, 4) float32 xywh.
    margin: frames from previous to current and from current to next. human: labelled by a person. name: file or clip.
    neighbours: candidates for previous and next, None where there is no choice.
    """

    pictures: Sequence[NDArray[np.uint8]]
    joints: NDArray[np.float32]
    boxes: NDArray[np.float32]
    margin: tuple[int, int]
    human: bool
    source: str
    name: str
    neighbours: Neighbours | None = None


def read_parts(
    root: Path,
    parts: Sequence[str],
    *,
    split: str | None,
    exclude: Iterable[str] = (),
    limit: int | None = None,
    store: PictureStore | None = None,
    by_score: bool = False,
    held_out: Mapping[str, float] | None = None,
) -> list[PoseSample]:
    """Read the named parts (`stills`, `triplets2`, ...) of the pack in `root`.

    split: "train", "val", or None for all. exclude: sources left out. limit: at most so many per part, evenly spaced.
    store: decodes pictures on demand, where all of them together exceed its limit; otherwise all are decoded here.
    by_score: as in `joints_of`. held_out: the share of a source's people that belong to "val" whatever the part says,
    by a hash of their photograph's or clip's name. Raises InputError when a part or its pictures cannot be read.
    """
    exclude = frozenset(exclude)
    chosen = [_open_part(root, part, split, exclude, limit, held_out or {}) for part in parts]
    lazy = store is not None and sum(part.decoded_bytes() for part in chosen) > store.limit
    out: list[PoseSample] = []
    for part in chosen:
        pictures = _Pictures(part.folder, store, lazy=lazy)
        with named_part(part.path):
            out += [sample for group in part.groups for sample in _samples(group, pictures, by_score)]
    return out


@contextmanager
def named_part(path: Path) -> Iterator[None]:
    """Turns what a malformed part raises into an InputError that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read the training part: {error.strerror}", path=path, hint="check --data") from error
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        reason = reason_of(error)
        raise InputError(f"not a part of a training pack ({reason})", path=path, hint="check --data") from error


#: An image of the pack with its annotations.
_Labelled = tuple[dict[str, Any], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Part:
    """What is wanted of a part: groups of one image, or of the three of a window. folder: of its pictures."""

    path: Path
    folder: Path
    groups: list[list[_Labelled]]

    def decoded_bytes(self) -> int:
        """Of all pictures together, as far as the part gives their sizes."""
        images = (image for group in self.groups for image, _ in group)
        with named_part(self.path):
            return sum(3 * int(image.get("width", 0)) * int(image.get("height", 0)) for image in images)


def _open_part(
    root: Path,
    part: str,
    split: str | None,
    exclude: frozenset[str],
    limit: int | None,
    held_out: Mapping[str, float],
) -> _Part:
    with named_part(root / f"{part}.json"):
        path = part_file(root, part)
    folder = root / "images" if path == root / f"{part}.json" else path.parent
    with named_part(path):
        data = json.loads(read_file(path))
        return _Part(path, folder, _chosen(data, split, exclude, limit, held_out))


def part_file(root: Path, part: str) -> Path:
    """The JSON of a part: in `root`, or in a folder of its own there with its pictures beside it."""
    path, apart = root / f"{part}.json", root / part / f"{part}.json"
    return apart if not path.is_file() and apart.is_file() else path


def _chosen(
    data: dict[str, Any],
    split: str | None,
    exclude: frozenset[str],
    limit: int | None,
    held_out: Mapping[str, float],
) -> list[list[_Labelled]]:
    """The images of a part that are wanted: stills alone, the frames of a window together and in their order."""
    people: dict[int, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        people.setdefault(annotation["image_id"], []).append(annotation)
    groups: dict[Any, list[_Labelled]] = {}
    for image in data["images"]:
        if (split is None or split_of(image, held_out) == split) and image.get("source") not in exclude:
            key = image.get("triplet", ("still", image["id"]))
            groups.setdefault(key, []).append((image, people.get(image["id"], [])))
    found = [sorted(group, key=lambda item: "pcn".index(item[0].get("role", "c"))) for group in groups.values()]
    if limit is not None and len(found) > limit:
        found = [found[i] for i in np.linspace(0, len(found) - 1, limit).astype(int)]
    return found


def split_of(image: dict[str, Any], held_out: Mapping[str, float]) -> str | None:
    """Where an image belongs: what its part says, or "val" where it is held out. People cut out of one photograph, and
    frames of one clip, stay together."""
    source = str(image.get("source", ""))
    photograph = image.get("clip") or image.get("origin") or image["file_name"]
    if is_held_out(f"{source}/{photograph}", held_out.get(source, 0.0)):
        return "val"
    split: str | None = image.get("split")
    return split


def is_held_out(name: str, share: float) -> bool:
    """Whether a clip or photograph belongs to the `share` that is never trained on: a hash of its name decides."""
    return int(hashlib.sha1(name.encode(errors="surrogatepass")).hexdigest()[:8], 16) < share * 2**32


class _Pictures:
    """The pictures of a part, decoded at once; lazy: by the store on demand, and looked at here. Parts that give no or
    wrong sizes become lazy where the limit of the store is reached."""

    def __init__(self, folder: Path, store: PictureStore | None, *, lazy: bool) -> None:
        self._folder, self._store, self._lazy, self._index, self._bytes = folder, store, lazy, TarIndex(), 0

    def of(self, images: Sequence[dict[str, Any]]) -> Sequence[NDArray[np.uint8]]:
        """(H, W, 3) uint8 RGB each. Raises InputError."""
        files = [self._find(image) for image in images]
        if self._lazy and self._store is not None:
            for file in files:
                file.check()  # what cannot be read is named before the first step
            return StoredPictures(self._store, files)
        decoded = tuple(file.decode() for file in files)
        self._bytes += sum(picture.nbytes for picture in decoded)
        self._lazy = self._store is not None and self._bytes > self._store.limit
        return decoded

    def _find(self, image: dict[str, Any]) -> PictureFile:
        shard = PurePath(image["shard"])
        if shard.is_absolute() or ".." in shard.parts:
            raise InputError("leads out of the data folder", path=str(shard), hint="check the training part")
        return self._index.find(self._folder / shard, image["file_name"])


def _samples(group: list[_Labelled], pictures_of: _Pictures, by_score: bool) -> list[PoseSample]:
    """The people of a still, the person of a window; none where a window is incomplete or no joint is labelled."""
    images = [image for image, _ in group]
    people = [[a for a in annotations if _usable(a)] for _, annotations in group]
    if len(images) == 3:
        rows = [[a[0] for a in people]] if all(len(a) == 1 for a in people) else []
    else:
        rows = [[a] for a in people[0]] if len(images) == 1 else []
    if not rows:
        return []
    pictures = pictures_of.of(images)
    gaps = {image.get("role"): int(image.get("gap", 0)) for image in images}
    first = images[0]
    for annotation in (a for row in rows for a in row):
        require_pixels(np.array([*annotation["bbox"], *annotation["keypoints"], *annotation.get("ears", ())], float))
    return [
        PoseSample(
            pictures=pictures,
            joints=np.stack([joints_of(a, by_score=by_score) for a in row]),
            boxes=np.array([a["bbox"] for a in row], np.float32).reshape(len(row), 4),
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


def joints_of(annotation: dict[str, Any], *, by_score: bool = False) -> NDArray[np.float32]:
    """(17, 3) x, y, weight of a pack annotation.

    v = 2 weighs 1. v = 1 weighs 1 where a person placed it (hidden but known), UNSURE_WEIGHT where a teacher did.
    by_score: a teacher's joint weighs as much as its score instead. Annotations marked `suspect` weigh half.
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
    if by_score and "scores" in annotation:
        scores = np.ones(NUM_JOINTS, np.float32)  # ears have none; they keep their level
        scores[list(LABELLED_SLOTS)] = np.clip(np.array(annotation["scores"], np.float32) / 100, 0, 1)
        scores[3:5] = out[3:5, 2]
        out[:, 2] = np.where(human | (v < 1), out[:, 2], scores)
    if annotation.get("suspect"):
        out[:, 2] *= SUSPECT_WEIGHT
    return out
