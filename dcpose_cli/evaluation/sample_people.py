"""The sample clips person by person: what was found of each, for AP, intervals, calibration and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from ..files import write_atomic
from ..results import read_posetrack
from ..skeleton import EDGES, JOINT_GROUPS
from ..video.reader import VideoReader
from .bootstrap import ratio_interval
from .calibration import HitRate, hit_rates
from .grouped_ap import Ap, Matched, grouped_ap
from .pck import Share
from .sample_clips import match_people
from .sample_truth import TruePerson, read_truth

_WITHIN: Final = 0.5  # of a head size


@dataclass(frozen=True, slots=True, eq=False)
class SamplePerson:
    """One person in one frame of a clip.

    found: (17, 3), NaN where nobody was found. hits, visible: (17,) bool. owner: number of the person over all clips.
    """

    clip: Path
    frame: int
    owner: int
    truth: TruePerson
    found: NDArray[np.float32]
    hits: NDArray[np.bool_]
    visible: NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Visible joints found; NaN where none is visible."""
        return float(self.hits.sum() / self.visible.sum()) if self.visible.any() else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class SampleRun:
    """Everybody in all clips, and the predictions per frame as AP wants them."""

    people: list[SamplePerson]
    frames: list[Matched]


def read_run(pairs: Sequence[tuple[Path, Path, Path]]) -> SampleRun:
    """Results against the truth: (clip, result, truth) of every clip. Raises InputError."""
    people: list[SamplePerson] = []
    frames: list[Matched] = []
    owners: dict[tuple[str, int], int] = {}
    for clip, result, truth in pairs:
        found = {frame.index: frame.people for frame in read_posetrack(result).in_slots().frames}
        for index, true_people in enumerate(read_truth(truth)):
            predicted = found.get(index, ())
            by_person = {column: row for row, column in match_people(predicted, true_people)}
            rows = []
            for column, person in enumerate(true_people):
                guess = predicted[by_person[column]].keypoints if column in by_person else None
                owner = owners.setdefault((clip.stem, person.track_id), len(owners))
                if person.head_box is not None:
                    rows.append(_person(clip, index, owner, person, guess))
            left = [p.keypoints[:, 2] for k, p in enumerate(predicted) if k not in by_person.values()]
            people += rows
            frames.append(_matched(rows, left))
    return SampleRun(people, frames)


def _person(clip: Path, index: int, owner: int, truth: TruePerson, guess: NDArray[np.float32] | None) -> SamplePerson:
    found = np.full((17, 3), np.nan, np.float32) if guess is None else guess
    visible = truth.keypoints[:, 2] == 2
    with np.errstate(invalid="ignore"):
        distance = np.hypot(*(found[:, :2] - truth.keypoints[:, :2]).T)
        hits = visible & (distance <= _WITHIN * truth.head_size)
    return SamplePerson(clip, index, owner, truth, found, hits, visible)


def _matched(rows: Sequence[SamplePerson], surplus: Sequence[NDArray[np.float32]]) -> Matched:
    return Matched(
        predicted=np.array([row.found for row in rows], np.float64).reshape(-1, 17, 3),
        truth=np.array([row.truth.keypoints for row in rows], np.float64).reshape(-1, 17, 3),
        areas=np.array([row.truth.bbox[2] * row.truth.bbox[3] for row in rows], np.float64),
        owners=np.array([row.owner for row in rows], np.int64),
        surplus=np.array(surplus, np.float64).reshape(-1, 17),
    )


def sample_shares(run: SampleRun) -> dict[str, Share]:
    """Visible joints found within half a head size, over all ("total") and per group, with intervals over people."""
    owners = np.array([p.owner for p in run.people], int)
    hits, visible = np.array([p.hits for p in run.people]), np.array([p.visible for p in run.people])
    out = {}
    for name, slots in {"total": tuple(range(17)), **JOINT_GROUPS}.items():
        found = np.bincount(owners, hits[:, list(slots)].sum(axis=1))
        joints = np.bincount(owners, visible[:, list(slots)].sum(axis=1))
        interval = ratio_interval(found, joints)
        out[name] = Share(int(found.sum()), int(joints.sum()), int((joints > 0).sum()), interval)
    return out


