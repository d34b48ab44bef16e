"""Reads training data in any format that a recipe's [data] names, as lists of PoseSample."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...datasets import (
    LabelledFrame,
    LabelledPerson,
    LabelledVideo,
    read_coco,
    read_label_studio,
    read_lists,
    read_posetrack17,
    read_posetrack18,
)
from ...errors import InputError, UsageError
from ...pictures import PictureFile
from .config import DataConfig
from .pack import Neighbours, PoseSample, is_held_out, part_file, read_parts
from .pictures import PictureStore, StoredPictures, memory_limit

_Sample = TypeVar("_Sample")
#: Pictures that a message names.
_NAMED: Final = 10

_READERS: Final[dict[str, Callable[[Path, Path], list[LabelledVideo]]]] = {
    "coco": read_coco,
    "label-studio": read_label_studio,
    "posetrack18": read_posetrack18,
    "posetrack17": read_posetrack17,
    "posetrack-lists": read_lists,
}


def read_samples(root: Path, data: DataConfig, *, split: str, limit: int | None = None) -> list[PoseSample]:
    """The people of `data` in folder `root` to train ("train") or to validate on ("val").

    limit: at most so many, evenly spaced (of the pack: per part). Held-out clips are in neither.
    Raises InputError or UsageError.
    """
    if data.format == "pack":
        parts = (*data.stills, *data.triplets)
        store = PictureStore(memory_limit(data.memory_gib))
        found = read_parts(
            root,
            parts,
            split=split,
            exclude=data.exclude,
            limit=limit,
            store=store,
            by_score=data.label_scores,
            held_out={one.source: one.share for one in data.validate},
        )
        if not data.hold_out_clips:
            return found
        return [s for s in found if len(s.pictures) == 1 or not is_held_out(s.name, data.hold_out_clips)]
    named = data.train if split == "train" else data.val
    if not named:
        return []
    videos = _READERS[data.format](_below(root, named), root / data.images)
    kept = [v for v in videos if not is_held_out(v.name, data.hold_out_clips)]
    return evenly_spaced(list(_samples(kept, data)), limit)


def label_files(root: Path, data: DataConfig) -> dict[str, Path]:
    """The files and folders of labels that `data` names, by these names, whether they are there or not."""
    if data.format == "pack":
        return {part: part_file(root, part) for part in (*data.stills, *data.triplets)}
    return {name: root / name for name in (data.train, data.val) if name}


def evenly_spaced(samples: list[_Sample], limit: int | None) -> list[_Sample]:
    """At most `limit` of the samples, at equal distances in the list."""
    if limit is None or len(samples) <= limit:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, limit).astype(int)]


def draw_neighbours(sample: PoseSample, rng: np.random.Generator) -> PoseSample:
    """The sample with randomly chosen neighbours, where there is a choice (SPEC 6.4: RANDOM_AUX_FRAME)."""
    choice = sample.neighbours
    if choice is None or not isinstance(sample.pictures, StoredPictures):
        return sample
    before = int(rng.integers(len(choice.previous))) if choice.previous else -1
    after = int(rng.integers(len(choice.following))) if choice.following else -1
    current = sample.pictures.files[1]
    files = (
        choice.previous[before] if before >= 0 else current,
        current,
        choice.following[after] if after >= 0 else current,
    )
    return replace(sample, pictures=sample.pictures.choose(files), margin=(max(1, before + 1), max(1, after + 1)))


def _below(root: Path, named: str) -> Path:
    path = root / named
    if not os.path.exists(path):  # noqa: PTH110 - Path's raises for a name too long
        raise UsageError("of the recipe's [data] does not exist", path=path, hint="check the recipe and --data")
    return path


def _samples(videos: Iterable[LabelledVideo], data: DataConfig) -> Iterator[PoseSample]:
    store = PictureStore(memory_limit(data.memory_gib))
    videos = list(videos)
    _require_pictures(videos, data.distance)
    for video in videos:
        for number, frame in enumerate(video.frames):
            for person in frame.people:
                yield _sample(video, number, person, data, store)


def _require_pictures(videos: Iterable[LabelledVideo], distance: int) -> None:
    """Raise InputError before the first step, with all pictures that cannot be read."""
    failed: list[InputError] = []
    for video in videos:
        looked_at: set[Path] = set()
        for number, frame in enumerate(video.frames):
            around = max(0, number - distance + 1), number + distance
            for near in video.frames[slice(*around)] if frame.people else ():
                if near.picture not in looked_at:
                    looked_at.add(near.picture)
                    try:
                        PictureFile(near.picture).check()
                    except InputError as error:
                        failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        names = ", ".join(str(error.path) for error in failed[:_NAMED])
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        raise InputError(f"{len(failed)} pictures cannot be read: {names}{more}", hint="check the paths in the labels")


def _sample(
    video: LabelledVideo, number: int, person: LabelledPerson, data: DataConfig, store: PictureStore
) -> PoseSample:
    frames, frame = video.frames, video.frames[number]
    current = PictureFile(frame.picture)
    if len(frames) == 1:
        return _person(person, [person.joints], StoredPictures(store, [current]), (1, 1), None, frame, video)
    reach = data.distance - 1
    # Nearest first, as far as the video goes.
    before = tuple(frames[number - k] for k in range(1, min(reach, number) + 1))
    after = tuple(frames[number + k] for k in range(1, min(reach, len(frames) - 1 - number) + 1))
    # Before a random choice, and in validation, the nearest, as in inference; without random choice the farthest.
    pick = 0 if data.random_neighbours else -1
    chosen = (before[pick] if before else frame, frame, after[pick] if after else frame)
    margin = (1, 1) if data.random_neighbours else (max(1, len(before)), max(1, len(after)))
    neighbours = None
    if data.random_neighbours and max(len(before), len(after)) > 1:
        neighbours = Neighbours(
            tuple(PictureFile(f.picture) for f in before), tuple(PictureFile(f.picture) for f in after)
        )
    joints = [person.joints if f is frame else _joints_of(f, person.track_id) for f in chosen]
    pictures = StoredPictures(store, [PictureFile(f.picture) for f in chosen])
    return _person(person, joints, pictures, margin, neighbours, frame, video)


def _joints_of(frame: LabelledFrame, track: int | None) -> NDArray[np.float32]:
    """Joints of the same person in a neighbouring frame; of weight 0 where they are not labelled."""
    same = [p.joints for p in frame.people if track is not None and p.track_id == track]
    return same[0] if len(same) == 1 else np.zeros((17, 3), np.float32)


def _person(
    person: LabelledPerson,
    joints: list[NDArray[np.float32]],
    pictures: StoredPictures,
    margin: tuple[int, int],
    neighbours: Neighbours | None,
    frame: LabelledFrame,
    video: LabelledVideo,
) -> PoseSample:
    return PoseSample(
        pictures=pictures,
        joints=np.stack(joints),
        boxes=np.repeat(person.box[None], len(joints), axis=0),
        margin=margin,
        human=True,
        source=video.name if len(joints) == 3 else "",
        name=video.name if len(joints) == 3 else frame.name,
        neighbours=neighbours,
    )
