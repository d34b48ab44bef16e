"""`manifest.jsonl`: what a batch did with each input, one line per input, written so that nothing can tear it.

A line is added when an input is done or has failed, synced to the disk before anything else happens; the last line of
an input counts, a half-written one does not. When the last run on the folder ends, older lines are dropped. Runs that
share the folder claim inputs by locking bytes of the file, so a claim ends with its process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from .._locks import byte_of, lock_shared, locked, try_lock, unlock
from .._schema import build
from ..errors import InputError, OutputError
from ..files import open_own, output_error, read_own, write_atomic
from ..results.quality import Figures
from ..sequences import input_hash, pictures_in

MANIFEST_NAME: Final = "manifest.jsonl"
#: Bytes that are locked while a line is added, and as long as a run lasts.
_WRITING, _RUNNING = 0, 1
_MOST_NS: Final = 2**62


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file, or a folder of pictures, as it was: sha256 and size of its bytes, time of its last change."""

    sha256: str
    size: int
    mtime_ns: int

    @staticmethod
    def of(path: Path) -> Stamp:
        """The stamp of a file now. Raises InputError when it cannot be read."""
        try:
            size, changed = _size_and_change(path)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", path=path, hint="check the file") from error
        return Stamp(input_hash(path) or "", size, changed)

    def fits(self, path: Path) -> bool:
        """Whether the file is unchanged: size and time, or, when these are not the same, its bytes."""
        try:
            size, changed = _size_and_change(path)
            return size == self.size and (changed == self.mtime_ns or input_hash(path) == self.sha256)
        except (OSError, InputError):
            return False


def _size_and_change(path: Path) -> tuple[int, int]:
    """Bytes, and time of the last change in nanoseconds, of a file. Of a folder, sums over its pictures; the latter
    changes with every one of them. Raises OSError."""
    if not path.is_dir():
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    found = [picture.stat() for picture in pictures_in(path)]
    return sum(s.st_size for s in found), sum(s.st_mtime_ns for s in found) % _MOST_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What became of one input.

    input: its path below the folder of the inputs. state: "done", "failed" or "skipped" (no file to read). reason: why
    it failed or was skipped, or what is wrong with a result that is there. code: the exit code of `dcpose estimate`
    for it. output: the result's path below the folder of the results. source, video, json: the files. made_by: models
    and settings. seconds: time taken. run: the run that wrote the line. remote: fingerprint of the files behind URLs.
    figures: of the people in the result; None where an older version wrote the line.
    """

    input: str
    state: str
    reason: str = ""
    code: int = 0
    output: str = ""
    source: Stamp | None = None
    video: Stamp | None = None
    json: Stamp | None = None
    made_by: dict[str, Any] = field(default_factory=dict)
    frames: int = 0
    tracks: int = 0
    seconds: float = 0.0
    run: str = ""
    remote: str = ""
    figures: Figures | None = None

    def text(self) -> str:
        """The line of the file, with its end."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


def parse(text: bytes) -> Line | None:
    """A line of the file; None for one that is torn, or of another kind."""
    try:
        data = json.loads(text)
        if isinstance(data, dict) and "away" in data:  # its name up to version 0.6
            data["remote"] = data.pop("away")
        line: Line = build(Line, data)
    except (ValueError, TypeError, RecursionError):
        return None
    known = line.state in ("done", "failed", "skipped") and isinstance(line.made_by, dict)
    return line if known else None


def read_manifest(folder: Path) -> dict[str, Line]:
    """The last line of every input in a folder of results; empty when there is no manifest."""
    try:
        raw = read_own(folder / MANIFEST_NAME)
    except OSError:
        return {}
    lines = (parse(text) for text in raw.split(b"\n"))
    return {line.input: line for line in lines if line is not None}


class Manifest:
    """The manifest of a folder of results, open for a run; a context manager. Raises OutputError."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MANIFEST_NAME
        self.lines: dict[str, Line] = {}
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._compact()
            else:
                self._remove_empty()
        finally:
            os.close(self._handle)

    def claim(self, name: str) -> bool:
        """Take an input for this process; False while another run has it. `lines` is up to date afterwards."""
        taken = try_lock(self._handle, byte_of(name))
        self.refresh()
        return taken

    def release(self, name: str) -> None:
        """Let others have an input again."""
        unlock(self._handle, byte_of(name))

    def add(self, line: Line) -> None:
        """Write what became of an input. Raises OutputError."""
        try:
            with locked(self._handle, _WRITING):
                end = os.fstat(self._handle).st_size
                torn = end > 0 and self._bytes(end - 1, 1) != b"\n"
                os.write(self._handle, (b"\n" if torn else b"") + line.text().encode())
                os.fsync(self._handle)
        except OSError as error:
            raise output_error(error, self._path) from error
        self.refresh()

    def refresh(self) -> None:
        """Read what other runs have added meanwhile."""
        raw = b""
        while block := self._bytes(self._read + len(raw), 1 << 20):
            raw += block
        whole, newline, _ = raw.rpartition(b"\n")
        self._read += len(whole) + len(newline)
        for line in filter(None, map(parse, whole.split(b"\n"))):
            self.lines[line.input] = line

    def _bytes(self, at: int, count: int) -> bytes:
        os.lseek(self._handle, at, os.SEEK_SET)
        return os.read(self._handle, count)

    def _open(self) -> None:
        """Open the file and say that a run is under way; again, if it was replaced meanwhile."""
        while True:
            try:
                self._handle = open_own(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            except OSError as error:
                raise output_error(error, self._path) from error
            lock_shared(self._handle, _RUNNING)
            with contextlib.suppress(OSError):
                if os.fstat(self._handle).st_ino == self._path.stat().st_ino:
                    break
            os.close(self._handle)
        self._read = 0
        self.refresh()

    def _compact(self) -> None:
        """One line per input, if this was the last run on the folder."""
        if not try_lock(self._handle, _RUNNING):
            return
        self.refresh()
        text = "".join(self.lines[name].text() for name in sorted(self.lines))
        if len(text.encode()) != os.fstat(self._handle).st_size:
            with contextlib.suppress(OutputError):  # only tidiness is lost
                write_atomic(self._path, text, overwrite=True)

    def _remove_empty(self) -> None:
        """A run that fails before its first line leaves no file, if it was the last run on the folder."""
        with contextlib.suppress(OSError):  # some systems do not remove open files
            if try_lock(self._handle, _RUNNING) and os.fstat(self._handle).st_size == 0:
                self._path.unlink(missing_ok=True)