def sample_ap(run: SampleRun) -> dict[str, Ap]:
    """OKS-AP end to end, hidden joints included; people found where nobody is count against it."""
    return grouped_ap(run.frames)


def sample_hit_rates(run: SampleRun) -> list[HitRate]:
    """What a score means on the clips: within half a head size, of the visible joints of people who were found."""
    found = [p for p in run.people if np.isfinite(p.found[0, 0])]
    if not found:
        return []
    scores, hits = np.array([p.found[:, 2] for p in found]), np.array([p.hits for p in found])
    visible, owners = np.array([p.visible for p in found]), np.array([p.owner for p in found])
    return hit_rates(scores, hits, visible, owners)


#: People on a sheet, and in a row of it; side of a tile in pixels.
_SHEET, _COLUMNS, _TILE = 16, 8, 160
_TRUE, _FOUND = (40, 220, 60), (240, 40, 40)  # RGB


def draw_sheets(run: SampleRun, folder: Path) -> None:
    """`good.jpg` and `bad.jpg` in `folder`: the people done best and worst, truth green and found red.

    At most one frame in ten of each person, so that one long failure does not fill the sheet. Raises OutputError.
    """
    ranked = sorted((p for p in run.people if p.visible.sum() >= 5), key=lambda p: p.share)
    frames: dict[tuple[Path, int], NDArray[np.uint8]] = {}
    for name, order in (("bad", ranked), ("good", ranked[::-1])):
        chosen: list[SamplePerson] = []
        for person in order:
            near = any(p.owner == person.owner and abs(p.frame - person.frame) < 10 for p in chosen)
            if not near and len(chosen) < _SHEET:
                chosen.append(person)
        _load(chosen, frames)
        tiles = [_tile(person, frames[person.clip, person.frame]) for person in chosen]
        tiles += [np.zeros((_TILE, _TILE, 3), np.uint8)] * (-len(tiles) % _COLUMNS)
        rows = [np.concatenate(tiles[k : k + _COLUMNS], axis=1) for k in range(0, len(tiles), _COLUMNS)]
        sheet = np.concatenate(rows) if rows else np.zeros((_TILE, _TILE, 3), np.uint8)
        data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        write_atomic(folder / f"{name}.jpg", data, overwrite=True)


def _load(people: Sequence[SamplePerson], frames: dict[tuple[Path, int], NDArray[np.uint8]]) -> None:
    for clip in {person.clip for person in people}:
        wanted = {person.frame for person in people if person.clip == clip}
        with VideoReader(clip) as reader:
            frames.update({(clip, frame.index): frame.image for frame in reader if frame.index in wanted})


def _tile(person: SamplePerson, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The person in the middle of a square, with some room around."""
    x, y, w, h = (float(v) for v in person.truth.bbox)
    scale = _TILE / (1.3 * max(w, h, 1.0))
    matrix = np.array([[scale, 0, _TILE / 2 - scale * (x + w / 2)], [0, scale, _TILE / 2 - scale * (y + h / 2)]])
    tile = np.asarray(cv2.warpAffine(frame, matrix, (_TILE, _TILE), flags=cv2.INTER_AREA), np.uint8)
    for points, colour in ((person.truth.keypoints, _TRUE), (person.found, _FOUND)):
        if np.isfinite(points[0, 0]):
            places = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
            for a, b in EDGES:
                if person.truth.keypoints[a, 2] > 0 and person.truth.keypoints[b, 2] > 0:
                    ends = [(int(places[k, 0]), int(places[k, 1])) for k in (a, b)]
                    cv2.line(tile, ends[0], ends[1], colour, 1, cv2.LINE_AA)
    text = f"{person.clip.stem} {person.frame}: {100 * person.share:.0f} %"
    cv2.putText(tile, text, (3, 12), cv2.FONT_HERSHEY_PLAIN, 0.85, (255, 255, 0), 1, cv2.LINE_AA)
    return tile
