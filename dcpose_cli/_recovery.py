"""What dead processes left: sets of files that got some of their names are completed, temporary files are removed.

Files that belong together (a video and its JSON, the tables of a CSV) get their names as a set (_sets.py): when all
are on the disk under temporary names, a journal `.NAME.set.part` is written beside them, then the files are renamed,
then the journal is removed. NAME is the name of an output without its ending. While a journal exists the set counts
as written. When its process died, whoever reads or writes one of these outputs with dcpose gives the remaining files
their names first. A journal is JSON:

    {"set": random text, "moves": [[temporary name, name, inode], ...], "gone": [[name, inode], ...],
     "overwrite": true, "first": null, "others": []}

gone: files of the older set that the new one does not have. All are names in the journal's folder. The inode numbers
are those of the files: a journal that came with files from elsewhere, in an archive, names and removes nothing but
itself. A set whose files have several names, or lie in several folders, has a journal for each. The first one is
written last; the others name it as `first`, and count only while it exists.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dcpose_cli._claims import has_locks, is_of_this_host, is_temporary, other_token, take
from dcpose_cli._names import hidden_name

#: Ends the name of a journal.
JOURNAL_ENDING: Final = ".set.part"
#: Longest journal; what is longer is none.
MAX_JOURNAL_BYTES: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Journal:
    """Files of a set that lie in one folder; see the head of this file. first, others: paths of journals."""

    set: str
    moves: tuple[tuple[str, str, int], ...]
    gone: tuple[tuple[str, int], ...] = ()
    overwrite: bool = False
    first: str | None = None
    others: tuple[str, ...] = ()

    def as_json(self) -> bytes:
        """The content of the file."""
        return json.dumps(asdict(self)).encode()


def journal_of(target: Path) -> Path:
    """Where the journal of a set is that `target` belongs to, if there is one."""
    return target.with_name(hidden_name(target.stem, JOURNAL_ENDING))


def complete_set(target: Path) -> None:
    """Complete the set of a dead process that `target` belongs to; nothing happens when that is not possible."""
    with contextlib.suppress(OSError, ValueError):  # a name that no file system takes
        complete(journal_of(target))


def complete_sets(folder: Path) -> list[Path]:
    """Complete every set of dead processes in a folder; the files of these sets."""
    done: list[Path] = []
    for name in _journals(folder):
        with contextlib.suppress(OSError):
            done += complete(folder / name)
    return done


def complete(path: Path) -> list[Path]:
    """Complete the set of a journal unless its process lives; the files of the set in this folder. Raises OSError."""
    try:
        handle = take(path, free=True)  # to complete a set twice at once does no harm
    except FileNotFoundError:
        return []
    if handle is None:
        return []
    try:
        journal = _read(handle)
        if journal is None or not _counts(path.parent, journal):
            path.unlink(missing_ok=True)  # it never counted
            return []
        if journal.first is None:
            _complete(path, journal)
    finally:
        os.close(handle)
    if journal.first is not None:
        complete(Path(journal.first))
    _remove_unheld(path.parent, f".{path.name}.")  # it may still have its own temporary name
    return [path.with_name(name) for _, name, _ in journal.moves]


def _complete(path: Path, journal: Journal) -> None:
    shares = {path: journal}
    for other in map(Path, journal.others):
        share = _read_path(other)
        if share is not None and share.set == journal.set and _is_of_its_files(other.parent, share):
            shares[other] = share
    for folder, share in ((found.parent, share) for found, share in shares.items()):
        for temporary, name, _ in share.moves:
            try:
                give_name(folder / temporary, folder / name, overwrite=share.overwrite)
            except FileExistsError:  # somebody's, made since
                (folder / temporary).unlink(missing_ok=True)
        named = all(_inode(folder / name) == inode for _, name, inode in share.moves)
        for name, inode in share.gone if named else ():
            if _inode(folder / name) == inode:
                (folder / name).unlink(missing_ok=True)
    remove_journals(shares)  # a journal of others may name any file: what is no journal of this set stays


def remove_journals(journals: Iterable[Path]) -> None:
    """Sync the folders of a set that is complete, and remove its journals, the first one first. Raises OSError."""
    paths = list(journals)
    for path in paths:
        sync_folder(path.parent)
    for path in paths:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def give_name(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a finished temporary file or folder. Nothing happens when there is none: somebody has completed the set.

    A folder that is replaced has a temporary name for a moment.
    Raises FileExistsError when something else has the name, without `overwrite`; OSError as os.rename.
    """
    try:
        mine = temporary.lstat()
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mine.st_mode) or stat.S_ISDIR(mine.st_mode)):
        return
    with contextlib.suppress(FileNotFoundError):
        there = target.lstat()
        if os.path.samestat(mine, there):  # renaming a file to another name of itself does nothing
            temporary.unlink()
            return
        if not overwrite:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    if stat.S_ISDIR(mine.st_mode):
        _give_name_to_folder(temporary, target)
        return
    if overwrite:
        temporary.replace(target)
        return
    try:
        # A hard link fails when the name is taken: no file that appeared meanwhile is lost.
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        temporary.rename(target)
        return
    temporary.unlink()


