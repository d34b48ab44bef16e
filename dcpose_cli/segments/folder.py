"""Finished parts of a video on disk: what a resumed run reads, and what machines that share a video exchange.

A video is cut at fixed frame numbers into chunks (frames that go through the networks together, see chunks.py), and
every SEGMENT_CHUNKS chunks are a segment. Detection and poses of a segment depend on its own frames and the neighbours
of its first and last ones only, tracking on everybody found before; so a segment is kept in three files, each whole or
absent, in a folder of its own beside the result:

    key.json        what the parts were made of: input, models, settings
    7.seen          of every frame of segment 7: the detections and their appearance (for the tracker)
    7.tracks        ... with identities, expected people included; only for machines that share a video
    7.people        ... with their joints

Each is the SHA-256 of what follows, then an .npz of `frames` (n, 4) int64 (index, pts, damaged, cut), `counts` (n,)
int64 (people per frame) and, people of all frames one after the other, arrays named by the kind. Numbers are stored as
they were computed, so results put together from segments are those of a straight run, to the byte. What cannot be read
counts as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from .. import chunks
from .._locks import try_lock
from .._names import hidden_name
from ..errors import OutputError, UsageError
from ..files import (
    TEMP_SUFFIX,
    is_own_folder,
    make_folder,
    open_own,
    output_error,
    read_own,
    remove_empty,
    require_own_file,
    require_own_folder,
    write_atomic,
)
from ..types import Frame

#: Of a key, whose lists have a value per frame.
_MOST_KEY_BYTES: Final = 64 << 20
FORMAT_VERSION: Final = 2
KEY_NAME: Final = "key.json"

Kind = Literal["seen", "tracks", "people"]
Arrays = dict[str, NDArray[Any]]

#: Ends the names of these folders.
FOLDER_ENDING: Final = f".segments{TEMP_SUFFIX}"
#: Files of the folder, those that a killed run left under temporary names included.
_OWN_FILE: Final = re.compile(r"lock|key\.json|\d+\.(seen|tracks|people)|\..+\.[0-9a-f]{8}" + re.escape(TEMP_SUFFIX))
_OPEN_FILES_CAN_GO: Final = os.name != "nt"  # the lock is one
_CHANGED: Final = {
    "format": "by another version of dcpose",
    "dcpose": "by another version of dcpose",
    "input": "before its input changed",
    "model": "with another pose model",
    "detector": "with another detector",
}
_DIGEST_BYTES: Final = 32
#: Of the arrays of a part, unpacked.
_MOST_PART_BYTES: Final = 1 << 30
#: Names, kinds of numbers and further dimensions of the arrays with a row per person; None: of any length.
_ROWS: Final[Mapping[Kind, Mapping[str, tuple[str, tuple[int | None, ...]]]]] = {
    "seen": {"boxes": ("f", (4,)), "scores": ("f", ()), "appearances": ("f", (None,))},
    "tracks": {
        "boxes": ("f", (4,)),
        "scores": ("f", ()),
        "ids": ("i", ()),
        **dict.fromkeys(("expected", "filled", "between"), ("b", ())),
    },
    "people": {
        "boxes": ("f", (4,)),
        "scores": ("f", ()),
        "ids": ("i", ()),
        "interpolated": ("b", ()),
        "keypoints": ("f", (None, 3)),
    },
}
_UNREADABLE: Final = (
    *(OSError, OutputError, ValueError, KeyError, EOFError, NotImplementedError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One frame of a segment. values: per person of the frame, one row of every array. cut: as in Frame."""

    index: int
    pts: int
    damaged: bool
    values: Arrays
    cut: bool = False

    def is_of(self, frame: Frame) -> bool:
        """Whether it was made from this frame."""
        return (self.index, self.pts, self.damaged) == (frame.index, frame.pts, frame.damaged)


def segments_folder(target: Path) -> Path:
    """The folder of the parts of an unfinished result: hidden, beside it."""
    return target.with_name(hidden_name(target.name, FOLDER_ENDING))


def has_segments(target: Path) -> bool:
    """Whether parts of an unfinished result lie beside it."""
    return is_own_folder(segments_folder(target))


