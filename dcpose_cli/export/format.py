"""What an output format is: what it is called, its ending, how it is written, and which files must be free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from ..config import EVERYBODY, Selection
from ..files import require_free_target
from ..results.reader import PoseTrackResult
from ..types import FrameResult, Person
from ._outputs import write_files

#: PoseTrack's track ids end here; a sequence of a result that goes beyond is numbered anew.
LAST_TRACK_ID: Final = 999


@dataclass(frozen=True, slots=True)
class Options:
    """How to convert. overwrite: replace what is there. track: only this person. metres_per_pixel: for TRC.

    selection: only these people.
    """

    overwrite: bool = False
    track: int | None = None
    metres_per_pixel: float | None = None
    selection: Selection = EVERYBODY


class RequireFree(Protocol):
    """Raises OutputError when a file that the format would write is in the way."""

    def __call__(self, out: Path, /, *, overwrite: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Format:
    """An output format. about: one line for users. suffix: of the output file, "" for a folder.

    write: writes a result to the output and returns all files written; raises UsageError or OutputError and leaves
    nothing then. require_free: called before a video is analysed.
    """

    about: str
    suffix: str
    write: Callable[[PoseTrackResult, Path, Options], list[Path]]
    require_free: RequireFree = require_free_target


def one_file(
    write: Callable[[PoseTrackResult, Path], None], per_sequence: int | None = None
) -> Callable[[PoseTrackResult, Path, Options], list[Path]]:
    """`Format.write` of a format that is one file; per_sequence: frames in a sequence, where it has sequences."""

    def run(result: PoseTrackResult, out: Path, options: Options) -> list[Path]:
        limited = result if per_sequence is None else within_limits(result, per_sequence)
        return write_files({out: lambda path: write(limited, path)}, overwrite=options.overwrite)

    return run


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
