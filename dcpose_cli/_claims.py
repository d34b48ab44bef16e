"""Temporary files and folders of processes that died: known by a lock that nobody holds, and removed.

A temporary name ends in `.TTTTRRRR.part`: T stands for this host, R is random. Its process holds a lock on it (flock,
which ends with the process) for as long as it lives. What is of another host, is a link or another user's, or has a
name without the host is left alone. Windows has no such locks: nothing is removed there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None
_NAME: Final = re.compile(r"\..+\.([0-9a-f]{4})[0-9a-f]{4}\.part", re.DOTALL)


@cache
def _host() -> str:
    return hashlib.sha256(platform.node().encode(errors="replace")).hexdigest()[:4]


def claimed_token() -> str:
    """Eight hexadecimal digits for the name of a file that is about to be claimed."""
    return _host() + secrets.token_hex(2)


def unclaimed_token() -> str:
    """Eight hexadecimal digits for a temporary name that is never removed by others."""
    token = secrets.token_hex(4)
    while token.startswith(_host()):
        token = secrets.token_hex(4)
    return token


def claim(path: Path) -> int | None:
    """Hold the lock of a temporary file or folder, until the descriptor returned is closed; None without locks.

    Raises FileNotFoundError when somebody took it for stale before it could be locked.
    """
    if _fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a system that opens no folders
        return None
    try:
        with contextlib.suppress(OSError):  # a file system that cannot lock
            _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        path.lstat()
    except BaseException:
        os.close(handle)
        raise
    return handle


def release(handle: int | None) -> None:
    """Let go of what `claim` returned."""
    if handle is not None:
        with contextlib.suppress(OSError):
            os.close(handle)


def remove_stale(folder: Path, stem: str | tuple[str, ...] = ".") -> list[Path]:
    """Remove what dead processes of this host left in `folder` under names that begin so; what was removed."""
    removed: list[Path] = []
    if _fcntl is not None:
        with contextlib.suppress(OSError):
            mine = [path for path in folder.iterdir() if path.name.startswith(stem) and _is_ours(path.name)]
            removed.extend(filter(_remove, mine))
    return removed


def _is_ours(name: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and found[1] == _host()


def _remove(path: Path) -> bool:
    """Remove a file or folder that nobody holds; False for any other."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # gone, or a link
        return False
    try:
        status = os.fstat(handle)
        if status.st_uid != os.geteuid() or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return False
        _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:  # somebody is at work, or the file system cannot lock
        return False
    finally:
        os.close(handle)
    return True
