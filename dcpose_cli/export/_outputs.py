"""Outputs of several files, or a folder of many, that appear together and complete (see files.AtomicFile)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .._claims import claim, make_room, release
from .._sets import publish, replace_folder
from ..errors import OutputError
from ..files import (
    AtomicFile,
    complete_set,
    exchange,
    make_folder,
    output_error,
    printable,
    remove_empty,
    remove_stale_of,
    require_writable_folder,
    sync_file,
    sync_folder,
    temporary_name,
)

#: A file of a set, its journal, and the file that it replaces.
_HANDLES_PER_FILE: Final = 3
#: Writes the content of one output to the path it is given.
Write = Callable[[Path], None]


def write_files(
    files: Mapping[Path, Write], *, overwrite: bool = False, of: Path | None = None, gone: Sequence[Path] = ()
) -> list[Path]:
    """Write every file under a temporary name, then give all of them their names together. Raises OutputError.

    of, gone: as in _sets.publish.
    """
    require_room(list(files))
    outputs: list[AtomicFile] = []
    try:
        outputs += [AtomicFile(target, overwrite=overwrite) for target in files]
        for output, write in zip(outputs, files.values(), strict=True):
            try:
                write(output.temp)
            except OSError as error:
                raise output_error(error, output.target) from error
        publish(outputs, of=of, gone=gone)
    finally:
        for output in reversed(outputs):  # the first one removes the folders that were made
            output.discard()
    return list(files)


def require_room(targets: Sequence[Path]) -> None:
    """Raise OutputError for more files than this process may hold open until all have their names."""
    if not make_room(_HANDLES_PER_FILE * len(targets)):
        raise OutputError(
            f"one of {len(targets)} files, more than can be open at once", path=targets[0], hint="raise ulimit -n"
        )


def require_free_folder(target: Path, is_ours: Callable[[str], bool], *, overwrite: bool) -> None:
    """Raise OutputError unless `target` can become a folder of outputs: it is missing or empty, or, with `overwrite`,
    holds nothing but what `is_ours` names, by its path relative to the folder.

    A replacement that a dead process left unfinished is completed first.
    """
    complete_set(target)
    if not os.path.lexists(target):
        return
    if not target.is_dir() or target.is_symlink():
        raise OutputError("exists and is no folder", path=target, hint="choose another name")
    names = sorted(entry.relative_to(target).as_posix() for entry in target.rglob("*"))
    strangers = [name for name in names if not is_ours(name)]
    if strangers:
        raise OutputError(f"holds other files ({printable(strangers[0])})", path=target, hint="choose another name")
    if names and not overwrite:
        raise OutputError("holds a result already", path=target, hint="pass --overwrite or choose another name")


class AtomicFolder:
    """A folder under construction: fill `temp`, then `commit()` puts it at `target` or `discard()` removes it.

    As a context manager it commits on success and discards when the block raises; an OSError inside the block becomes
    OutputError. is_ours: of the files and folders of an older result, which may be replaced with `overwrite`.
    """

    def __init__(self, target: Path, is_ours: Callable[[str], bool], *, overwrite: bool = False) -> None:
        require_free_folder(target, is_ours, overwrite=overwrite)
        require_writable_folder(target.parent)
        self._made = make_folder(target.parent)
        remove_stale_of(target)
        self.target, self.temp = target, temporary_name(target, claimed=True)
        self._is_ours, self._overwrite = is_ours, overwrite
        try:
            self.temp.mkdir()
            self._claim = claim(self.temp)
        except OSError as error:
            remove_empty(self._made)
            raise output_error(error, target) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.commit()
        finally:
            self.discard()
        if isinstance(error, OSError):
            raise output_error(error, self.target) from error

    def commit(self) -> None:
        """Sync what was written and give the folder its name, in place of an older result."""
        try:
            for path in (*self.temp.rglob("*"), self.temp):
                if path.is_dir():
                    sync_folder(path)
                else:
                    sync_file(path)
            require_free_folder(self.target, self._is_ours, overwrite=self._overwrite)
            self._publish()
        except OSError as error:
            raise output_error(error, self.target) from error
        sync_folder(self.target.parent)

    def _publish(self) -> None:
        if not os.path.lexists(self.target):
            self.temp.rename(self.target)
            return
        if exchange(self.temp, self.target):
            return  # `discard` removes the older result, which has the temporary name now
        replace_folder(self.temp, self.target)

    def discard(self) -> None:
        """Remove the folder under construction, or after a commit the one that it replaced."""
        shutil.rmtree(self.temp, ignore_errors=True)
        handle, self._claim = self._claim, None
        release(handle)
        remove_empty(self._made)  # does nothing after a commit
