"""What an output format is: what it is called, its ending, how it is written, and which files must be free."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from .._scratch import scratch_folder
from ..config import EVERYBODY, Measures, Selection
from ..errors import UsageError
from ..files import require_free_target
from ..results.measures import real_rate
from ..results.reader import PoseTrackResult
from ..results.resample import irregular_times
from ..results.serialization import written
from ..skeleton.sets import flip_order, limbs
from ..types import FrameResult, Person
from ._outputs import write_files

#: PoseTrack's track ids end here; a sequence of a result that goes beyond is numbered anew.
LAST_TRACK_ID: Final = 999
#: Joints that a format with a place for every track in every frame is laid out for; each takes 24 bytes, and copies.
MOST_PLACES: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """How to convert. overwrite: replace what is there. track: only this person. metres_per_pixel: for TRC.

    selection: only these people. person_height: metres, and floor_angle: degrees or "auto", as in space.py.
    """

    overwrite: bool = False
    track: int | None = None
    metres_per_pixel: float | None = None
    selection: Selection = EVERYBODY
    person_height: float | None = None
    floor_angle: str | None = None

    @staticmethod
    def of(measures: Measures, *, overwrite: bool) -> Options:
        """The options that measures ask for; resampling is done before."""
        return Options(
            overwrite,
            metres_per_pixel=measures.metres_per_pixel,
            person_height=measures.person_height,
            floor_angle=measures.floor_angle,
        )


class RequireFree(Protocol):
    """Raises OutputError when a file that the format would write is in the way."""

    def __call__(self, out: Path, /, *, overwrite: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Format:
    """An output format. about: one line for users. suffix: of the output file, "" for a folder.

    measures: it can hold metres (space.py). fixed_rate: its readers go by one frame rate. slots: its joints are fixed,
    and it gets the 17 slots of a result alone.
    needs: package that must be installed, with the extra that brings it: ("pynwb", "formats"); None for none.
    write: writes a result to the output and returns all files written; raises UsageError or OutputError and leaves
    nothing then. require_free: called before a video is analysed.
    """

    about: str
    suffix: str
    write: Callable[[PoseTrackResult, Path, Options], list[Path]]
    require_free: RequireFree = require_free_target
    needs: tuple[str, str] | None = None
    measures: bool = False
    fixed_rate: bool = False
    slots: bool = False

    def require_installed(self) -> None:
        """Raises UsageError when the package of the format is missing."""
        if self.needs is not None and find_spec(self.needs[0]) is None:
            package, extra = self.needs
            raise UsageError(f"this format needs the package {package}", hint=f"pip install 'dcpose[{extra}]'")


def one_file(
    write: Callable[[PoseTrackResult, Path], None], per_sequence: int | None = None
) -> Callable[[PoseTrackResult, Path, Options], list[Path]]:
    """`Format.write` of a format that is one file; per_sequence: frames in a sequence, where it has sequences."""

    def run(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
        limited = result if per_sequence is None else within_limits(result, per_sequence)
        return write_files({out: lambda path: write(limited, path)}, overwrite=options.overwrite)

    return run


def by_library(
    write: Callable[[PoseTrackResult, Path], None], suffix: str
) -> Callable[[PoseTrackResult, Path, Options], list[Path]]:
    """`one_file` for a library that opens, locks or names its file as it likes."""
    return one_file(lambda result, path: elsewhere(lambda place: write(result, place), path, suffix))


def elsewhere(write: Callable[[Path], None], path: Path, suffix: str) -> None:
    """Let `write` make a file of this ending in a temporary folder, and copy its content to `path`."""
    with scratch_folder() as folder:
        place = folder / f"result{suffix}"
        with warnings.catch_warnings(action="ignore"):  # what libraries say to programmers
            write(place)
        shutil.copyfile(place, path)


#: A track: position of the frame in the result -> the person in it.
Track = dict[int, Person]


def tracks_of(result: PoseTrackResult) -> dict[int, Track]:
    """Every track by its id, in ascending order."""
    tracks: dict[int, Track] = {}
    for position, frame in enumerate(result.frames):
        for person in frame.people:
            tracks.setdefault(person.track_id, {})[position] = person
    return dict(sorted(tracks.items()))


def within_limits(result: PoseTrackResult, per_sequence: int) -> PoseTrackResult:
    """Track ids counted from 0 in each sequence that has some beyond PoseTrack's; other sequences stay as they are."""
    largest: dict[int, int] = {}
    for frame in result.frames:
        sequence = frame.index // per_sequence
        largest[sequence] = max([largest.get(sequence, 0), *(p.track_id for p in frame.people)])
    if all(largest_id <= LAST_TRACK_ID for largest_id in largest.values()):
        return result
    names: dict[tuple[int, int], int] = {}
    used: dict[int, int] = {}

    def renamed(frame: FrameResult, person: Person) -> Person:
        sequence = frame.index // per_sequence
        if largest[sequence] <= LAST_TRACK_ID:
            return person
        key = sequence, person.track_id
        if key not in names:
            names[key] = used.get(sequence, 0)
            used[sequence] = names[key] + 1
        return replace(person, track_id=names[key])

    frames = [replace(f, people=tuple(renamed(f, p) for p in f.people)) for f in result.frames]
    return replace(result, frames=frames)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A result as arrays, for formats that are tables. F frames, T tracks in ascending order of id.

    ids: (T,) track ids. joints: places, among those of the result, of the J joints that anybody has; names, and limbs
    and pairs of left and right between them: of these. xy: (F, T, J, 2) pixels as written elsewhere,
    NaN where the person or the joint was not found. score: (F, T, J) confidence, NaN there, too. index: (F,) number of
    each frame in the video. time: (F,) seconds. boxes: (F, T, 4) xywh, person_score: (F, T); NaN where not found.
    """

    ids: tuple[int, ...]
    joints: tuple[int, ...]
    xy: NDArray[np.float64]
    score: NDArray[np.float64]
    index: NDArray[np.int64]
    time: NDArray[np.float64]
    boxes: NDArray[np.float64]
    person_score: NDArray[np.float64]
    all_joints: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Names of the joints."""
        return [self.all_joints[place] for place in self.joints]

    @property
    def limbs(self) -> list[tuple[int, int]]:
        """Pairs of places in `names`."""
        at = {place: number for number, place in enumerate(self.joints)}
        return [(at[a], at[b]) for a, b in limbs(self.all_joints) if a in at and b in at]

    @property
    def flip_pairs(self) -> list[tuple[int, int]]:
        """Left and right: pairs of places in `names`."""
        return [(one, other) for one, other in enumerate(flip_order(tuple(self.names))) if one < other]


