"""Temporary files and folders, claimed by their processes: what nobody holds was left by a dead one (_recovery.py).

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
import stat
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None
_resource: Any = import_module("resource") if find_spec("resource") else None
#: Open files of a process besides those that are claimed: libraries, threads, the input.
_OTHER_HANDLES: Final = 256
_NAME: Final = re.compile(r"\..+\.([0-9a-f]{4})[0-9a-f]{4}\.part", re.DOTALL)


def is_temporary(name: str) -> bool:
    """Whether this is a temporary name of any host."""
    return _NAME.fullmatch(name) is not None


def is_of_this_host(name: str) -> bool:
    """Whether this is a temporary name that was claimed on this host."""
    found = _NAME.fullmatch(name)
    return found is not None and found[1] == _host()


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


def other_token(name: str) -> str:
    """Another temporary name for what `name` is one of, to be claimed on this host."""
    stem, ending = name[: -len("TTTTRRRR.part")], name[-len(".part") :]
    return f"{stem}{claimed_token()}{ending}"


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


def make_room(files: int) -> bool:
    """Let this process hold so many more files open; whether the system allows it.

    Claims keep their files open: a set of hundreds would meet the limit that many systems start programs with.
    """
    if _resource is None:
        return True
    soft, hard = _resource.getrlimit(_resource.RLIMIT_NOFILE)
    needed, endless = files + _OTHER_HANDLES, _resource.RLIM_INFINITY
    if soft == endless or soft >= needed:
        return True
    if hard != endless and hard < needed:
        return False
    try:
        _resource.setrlimit(_resource.RLIMIT_NOFILE, (needed, hard))
    except (OSError, ValueError):  # macOS has a limit that it does not tell
        return False
    return True


def release(handle: int | None) -> None:
    """Let go of what `claim` returned."""
    if handle is not None:
        with contextlib.suppress(OSError):
            os.close(handle)


def has_locks() -> bool:
    """Whether this system has the locks, so that a dead process can be told from a living one."""
    return _fcntl is not None


def take(path: Path, *, folders: bool = False, lock: bool = True, free: bool = False) -> int | None:
    """Open, and lock, a file of this user that a process claimed; the descriptor, to be closed.

    None when a process holds it, and for other kinds of files and other users' files. folders: folders too. free:
    what it counts as where nothing can be locked (Windows, some network file systems).
    Raises OSError when it cannot be opened or is a link, FileNotFoundError when it is not there.
    """
    flags = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
    handle = os.open(path, os.O_RDONLY | flags)
    taken = False
    try:
        status = os.fstat(handle)
        kinds = stat.S_ISREG(status.st_mode) or (folders and stat.S_ISDIR(status.st_mode))
        mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        taken = kinds and mine and (not lock or _is_free(handle, path, status, free))
        return handle if taken else None
    finally:
        if not taken:
            os.close(handle)


def _is_free(handle: int, path: Path, status: os.stat_result, otherwise: bool) -> bool:
    """Lock an open file; False when a process holds it, or when it has lost its name meanwhile."""
    if _fcntl is None:
        return otherwise
    try:
        _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that cannot lock
        return otherwise
    return os.path.samestat(status, path.lstat())
