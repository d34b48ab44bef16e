"""Files that are whole or not there: atomic outputs, checks made before work starts, fingerprints.

An output is written beside its target under a hidden temporary name, synced to the disk and renamed, so a reader of
the target sees the old state or the finished file, never a part of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dcpose_cli._claims import claim, claimed_token, release, unclaimed_token
from dcpose_cli._names import MAX_NAME_BYTES
from dcpose_cli._reading import open_file, state_of
from dcpose_cli._recovery import complete_set as complete_set
from dcpose_cli._recovery import give_name, remove_stale
from dcpose_cli._recovery import sync_file as sync_file
from dcpose_cli._recovery import sync_folder as sync_folder
from dcpose_cli._text import printable as printable
from dcpose_cli.errors import InputError, OutputError, UsageError

#: Ending of every temporary file; what is left under it after a crash may be deleted.
TEMP_SUFFIX = ".part"

#: Flags of `open_own` where the system has them. O_BINARY: Windows would change the ends of lines.
#: Of a file of our own making.
_MOST_OWN_BYTES = 1 << 30
_OWN_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_CHUNK_BYTES = 1 << 20
_AT_FDCWD = -100
_LEFTOVER = re.compile(r"\.[0-9a-f]{8}" + re.escape(TEMP_SUFFIX))
_FULL = {errno.ENOSPC: "disk full", errno.EDQUOT: "disk quota exceeded", errno.EFBIG: "file size limit reached"}


def is_full(error: OSError) -> bool:
    """Whether a write failed because there is no room: a full disk, a quota, a limit on the size of files."""
    return error.errno in _FULL


def output_error(exc: BaseException, path: Path) -> OutputError:
    """The OutputError for a failed write to `path`; its reason is "disk full" if that is the cause."""
    code = getattr(exc, "errno", None)
    if code in _FULL:
        return OutputError(_FULL[code], path=path, hint="free some space or write elsewhere")
    reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return OutputError(f"cannot be written: {reason}", path=path, hint="choose another output or folder")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes. Raises InputError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open_file(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=path, hint="check the file") from exc
    return digest.hexdigest()


def sha256_since(path: Path, state: tuple[int, ...] | None) -> str:
    """`sha256_of` a file that was read since it had this state (_reading.state_of).

    Raises InputError when it has changed since: the hash would be that of other bytes.
    """
    digest = sha256_of(path)
    if state_of(path) != state:
        raise InputError("it changed while it was read", path=path, hint="run again when nobody writes to it")
    return digest


def open_own(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file of our own making that lies where others may put theirs; returns its descriptor.

    Never follows a link, never waits (for a pipe). Raises OutputError for a link, for what is no regular file, and for
    another user's file; OSError as os.open does.
    """
    try:
        handle = os.open(path, flags | _OWN_FLAGS, 0o666)
    except OSError as exc:
        if path.is_symlink():
            raise _not_ours(path, "is a symbolic link") from exc
        raise
    try:
        _require_own(path, os.fstat(handle), stat.S_ISREG, "is not a file")
    except BaseException:
        os.close(handle)
        raise
    return handle