def cells(result: PoseTrackResult) -> Cells:
    """The arrays of a result. Raises UsageError as `require_places`."""
    tracks = tracks_of(result)
    require_places(result, len(tracks))
    count, ids = len(result.frames), tuple(tracks)
    points = np.full((count, len(ids), len(result.joints), 3), np.nan)
    boxes, person_score = np.full((count, len(ids), 4), np.nan), np.full((count, len(ids)), np.nan)
    for place, track in enumerate(tracks.values()):
        for position, person in track.items():
            numbers = written(person)
            for slot, joint in enumerate(numbers.joints):
                if joint is not None:
                    points[position, place, slot] = joint
            boxes[position, place], person_score[position, place] = numbers.bbox, numbers.score
    there = ~np.isnan(points[..., 0]).all(axis=(0, 1))
    slots = np.flatnonzero(there).tolist() or list(range(len(result.joints)))
    return Cells(
        ids,
        tuple(slots),
        points[:, :, slots, :2],
        points[:, :, slots, 2],
        np.array([frame.index for frame in result.frames], np.int64),
        np.array([frame.time for frame in result.frames], np.float64),
        boxes,
        person_score,
        result.joints,
    )


def require_places(result: PoseTrackResult, tracks: int) -> None:
    """Raises UsageError where a place for every track in every frame takes more memory or room than anybody has."""
    places = tracks * len(result.frames) * len(result.joints)
    if places > MOST_PLACES:
        raise UsageError(
            f"a place for each of {tracks:,} tracks in each of {len(result.frames):,} frames is too much",
            hint="choose tracks with --track, or write csv or parquet, which have rows for those who are there",
        )


def written_rate(result: PoseTrackResult, default: float = 30.0) -> float:
    """Frames per second of real time, `default` where the header does not say; the mean where times are irregular."""
    frames = result.frames
    if irregular_times(result) and frames[-1].time > frames[0].time:
        return (frames[-1].index - frames[0].index) / (frames[-1].time - frames[0].time)
    return real_rate(result.header) or default