def _give_name_to_folder(temporary: Path, target: Path) -> None:
    old = temporary.with_name(other_token(temporary.name))
    replaces = os.path.lexists(target)
    if replaces:
        target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        if replaces:
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def remove_stale(folder: Path, stem: str | tuple[str, ...] = ".") -> list[Path]:
    """Remove what dead processes of this host left in `folder` under names that begin so; what was removed.

    Sets are completed first, so that no file of one is removed.
    """
    complete_sets(folder)
    return _remove_unheld(folder, stem)


def _remove_unheld(folder: Path, stem: str | tuple[str, ...]) -> list[Path]:
    removed: list[Path] = []
    if has_locks():
        with contextlib.suppress(OSError):
            mine = [name for name in os.listdir(folder) if name.startswith(stem) and is_of_this_host(name)]  # noqa: PTH208
            removed.extend(path for path in (folder / name for name in mine) if _remove(path))
    return removed


def _remove(path: Path) -> bool:
    """Remove a file or folder that nobody holds; False for any other."""
    try:
        handle = take(path, folders=True)
    except OSError:  # gone, or a link
        return False
    if handle is None:
        return False
    try:
        if path.name in _journaled(path.parent):
            return False
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _journals(folder: Path) -> list[str]:
    try:
        return sorted(filter(_is_journal, os.listdir(folder)))  # noqa: PTH208
    except OSError:
        return []


def _is_journal(name: str) -> bool:
    return name.startswith(".") and name.endswith(JOURNAL_ENDING)


def _journaled(folder: Path) -> set[str]:
    """Temporary names that are part of a set."""
    journals = filter(None, (_read_path(folder / name) for name in _journals(folder)))
    return {temporary for journal in journals for temporary, _, _ in journal.moves}


def _counts(folder: Path, journal: Journal) -> bool:
    """Whether a journal is of the files in its folder, and the deciding journal exists."""
    if not _is_of_its_files(folder, journal):
        return False
    if journal.first is None:
        return True
    first = _read_path(Path(journal.first))
    return first is not None and first.set == journal.set and first.first is None  # journals in a circle decide nothing


def _is_of_its_files(folder: Path, journal: Journal) -> bool:
    return all(_inode(folder / temporary) in (inode, None) for temporary, _, inode in journal.moves)


def _inode(path: Path) -> int | None:
    """None for a file that is not there."""
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None


def _read_path(path: Path) -> Journal | None:
    try:
        handle = take(path, lock=False)
    except OSError:
        return None
    if handle is None:
        return None
    try:
        return _read(handle)
    finally:
        os.close(handle)


def _read(handle: int) -> Journal | None:
    """The journal in an open file; None when it is none."""
    try:
        data = json.loads(os.read(handle, MAX_JOURNAL_BYTES))
        return _checked(data) if isinstance(data, dict) else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _checked(data: Mapping[str, Any]) -> Journal:
    """Raises KeyError, TypeError or ValueError unless it is a journal: of names in its own folder, none of them twice,
    and of paths of journals."""
    moves = tuple((_name(temporary), _name(name), _number(inode)) for temporary, name, inode in data["moves"])
    gone = tuple((_name(name), _number(inode)) for name, inode in data["gone"])
    first = None if data["first"] is None else _journal_path(data["first"])
    names = [*(name for pair in moves for name in pair[:2]), *(name for name, _ in gone)]
    if not moves or len({*names}) != len(names):
        raise ValueError("no files, or one of them twice")
    if not all(is_temporary(temporary) for temporary, _, _ in moves):
        raise ValueError("no temporary name")
    return Journal(
        str(data["set"]), moves, gone, data["overwrite"] is True, first, tuple(map(_journal_path, data["others"]))
    )


def _name(value: object) -> str:
    """The name of a file in the folder of the journal. Raises TypeError or ValueError."""
    name = _text(value)
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError("a path, not a name")
    return name


def _journal_path(value: object) -> str:
    """Raises TypeError or ValueError."""
    text = _text(value)
    if not (Path(text).is_absolute() and _is_journal(Path(text).name)):
        raise ValueError("not the path of a journal")
    return text


def _text(value: object) -> str:
    """A text that can be the name of a file. Raises TypeError or ValueError."""
    if not isinstance(value, str):
        raise TypeError("no text")
    os.fsencode(value)  # raises UnicodeEncodeError
    if "\0" in value:
        raise ValueError("a NUL")
    return value


def _number(value: object) -> int:
    """Raises TypeError."""
    if not isinstance(value, int):
        raise TypeError("no number")
    return value


def sync_file(path: Path) -> None:
    """Wait until a file is on the disk. Raises OSError."""
    _sync(path, os.O_RDWR | getattr(os, "O_BINARY", 0))  # Windows syncs no file that is open for reading only


def sync_folder(folder: Path) -> None:
    """Wait until the entries of a folder are on the disk. Does nothing where that is not possible (Windows)."""
    with contextlib.suppress(OSError):
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
