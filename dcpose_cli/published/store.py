"""Where published models are kept: the user's data folder, with the hash of every file that came.

models/NAME/model.safetensors   pose models, converted
detectors/NAME.pt               detectors, as they came
hashes/FILE.sha256              the whole hash of each file that came; it stays when the model is removed
models/NAME/model.sha256        the hash of the converted file, as it was made
downloads/                      files on their way
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import urllib.error
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from .._locks import byte_of, locked
from .._paths import data_dir
from .._reading import open_file
from .._text import one_line
from ..errors import UsageError, WeightsError
from ..files import AtomicFile, output_error, write_atomic
from .download import Report, download
from .table import PUBLISHED, WHOLE_HASH, PublishedModel

#: The variable with the address of a mirror.
MIRROR_VARIABLE: Final = "DCPOSE_MIRROR"
#: Longest file taken where the published length is not known, bytes; and how many times as long as known or estimated.
_MOST_BYTES: Final = 1 << 30
_LONGER: Final = 2
_LOCK_NAME: Final = ".lock"
_BLOCK_BYTES: Final = 1 << 20


def models_folder() -> Path:
    """The folder of converted pose models."""
    return data_dir() / "models"


def detector_path(name: str) -> Path:
    """The file of a detector, "yolov8n.pt" say; it need not exist."""
    return data_dir() / "detectors" / name


def note_converted(path: Path) -> None:
    """Remember the hash of a converted model beside it. Raises OutputError, WeightsError."""
    write_atomic(_converted_record(path), file_sha256(path) + "\n", overwrite=True)


def converted_hash(path: Path) -> str:
    """The hash that a converted model had when it was made; "" where it was not remembered."""
    with suppress(OSError, UnicodeDecodeError):
        return _converted_record(path).read_text(encoding="ascii").strip()
    return ""


def forget_converted(path: Path) -> None:
    """Remove what `note_converted` wrote."""
    _converted_record(path).unlink(missing_ok=True)


def _converted_record(path: Path) -> Path:
    return path.with_suffix(".sha256")


def fetched_detectors() -> list[Path]:
    """The detectors that are there, sorted by name."""
    return sorted(detector_path("").glob("*.pt"))


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a weights file. Raises WeightsError when it cannot be read."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror}", path=path, hint="check the file") from error


def hash_problem(entry: PublishedModel, digest: str) -> str:
    """Why a file of this SHA-256 is not the entry's; "" when it is.

    It must be a published hash, or begin like one; where no whole hash is published, also the one that came first.
    """
    if entry.sha256 and not digest.startswith(entry.sha256):
        return f"not the published file (sha256 {digest[:12]}..., published {', '.join(h[:12] for h in entry.sha256)})"
    known = "" if any(len(h) == WHOLE_HASH for h in entry.sha256) else recorded(entry)
    if known in ("", digest):
        return ""
    return f"not the file of the first download (sha256 {digest[:12]}..., then {known[:12]}...)"


def recorded(entry: PublishedModel) -> str:
    """The SHA-256 of the entry's file that came last; "" when none did."""
    with suppress(OSError, UnicodeDecodeError):
        return _record_path(entry.file).read_text(encoding="ascii").strip()
    return ""


def record(entry: PublishedModel, digest: str) -> None:
    """Remember the hash of a file that came. Raises OutputError."""
    if recorded(entry) != digest:
        path = _record_path(entry.file)
        _make_folder(path.parent)
        write_atomic(path, digest + "\n", overwrite=True)


@contextlib.contextmanager
def obtained(
    entry: PublishedModel,
    *,
    file: Path | None = None,
    mirror: str | None = None,
    offline: bool = False,
    report: Report | None = None,
) -> Iterator[Path]:
    """The published file of an entry, its hash checked and recorded, for the time of the block.

    file: one fetched by other means. mirror: address of a folder with the published files, in place of the publisher's;
    without it that of $DCPOSE_MIRROR. A download is kept until the block ends without an error, so that the next call
    resumes it. One process at a time fetches a file, others wait. Raises WeightsError, OutputError, UsageError.
    """
    if file is not None:
        with _copied(entry, file) as (copy, digest):
            try:
                yield copy
            except WeightsError as error:
                raise WeightsError(error.reason, path=file, hint=error.hint) from error
            record(entry, digest)
        return
    if offline:
        raise WeightsError(
            "has not been fetched and --offline forbids the download",
            path=entry.name,
            hint=f"leave --offline out, or {_by_hand(entry)}",
        )
    url = _address(entry, mirror)
    folder = data_dir() / "downloads"
    _make_folder(folder)
    part = _partial(entry)
    try:
        lock = (folder / _LOCK_NAME).open("ab")
    except OSError as error:
        raise output_error(error, folder / _LOCK_NAME) from error
    with lock, locked(lock.fileno(), byte_of(entry.file)):
        digest = _fetch(entry, url, part, report)
        try:
            yield part
        except WeightsError as error:  # no model: to be fetched anew, and not to be remembered
            part.unlink(missing_ok=True)
            raise WeightsError(
                f"what came is no such model: {error.reason}", path=entry.file, hint=_by_hand(entry)
            ) from error
        record(entry, digest)
        part.unlink(missing_ok=True)


