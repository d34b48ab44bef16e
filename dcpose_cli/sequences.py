"""Pictures as a video: a folder of them, a pattern (`frame_%04d.png`, `*.jpg`), or a single one."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Final

from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.files import sha256_of

#: Endings of pictures that can be decoded.
PICTURE_SUFFIXES: Final = frozenset({".bmp", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_NUMBER: Final = re.compile(r"%(0?)([0-9]{0,2})d")
_DIGITS: Final = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Sequence:
    """Pictures in the order of time. path: as the user named them. files: at least one."""

    path: Path
    files: tuple[Path, ...]

    def sha256(self) -> str:
        """Hash of a single picture, or of the hashes of several. Raises InputError."""
        if len(self.files) == 1:
            return sha256_of(self.files[0])
        return hashlib.sha256("".join(map(sha256_of, self.files)).encode()).hexdigest()

    def missing(self) -> tuple[int, int]:
        """How many numbers are left out between those of the pictures, and the first of them; 0, 0 for none.

        The least step counts as the usual one: pictures 0, 10, 20 are complete.
        """
        if not is_numbered(list(self.files)):
            return 0, 0
        columns = zip(*(map(int, _DIGITS.findall(path.name)) for path in self.files), strict=True)
        changing = [numbers for numbers in columns if len(set(numbers)) > 1]
        if len(changing) != 1:
            return 0, 0
        steps = [after - before for before, after in pairwise(changing[0])]
        usual = min(steps)
        if usual <= 0 or max(steps) == usual:
            return 0, 0
        first = next(number for number, step in zip(changing[0], steps, strict=False) if step > usual)
        return sum(step // usual - 1 for step in steps), first + usual


def sequence_of(path: str | os.PathLike[str]) -> Sequence | None:
    """The pictures that a path names; None where it names something else, or nothing.

    Raises InputError for a pattern that no picture matches, and for a picture that is a pipe, a device or a dead link;
    UsageError for a pattern that matches other files.
    """
    place = Path(path)
    try:
        if place.is_file():
            return Sequence(place, (place,)) if is_picture_name(place) else None
        if place.is_dir():
            found = pictures_in(place)
            return Sequence(place, tuple(found)) if found else None
        if os.path.lexists(place):
            return None
    except (OSError, ValueError):  # a name that no file can have
        return None
    return _of_pattern(place)


def input_hash(path: Path) -> str | None:
    """SHA-256 of a file, or of the pictures that a path names; None for what is neither. Raises InputError."""
    if path.is_file():
        return sha256_of(path)
    found = sequence_of(path) if path.is_dir() or _is_pattern(path.name) else None
    return found.sha256() if found else None


def is_picture_name(path: Path) -> bool:
    """Whether a file is taken for a picture by its name."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder, in natural order (2 before 10); those in folders below it are not among them.

    Raises InputError for a pipe, device or dead link with the name of a picture, OSError for a folder that cannot be
    read.
    """
    return sorted(_files_of(path for path in folder.iterdir() if is_picture_name(path)), key=natural)


def _files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Those that are no folders. Raises InputError for what is no file either: a frame would be missing unsaid."""
    for path in paths:
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            reason = f"cannot be read: {getattr(error, 'strerror', None) or error}"
            raise InputError(reason, path=path, hint="remove it, or check where it leads") from error
        if stat.S_ISREG(status.st_mode):
            yield path
        elif not stat.S_ISDIR(status.st_mode):
            raise InputError("this is a pipe or device, not a picture", path=path, hint="remove it, or name the others")


def natural(path: PurePath) -> tuple[object, ...]:
    """Sorts names with numbers by these."""
    parts = _DIGITS.split(path.name)
    return (*((int(part), part) if number % 2 else (part,) for number, part in enumerate(parts)),)


def is_numbered(files: list[Path]) -> bool:
    """Whether the names of several pictures differ in their numbers alone."""
    return len(files) > 1 and len({_DIGITS.sub("#", path.name) for path in files}) == 1


def _is_pattern(name: str) -> bool:
    return _NUMBER.search(name) is not None or glob.has_magic(name)


def _of_pattern(place: Path) -> Sequence | None:
    if _NUMBER.search(place.name):
        found = _numbered(place)
    elif glob.has_magic(os.fspath(place)):
        matched = glob.glob(os.fspath(place))  # noqa: PTH207 - the pattern may be absolute
        found = sorted(map(Path, matched), key=natural)
        others = [path for path in found if not is_picture_name(path)]
        if others:
            raise UsageError(
                f"this pattern matches {others[0].name:.60}, which is no picture by its name",
                path=place,
                hint="name videos one by one, or use dcpose batch",
            )
        found = list(_files_of(found))
    else:
        return None
    if not found:
        raise InputError("no picture matches this pattern", path=place, hint="check the path")
    return Sequence(place, tuple(found))


def _numbered(place: Path) -> list[Path]:
    """Files of a pattern like frame_%04d.png, by their numbers; numbers may be missing."""
    before, (zeros, width), after = _split(place.name)
    least = int(width or 1) if zeros else 1
    name = re.compile(re.escape(before) + rf"(\d{{{least},}})" + re.escape(after))
    try:
        named = [(int(m[1]), path) for path in place.parent.iterdir() if (m := name.fullmatch(path.name))]
    except OSError:
        return []
    return list(_files_of(path for _, path in sorted(named)))


def _split(name: str) -> tuple[str, tuple[str, str], str]:
    found = _NUMBER.search(name)
    assert found is not None
    return name[: found.start()], (found[1], found[2]), name[found.end() :]
