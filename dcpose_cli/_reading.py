"""Reading whole files that others wrote. A pipe or a device is not waited for, and nothing is read without end."""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

#: Largest file of JSON or TOML that is read, bytes: two days of video with ten people.
MOST_BYTES: Final = 4 << 30
#: Largest file of TOML that people write.
MOST_TOML_BYTES: Final = 1 << 20
_LONG_KEY: Final = re.compile(r"""(?<![\w"'-])[\w"'-]+(?:[ \t]*\.[ \t]*[\w"'-]+){50}""")
#: Reading begins with so many bytes: a file whose beginning is empty is not read to its end.
_HEAD_BYTES: Final = 4096
#: O_NONBLOCK: opening a pipe would wait for its writer. O_BINARY: Windows would change the ends of lines.
_FLAGS: Final = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """All bytes of a regular file.

    Raises OSError, whose `strerror` says why: as opening does, and for a pipe, device or folder, for more than `most`
    bytes, and for a file that begins with zeros only. ValueError for a name that no file can have.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EINVAL, f"it has {size:,} bytes, {most:,} are the most", os.fspath(path))
        head = file.read(_HEAD_BYTES)
        if head and not head.strip(b"\0"):
            raise OSError(errno.EINVAL, "it begins with zeros", os.fspath(path))
        return head + file.read(most - len(head))


def open_file(path: Path) -> BufferedReader:
    """A regular file, open for reading; a pipe that takes its place at the last moment is not waited for.

    Raises OSError, whose `strerror` says why, as opening does and for what is no regular file.
    """
    require_file(path)  # opening alone makes some devices act
    handle = os.open(path, _FLAGS)
    try:
        _require_regular(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def require_file(path: Path) -> int:
    """The bytes of a regular file that a library opens. Raises OSError, whose `strerror` says why, for others."""
    status = path.stat()
    _require_regular(status, path)
    return status.st_size


def state_of(path: Path) -> tuple[int, ...] | None:
    """What differs when a file changes, or another one takes its name; None where there is no file.

    Of a file that is read and then hashed, the same state before and after says that both saw the same bytes.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _require_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or device, not a file", os.fspath(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file that somebody wrote: options or a recipe.

    Raises OSError as `read_file`; ValueError, which says why, for what is not TOML, too deep, or slow to parse.
    """
    text = read_file(path, MOST_TOML_BYTES).decode("utf-8-sig")  # editors on Windows begin files with a mark
    if _LONG_KEY.search(text):  # the time to parse one grows with the square of its length
        raise ValueError("a key has too many parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it has too many levels") from error