class SegmentFolder:
    """The segments of one result. key: what they are made of; parts with another key count as missing.

    Raises OutputError when the disk is full or the folder cannot be written.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder = folder
        self._key = {"format": FORMAT_VERSION, "segment_chunks": chunks.SEGMENT_CHUNKS, **key}
        text = json.dumps(self._key, sort_keys=True)
        self._key = json.loads(text)
        self._digest = hashlib.sha256(text.encode()).hexdigest()
        self._lock: int | None = None
        self._made: list[Path] = []

    def lock(self) -> bool:
        """Lock the folder for this process until `release` or its end; False when another process holds the lock."""
        try:
            self._make()
            self._require_own_files()
            self._lock = open_own(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise output_error(error, self.folder) from error
        if try_lock(self._lock):
            return True
        os.close(self._lock)
        self._lock = None
        return False

    def _make(self) -> None:
        with contextlib.suppress(FileExistsError):
            self._made = make_folder(self.folder.parent)
            self.folder.mkdir()
            return
        require_own_folder(self.folder)

    def _require_own_files(self) -> None:
        """Raises OutputError for links, pipes and other users' files under the names of ours: none is removed."""
        for path in self.folder.iterdir():
            if _OWN_FILE.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):  # of another run, which has just renamed or removed it
                    require_own_file(path)

    def release(self) -> None:
        """Release the lock. A folder without parts is removed, before that where the system can remove an open file."""
        unused = False
        with contextlib.suppress(OSError):
            unused = not any(path.name[:1].isdigit() for path in self.folder.iterdir())
        if unused and _OPEN_FILES_CAN_GO:
            self._delete()
        handle, self._lock = self._lock, None
        if handle is not None:
            os.close(handle)
        if unused and not _OPEN_FILES_CAN_GO:
            self._delete()

    def require_same(self) -> None:
        """Raises UsageError when the parts there are of another input, model or setting."""
        other = self._stored_key()
        if other is None or other == self._key:
            return
        names = _differences(other, self._key)
        parts = ("resolved", "settings")
        settings = [name for part in parts for name in _differences(other.get(part), self._key.get(part))] or names
        reason = next((_CHANGED[name] for name in _CHANGED if name in names), f"with other settings ({settings[0]})")
        raise UsageError(f"cannot resume: it was begun {reason}", path=self._result_name(), hint="leave out --resume")

    def _result_name(self) -> str:
        return self.folder.name.removeprefix(".").removesuffix(FOLDER_ENDING)

    def is_same(self) -> bool:
        """Whether the parts there, if any, are of this input, these models and settings."""
        return self._stored_key() in (None, self._key)

    def clear(self) -> None:
        """Remove all parts."""
        self._delete(keep="lock")

    def remove(self) -> None:
        """Remove the folder; if it holds files that are not ours, those stay and so does the folder."""
        self._delete(keep="" if _OPEN_FILES_CAN_GO else "lock")
        self.release()

    def _delete(self, keep: str = "") -> None:
        """Remove our files from the folder, and the folder if nothing is left in it."""
        with contextlib.suppress(OSError):
            for path in list(self.folder.iterdir()):
                if _OWN_FILE.fullmatch(path.name) and path.name != keep:
                    path.unlink(missing_ok=True)
            if not keep:
                self.folder.rmdir()
                remove_empty(self._made)

    def has(self, number: int, kind: Kind) -> bool:
        """Whether this part exists."""
        return self._path(number, kind).is_file()

    def read(self, number: int, kind: Kind) -> list[Entry] | None:
        """The frames of a segment; None when this part is missing, damaged, or has another key."""
        try:
            raw = read_own(self._path(number, kind))
            if hashlib.sha256(raw[_DIGEST_BYTES:]).digest() != raw[:_DIGEST_BYTES]:
                return None
            with zipfile.ZipFile(io.BytesIO(raw[_DIGEST_BYTES:])) as archive:
                if sum(member.file_size for member in archive.infolist()) > _MOST_PART_BYTES:
                    return None
            with np.load(io.BytesIO(raw[_DIGEST_BYTES:]), allow_pickle=False) as stored:
                arrays = {name: np.asarray(stored[name]) for name in stored.files}
            return self._entries(arrays, kind)
        except _UNREADABLE:
            return None

    def write(self, number: int, kind: Kind, entries: Sequence[Entry]) -> None:
        """Store a segment, replacing an existing one."""
        arrays: Arrays = {
            "key": np.array(self._digest),
            "frames": np.array([(e.index, e.pts, e.damaged, e.cut) for e in entries], np.int64).reshape(-1, 4),
            "counts": np.array([len(next(iter(e.values.values()), ())) for e in entries], np.int64),
        }
        for name in entries[0].values if entries else ():
            arrays[name] = np.concatenate([entry.values[name] for entry in entries])
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        self.write_key()
        raw = buffer.getvalue()
        write_atomic(self._path(number, kind), hashlib.sha256(raw).digest() + raw, overwrite=True)

    def write_key(self) -> None:
        """Store what the parts are made of."""
        try:
            self._make()
            if self._stored_key() != self._key:
                write_atomic(self.folder / KEY_NAME, json.dumps(self._key, sort_keys=True), overwrite=True)
        except OSError as error:
            raise output_error(error, self.folder) from error

    def _entries(self, arrays: Arrays, kind: Kind) -> list[Entry] | None:
        if str(arrays.pop("key")) != self._digest:
            return None
        frames, counts = arrays.pop("frames"), arrays.pop("counts")
        if not (_is(frames, "i", (4,)) and _is(counts, "i", ()) and len(frames) == len(counts) and (counts >= 0).all()):
            return None
        ends = np.cumsum(counts)
        if len(counts) and not _are_rows(arrays, kind, int(ends[-1])):
            return None
        return [
            Entry(int(index), int(pts), bool(damaged), {k: v[end - count : end] for k, v in arrays.items()}, bool(cut))
            for (index, pts, damaged, cut), count, end in zip(frames, counts, ends, strict=True)
        ]

    def _stored_key(self) -> dict[str, Any] | None:
        try:
            key = json.loads(read_own(self.folder / KEY_NAME, _MOST_KEY_BYTES))
            return key if isinstance(key, dict) else {}
        except (OSError, OutputError, ValueError, RecursionError):
            return None

    def _path(self, number: int, kind: Kind) -> Path:
        return self.folder / f"{number}.{kind}"