def read_own(path: Path, most: int = _MOST_OWN_BYTES) -> bytes:
    """All bytes of a file of our own making. Raises as `open_own`, and OutputError for more than `most` bytes."""
    with os.fdopen(open_own(path), "rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise _not_ours(path, "is larger than any")
        return file.read(most)


def require_own_folder(folder: Path) -> None:
    """Raise OutputError unless a folder of our own making is one, no link, and this user's."""
    try:
        _require_own(folder, folder.lstat(), stat.S_ISDIR, "is not a folder")
    except OSError as exc:
        raise output_error(exc, folder) from exc


def require_own_file(path: Path) -> None:
    """Raise OutputError unless a file of our own making is one, no link, and this user's; OSError as lstat does."""
    _require_own(path, path.lstat(), stat.S_ISREG, "is not a file")


def is_own_folder(folder: Path) -> bool:
    """Whether a folder is there and as `require_own_folder` wants it."""
    try:
        require_own_folder(folder)
    except OutputError:
        return False
    return True


def _require_own(path: Path, status: os.stat_result, kind: Callable[[int], bool], otherwise: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _not_ours(path, "is a symbolic link")
    if not kind(status.st_mode):
        raise _not_ours(path, otherwise)
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid() and status.st_uid != _uid_there(path.parent):
        raise _not_ours(path, "belongs to another user")


def _uid_there(folder: Path) -> int:
    """Whom a file that this process makes in `folder` belongs to: network file systems rename users."""
    try:
        probe = _probe(folder)
        try:
            return probe.stat().st_uid
        finally:
            probe.unlink(missing_ok=True)
    except OSError:
        return -1


def _probe(folder: Path) -> Path:
    """A new empty file, to be removed at once; those of dead processes are removed."""
    name = folder / "check"
    remove_stale_of(name)
    return _create_new(temporary_name(name, claimed=True))


def _not_ours(path: Path, what: str) -> OutputError:
    return OutputError(
        f"this {what}, where dcpose stores files of its own", path=path, hint="remove it, or choose another output"
    )


def same_file(first: Path, second: Path) -> bool:
    """True when both names lead to one existing file, through symbolic or hard links too."""
    try:
        return first.samefile(second)
    except OSError:
        return False


def require_not_input(target: Path, inputs: Iterable[Path]) -> None:
    """Raise UsageError when writing `target` would replace one of `inputs`."""
    for source in inputs:
        if same_file(target, source):
            raise UsageError(f"this is the input {printable(source)}", path=target, hint="choose another output")


def require_distinct(outputs: Sequence[Path]) -> None:
    """Raise UsageError when two outputs of a command have one name: one of them would be lost."""
    for number, output in enumerate(outputs):
        if any(os.path.realpath(output) == os.path.realpath(other) for other in outputs[:number]):
            raise UsageError("two outputs have this name", path=output, hint="choose another for one of them")


def require_free_target(target: Path, *, overwrite: bool) -> None:
    """Raise OutputError when `target` is a folder, pipe or device, or exists and `overwrite` is off.

    A set of files that a dead process left half renamed is completed first.
    """
    complete_set(target)
    if target.is_dir():
        raise OutputError("this is a folder", path=target, hint="name a file")
    if target.exists() and not target.is_file():
        raise OutputError("this is a pipe or device, not a file", path=target, hint="choose another output")
    if not overwrite and os.path.lexists(target):
        remove_stale_of(target)  # the run that made it may have been killed right after
        raise OutputError("exists already", path=target, hint="pass --overwrite or choose another name")


def require_writable_folder(folder: Path) -> None:
    """Raise OutputError unless a file can be made in `folder`, tried by making one.

    A folder that is missing is made later (`make_folder`): the nearest one above it that exists is looked at.
    """
    nearest = folder
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        if len(os.fsencode(nearest.name)) > MAX_NAME_BYTES:
            raise OutputError("cannot be made: its name is too long", path=folder, hint="choose another")
        nearest = nearest.parent
    try:
        _probe(nearest).unlink(missing_ok=True)
    except FileNotFoundError as exc:
        raise OutputError("this folder does not exist", path=folder, hint="create it first") from exc
    except NotADirectoryError as exc:
        raise OutputError("not a folder", path=nearest, hint="choose another") from exc
    except OSError as exc:
        raise output_error(exc, folder) from exc


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and the missing ones above it; returns those that were made, the inner ones first.

    Raises OutputError.
    """
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
    except OSError as exc:
        remove_empty(missing)
        raise OutputError(f"the folder cannot be made: {exc.strerror}", path=folder, hint="choose another") from exc
    return missing


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that hold nothing; others stay."""
    for path in folders:
        with contextlib.suppress(OSError):
            path.rmdir()


def temporary_name(target: Path, *, claimed: bool = False) -> Path:
    """A fresh hidden name beside `target`, never longer than file systems allow.

    claimed: for what `_claims.claim` is called with next; it is removed by a later run if this process dies.
    """
    ending = f".{claimed_token() if claimed else unclaimed_token()}{TEMP_SUFFIX}"
    return target.with_name(_temporary_stem(target, len(ending)) + ending)


def remove_stale_of(target: Path) -> None:
    """Remove temporary files and folders of `target` whose processes died."""
    stem = _temporary_stem(target, len(f".{'0' * 8}{TEMP_SUFFIX}")) + "."
    remove_stale(target.parent, (stem, f".{stem}"))  # also of a file that was written beside its temporary name


def short_name(name: str, most: int, *, of: str | None = None) -> str:
    """A name of at most `most` bytes: a longer one is cut and gets a hash of `of` (the whole name), so that names
    which begin alike stay apart."""
    return name if len(os.fsencode(name)) <= most else marked_name(name, most, of=of or name)


def marked_name(name: str, most: int, *, of: str) -> str:
    """A name with a hash of `of`, cut to `most` bytes."""
    mark = hashlib.sha256(os.fsencode(of)).hexdigest()[:12]
    while len(os.fsencode(name)) > most - len(mark) - 1:
        name = name[:-1]
    return f"{name}~{mark}"


def _temporary_stem(target: Path, ending: int) -> str:
    """What temporary names of `target` begin with; ending: bytes that follow."""
    stem = target.name
    while len(os.fsencode(stem)) > MAX_NAME_BYTES - ending - 1:
        stem = stem[:-1]
    return f".{stem}"


def remove_leftovers(target: Path) -> None:
    """Remove temporary files of `target` that a killed run left; nobody else may be writing it."""
    stem = _temporary_stem(target, len(f".{'0' * 8}{TEMP_SUFFIX}"))
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            if path.name.startswith(stem) and _LEFTOVER.fullmatch(path.name, len(stem)):
                path.unlink(missing_ok=True)


class AtomicFile:
    """An output under construction: write to `temp`, then `commit()` puts it at `target` or `discard()` removes it.

    As a context manager it commits on success and discards when the block raises. A folder that is missing is made, and
    removed again when the target is not published. Raises OutputError at construction when `target` exists (without
    `overwrite`) or its folder cannot be written, and from `commit()` when the target appeared meanwhile or the disk is
    full.
    """

    def __init__(self, target: Path, *, overwrite: bool = False) -> None:
        require_free_target(target, overwrite=overwrite)
        require_writable_folder(target.parent)
        self.target = target
        self.overwrite = overwrite
        self._open = True
        #: Whether the target is the file made here.
        self.published = False
        self._made = make_folder(target.parent)
        remove_stale_of(target)
        try:
            self.temp = _create_new(temporary_name(target, claimed=True))
            self._claim = claim(self.temp)
        except OSError as exc:
            raise output_error(exc, target) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()

    def commit(self) -> None:
        """Sync the temporary file, give it the target's name and sync the folder."""
        if not self._open:
            return
        try:
            sync_file(self.temp)
            self._publish()
            self.published = True
        except OSError as exc:
            raise output_error(exc, self.target) from exc
        finally:
            self.discard()
        sync_folder(self.target.parent)

    def sync(self) -> None:
        """Wait until the temporary file is on the disk. Raises OutputError."""
        try:
            sync_file(self.temp)
        except OSError as exc:
            raise output_error(exc, self.target) from exc

    def named(self) -> None:
        """The file has its name, as one of a set (_sets.py)."""
        self.published = True
        self.discard()

    def discard(self) -> None:
        """Remove the temporary file; nothing happens after a commit."""
        if self._open:
            self._open = False
            with contextlib.suppress(OSError):
                self.temp.unlink(missing_ok=True)
            release(self._claim)
            if not self.published:
                remove_empty(self._made)

    def _publish(self) -> None:
        try:
            give_name(self.temp, self.target, overwrite=self.overwrite)
        except FileExistsError:
            require_free_target(self.target, overwrite=False)
            raise


def exchange(first: Path, second: Path) -> bool:
    """Let two existing files or folders swap their names, in one step; False where the system cannot.

    Linux: renameat2 with RENAME_EXCHANGE; macOS: renamex_np with RENAME_SWAP. Whoever looks, and a process that is
    killed, sees both names as they were or both swapped.
    """
    library: Any = ctypes.CDLL(None) if os.name == "posix" else None
    names = os.fsencode(first), os.fsencode(second)
    if hasattr(library, "renameat2"):
        return bool(library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], 2) == 0)
    if hasattr(library, "renamex_np"):
        return bool(library.renamex_np(*names, 2) == 0)
    return False


def write_atomic(target: Path, data: bytes | str, *, overwrite: bool = False) -> None:
    """Write `data` (text as UTF-8) to `target`, wholly or not at all. Raises OutputError."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    with AtomicFile(target, overwrite=overwrite) as output:
        try:
            output.temp.write_bytes(raw)
        except OSError as exc:
            raise output_error(exc, target) from exc


def _create_new(path: Path) -> Path:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return path
