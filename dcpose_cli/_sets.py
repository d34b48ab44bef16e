"""Files that get their names together: all new, or all as they were.

A failure gives back what had been replaced. A process that is killed leaves the old set, or the new one, or a journal
with which the next run, and whoever reads the set with dcpose, completes the new one (_recovery.py).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ._claims import claim, release
from ._recovery import (
    MAX_JOURNAL_BYTES,
    Journal,
    complete,
    give_name,
    journal_of,
    remove_journals,
    sync_file,
    sync_folder,
)
from .errors import OutputError
from .files import AtomicFile, output_error, remove_stale_of, require_free_target, temporary_name

#: How long another process may take to rename the files of the same set.
_PATIENCE_S = 10.0


def publish(outputs: Sequence[AtomicFile], *, of: Path | None = None, gone: Sequence[Path] = ()) -> None:
    """Give all files their names, in order. Raises OutputError; then every name holds what it held before.

    What reads or writes a name of the set, with any ending, completes it after a kill. of: another name that stands
    for all in its folder. gone: files of the older set that are removed; they lie in the folder of `of`.
    """
    for output in outputs:
        output.sync()  # slow; what follows is only names
    obsolete = [path for path in gone if os.path.lexists(path)]
    if len(outputs) == 1 and not obsolete:
        outputs[0].commit()
        return
    with _journals(outputs, of, obsolete) as journals:
        names = _Names()
        try:
            for output in outputs:
                names.give(output)
            for path in obsolete:
                names.take_away(path, like=outputs[0].target)
            remove_journals(journals)
        except BaseException:
            names.restore()
            raise
        finally:
            names.forget()
    for output in outputs:
        output.named()


def replace_folder(temporary: Path, target: Path) -> None:
    """Give a finished folder the name of an older one, where the system cannot exchange two names. Raises OutputError.

    For a moment neither has the name; a process that is killed then leaves a journal, as with files.
    """
    path = journal_of(target)
    journal = Journal(secrets.token_hex(8), ((temporary.name, target.name, temporary.lstat().st_ino),), overwrite=True)
    handle = _write(path, journal.as_json())
    try:
        give_name(temporary, target, overwrite=True)
        remove_journals([path])
    except OSError as error:
        raise output_error(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        release(handle)


@dataclass(frozen=True, slots=True)
class _Change:
    """A name that was given or taken away. temp: of the new file. old: second name of what was there."""

    target: Path
    temp: Path | None
    old: Path | None


class _Names:
    """Names given so far, and the means to give back what had them."""

    def __init__(self) -> None:
        self._changes: list[_Change] = []
        self._claims: list[int | None] = []

    def give(self, output: AtomicFile) -> None:
        """Rename a finished file. Raises OutputError."""
        try:
            old = self._second_name(output.target) if output.overwrite else None
            self._changes.append(_Change(output.target, output.temp, old))
            give_name(output.temp, output.target, overwrite=output.overwrite)
        except FileExistsError as error:
            require_free_target(output.target, overwrite=False)
            raise output_error(error, output.target) from error
        except OSError as error:
            raise output_error(error, output.target) from error

    def take_away(self, target: Path, *, like: Path) -> None:
        """Take the name of a file away; it gets a temporary one of `like`, which the next run looks for.

        Raises OutputError.
        """
        old = temporary_name(like, claimed=True)
        try:
            target.rename(old)
            self._changes.append(_Change(target, None, old))
            self._claims.append(claim(old))
        except OSError as error:
            raise output_error(error, target) from error

    def _second_name(self, target: Path) -> Path | None:
        """Another name for an existing file, so that it can be brought back; None where there is none."""
        if not os.path.lexists(target):
            return None
        old = temporary_name(target, claimed=True)
        try:
            os.link(target, old, follow_symlinks=False)
        except (OSError, NotImplementedError):  # a file system without hard links
            target.rename(old)
        self._claims.append(None if old.is_symlink() else claim(old))
        return old

    def restore(self) -> None:
        """Every name holds what it held; the new files have their temporary names again, for a kill at this moment."""
        for change in reversed(self._changes):
            with contextlib.suppress(OSError):
                self._restore(change)

    @staticmethod
    def _restore(change: _Change) -> None:
        target, temp, old = change.target, change.temp, change.old
        if temp is not None and os.path.lexists(target):
            if not os.path.lexists(temp):
                target.replace(temp)
            elif os.path.samestat(temp.lstat(), target.lstat()):
                target.unlink()
        if old is not None:
            old.replace(target)

    def forget(self) -> None:
        """Remove what was replaced."""
        for change in self._changes:
            if change.old is not None:
                with contextlib.suppress(OSError):
                    change.old.unlink(missing_ok=True)
        for handle in self._claims:
            release(handle)


@contextmanager
def _journals(outputs: Sequence[AtomicFile], of: Path | None, gone: Sequence[Path]) -> Iterator[list[Path]]:
    """The journals of a set while its files get their names, the deciding one first. Raises OutputError."""
    shares: dict[Path, list[AtomicFile]] = {}
    for output in outputs:
        together = of is not None and of.parent == output.target.parent
        shares.setdefault(journal_of(of if of is not None and together else output.target), []).append(output)
    paths = list(shares)
    name, held = secrets.token_hex(8), list[int | None]()
    try:
        for path in reversed(paths):
            decides = path == paths[0]
            journal = Journal(
                name,
                tuple((output.temp.name, output.target.name, output.temp.lstat().st_ino) for output in shares[path]),
                tuple((file.name, file.lstat().st_ino) for file in gone) if decides else (),
                outputs[0].overwrite,
                None if decides else str(paths[0].resolve()),
                tuple(str(other.resolve()) for other in paths[1:]) if decides else (),
            )
            held.append(_write(path, journal.as_json()))
        yield paths
    except OSError as error:
        raise output_error(error, outputs[0].target) from error
    finally:
        for path in paths[len(paths) - len(held) :]:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for handle in held:
            release(handle)


def _write(path: Path, data: bytes) -> int | None:
    """Write and claim a journal; another one of this name is completed first. Raises OutputError."""
    if len(data) > MAX_JOURNAL_BYTES:
        raise OutputError("one of too many files for one set", path=path, hint="write fewer at once")
    remove_stale_of(path)
    temporary, deadline, handle = temporary_name(path, claimed=True), time.monotonic() + _PATIENCE_S, None
    try:
        with temporary.open("xb") as file:  # never into a file, or through a link, that has the name already
            file.write(data)
        handle = claim(temporary)
        sync_file(temporary)
        while True:
            with contextlib.suppress(FileExistsError):
                give_name(temporary, path, overwrite=False)
                break
            complete(path)
            if time.monotonic() > deadline:
                raise OutputError(
                    "is there: another run is writing this output, or something else has this name",
                    path=path,
                    hint="wait for it, or remove it",
                )
            time.sleep(0.02)
        sync_folder(path.parent)
    except BaseException as error:
        if not isinstance(error, FileExistsError):
            temporary.unlink(missing_ok=True)
        release(handle)
        if isinstance(error, OSError):
            raise output_error(error, path) from error
        raise
    return handle
