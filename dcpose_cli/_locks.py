"""Locks that the system drops when their process dies, whatever it died of: nothing stale is ever left behind.

They are POSIX record locks, so they hold between machines on a shared folder too, where that file system can lock.
Between threads of one process they do not: a second lock of the same process is granted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

#: Windows has none; there a folder is one run's.
fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None

#: Bytes from here on are locked instead of names; they need not exist.
_FIRST_NAME_BYTE = 1 << 32
_NAME_BYTES = 1 << 61


def try_lock(handle: int, at: int = 0) -> bool:
    """Lock byte `at` of an open file for this process; False when another process holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system that cannot lock
        return True
    return True


def lock_shared(handle: int, at: int = 0) -> None:
    """Lock byte `at` together with others who do so, waiting for one who has it alone."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.lockf(handle, fcntl.LOCK_SH, 1, at)


def unlock(handle: int, at: int = 0) -> None:
    """Let go of byte `at`."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.lockf(handle, fcntl.LOCK_UN, 1, at)


@contextlib.contextmanager
def locked(handle: int, at: int = 0) -> Iterator[None]:
    """Hold byte `at`, waiting for it."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.lockf(handle, fcntl.LOCK_EX, 1, at)
    try:
        yield
    finally:
        unlock(handle, at)


def byte_of(name: str) -> int:
    """The byte that stands for a name."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return _FIRST_NAME_BYTE + int.from_bytes(digest[:8], "big") % _NAME_BYTES