def _are_rows(arrays: Arrays, kind: Kind, people: int) -> bool:
    """Whether these are the arrays of a part of that kind, with a row for each of so many people."""
    rows = _ROWS[kind]
    fit = arrays.keys() == rows.keys() and all(
        len(values) == people and _is(values, *rows[name]) for name, values in arrays.items()
    )
    return fit and bool(np.isfinite(arrays["boxes"]).all() and np.isfinite(arrays["scores"]).all())


def _is(values: NDArray[Any], kind: str, shape: tuple[int | None, ...]) -> bool:
    """Whether these are rows of that shape, of numbers of that kind."""
    fits = values.ndim == 1 + len(shape) and all(
        wanted in (None, side) for wanted, side in zip(shape, values.shape[1:], strict=True)
    )
    return fits and values.dtype.kind == kind


def _differences(first: Any, second: Any) -> list[str]:
    """Names of the members in which two JSON objects differ, sorted."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return []
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


class SegmentLog:
    """One kind of part while a run processes a video in order: stored entries are read, new ones written."""

    def __init__(self, folder: SegmentFolder, kind: Kind) -> None:
        self._folder, self._kind = folder, kind
        self._recalled: tuple[int, dict[int, Entry]] | None = None
        self._recording: tuple[int, list[Entry]] | None = None

    def recall(self, segment: int, frames: Sequence[Frame]) -> list[Entry] | None:
        """The entries of these frames of a segment, if it is stored and was made from these frames."""
        if self._recalled is None or self._recalled[0] != segment:
            kept = self._folder.read(segment, self._kind)
            self._recalled = segment, {entry.index: entry for entry in kept or ()}
        entries = [self._recalled[1].get(frame.index) for frame in frames]
        found = [e for e, frame in zip(entries, frames, strict=True) if e is not None and e.is_of(frame)]
        return found if len(found) == len(frames) else None

    def record(self, segment: int, entries: Sequence[Entry]) -> None:
        """Store these entries once their segment is complete."""
        if self._recording is not None and self._recording[0] != segment:
            self.finish()
        if self._recording is None:
            self._recording = segment, []
        self._recording[1].extend(entries)

    def finish(self) -> None:
        """The stream has ended: the segment under way is complete."""
        recording, self._recording = self._recording, None
        if recording is not None:
            self._folder.write(recording[0], self._kind, recording[1])