def forget_partial(entry: PublishedModel) -> bool:
    """Remove what an interrupted download left; whether there was something."""
    part = _partial(entry)
    there = part.is_file()
    part.unlink(missing_ok=True)
    return there


def _fetch(entry: PublishedModel, url: str, part: Path, report: Report | None) -> str:
    """Download into `part` and check it; its SHA-256. One that was resumed and is wrong is fetched again as a whole."""
    most = _LONGER * entry.size or _MOST_BYTES
    while True:
        try:
            resumed = download(url, part, most_bytes=most, report=report)
        except OSError as error:
            raise WeightsError(
                f"cannot be downloaded from {url}: {_reason(error)}", path=entry.name, hint=_by_hand(entry)
            ) from error
        try:
            return _checked(entry, part)
        except WeightsError:
            part.unlink(missing_ok=True)
            if not resumed:
                raise


def _checked(entry: PublishedModel, path: Path) -> str:
    """The SHA-256 of a file that is the entry's. Raises WeightsError for another one."""
    digest = file_sha256(path)
    problem = hash_problem(entry, digest)
    if problem:
        raise WeightsError(f"what came is {problem}", path=entry.name, hint=_by_hand(entry))
    return digest


@contextlib.contextmanager
def _copied(entry: PublishedModel, file: Path) -> Iterator[tuple[Path, str]]:
    """A copy of a file that somebody fetched, and its SHA-256: whatever happens to the file, these bytes are checked
    and used. Raises WeightsError when they are not the entry's; OutputError when the copy cannot be stored."""
    target = data_dir() / "downloads" / entry.file
    _make_folder(target.parent)
    with AtomicFile(target, overwrite=True) as copy:  # discarded before it gets its name
        digest = _copy(file, copy.temp, _LONGER * entry.size or _MOST_BYTES)
        problem = hash_problem(entry, digest)
        if problem:
            raise WeightsError(problem, path=file, hint=_by_hand(entry))
        yield copy.temp, digest
        copy.discard()


def _blocks(file: Path, most: int) -> Iterator[bytes]:
    """A file from its beginning, up to `most` bytes. Raises WeightsError when it cannot be read."""
    try:
        with open_file(file) as source:
            while most > 0 and (block := source.read(min(most, _BLOCK_BYTES))):
                most -= len(block)
                yield block
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror}", path=file, hint="check the file") from error


def _copy(file: Path, to: Path, most: int) -> str:
    """Copy a file up to `most` bytes; the SHA-256 of what was copied. A longer file has another than its beginning."""
    digest = hashlib.sha256()
    try:
        with to.open("wb") as target:
            for block in _blocks(file, most):
                digest.update(block)
                target.write(block)
    except OSError as error:
        raise output_error(error, to) from error
    return digest.hexdigest()


def _address(entry: PublishedModel, mirror: str | None) -> str:
    base = mirror or os.environ.get(MIRROR_VARIABLE, "")
    if not base:
        return entry.url
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(
            f"a mirror must be an http or https address, got {base!r:.100}", hint="for files on a disk use --from FILE"
        )
    return f"{base.rstrip('/')}/{entry.file}"


def _by_hand(entry: PublishedModel) -> str:
    then = f"use dcpose models get {entry.name} --from FILE" if entry.name in PUBLISHED else "give its path"
    return f"fetch {entry.url} by other means and {then}"


def _reason(error: OSError) -> str:
    """What went wrong with a download, in a line."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} ({one_line(Exception(error.msg))})"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return one_line(cause) if isinstance(cause, BaseException) else str(cause)


def _partial(entry: PublishedModel) -> Path:
    """Where a download grows. Of a detector the ending says what it is."""
    stem, _, ending = entry.file.rpartition(".")
    return data_dir() / "downloads" / f"{stem}.partial.{ending}"


def _record_path(file: str) -> Path:
    return data_dir() / "hashes" / f"{file}.sha256"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"models cannot be stored in this folder: {error.strerror}", path=folder, hint="set XDG_DATA_HOME"
        ) from error
