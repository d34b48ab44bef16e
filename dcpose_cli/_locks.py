"""Locks on bytes of an open file. The system drops them when their process ends, however it ends.

POSIX: record locks, which also hold between machines on a shared folder whose file system can lock. They are the
process's: a second lock of the same byte by one process is granted. Windows: LockFileEx, whose locks are the handle's.
A file system that cannot lock grants every lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol

#: Bytes from here on stand for names; they need not exist.
_FIRST_NAME_BYTE = 1 << 32
_NAME_BYTES = 1 << 61
#: Windows forbids access to locked bytes, so there all locks lie beyond the end of any file.
_WINDOWS_OFFSET: Final = 1 << 62


class _Backend(Protocol):
    def lock(self, handle: int, at: int, *, shared: bool, wait: bool) -> bool:
        """Lock byte `at`; False when somebody else holds it (without `wait`). OSError when locking is not possible."""

    def unlock(self, handle: int, at: int) -> None:
        """Release byte `at`. OSError when locking is not possible."""


class PosixLocks:
    """fcntl's record locks."""

    def __init__(self, fcntl: Any) -> None:
        self._fcntl = fcntl

    def lock(self, handle: int, at: int, *, shared: bool, wait: bool) -> bool:
        """See _Backend."""
        mode = self._fcntl.LOCK_SH if shared else self._fcntl.LOCK_EX
        try:
            self._fcntl.lockf(handle, mode | (0 if wait else self._fcntl.LOCK_NB), 1, at)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(self, handle: int, at: int) -> None:
        """See _Backend."""
        self._fcntl.lockf(handle, self._fcntl.LOCK_UN, 1, at)


class _Overlapped(ctypes.Structure):
    """OVERLAPPED: where the locked bytes begin."""

    _fields_ = (
        ("internal", ctypes.c_void_p),
        ("internal_high", ctypes.c_void_p),
        ("offset", ctypes.c_uint32),
        ("offset_high", ctypes.c_uint32),
        ("event", ctypes.c_void_p),
    )


class WindowsLocks:
    """LockFileEx of kernel32. handle_of: file descriptor -> the system's handle (msvcrt.get_osfhandle)."""

    _FAIL_IMMEDIATELY, _EXCLUSIVE = 1, 2
    _ERROR_LOCK_VIOLATION, _ERROR_IO_PENDING = 33, 997

    def __init__(self, kernel32: Any, handle_of: Any, last_error: Any) -> None:
        self._kernel32, self._handle_of, self._last_error = kernel32, handle_of, last_error
        self._shared: set[tuple[int, int]] = set()

    def lock(self, handle: int, at: int, *, shared: bool, wait: bool) -> bool:
        """See _Backend. An own shared lock becomes an exclusive one if nobody else shares it, as with POSIX."""
        mine = (handle, at)
        upgrade = not shared and mine in self._shared
        if upgrade:
            self.unlock(handle, at)
        flags = (0 if shared else self._EXCLUSIVE) | (0 if wait else self._FAIL_IMMEDIATELY)
        taken = self._lock(handle, at, flags)
        if shared or (upgrade and not taken):
            if upgrade:
                self._lock(handle, at, 0)
            self._shared.add(mine)
        return taken

    def unlock(self, handle: int, at: int) -> None:
        """See _Backend."""
        self._shared.discard((handle, at))
        place = self._place(at)
        if not self._kernel32.UnlockFileEx(self._handle_of(handle), 0, 1, 0, ctypes.byref(place)):
            raise OSError(self._last_error(), "UnlockFileEx failed")

    def _lock(self, handle: int, at: int, flags: int) -> bool:
        place = self._place(at)
        if self._kernel32.LockFileEx(self._handle_of(handle), flags, 0, 1, 0, ctypes.byref(place)):
            return True
        code = self._last_error()
        if code in (self._ERROR_LOCK_VIOLATION, self._ERROR_IO_PENDING):
            return False
        raise OSError(code, "LockFileEx failed")

    @staticmethod
    def _place(at: int) -> _Overlapped:
        at += _WINDOWS_OFFSET
        return _Overlapped(offset=at & 0xFFFFFFFF, offset_high=at >> 32)


def _backend() -> _Backend | None:
    if find_spec("fcntl"):
        return PosixLocks(import_module("fcntl"))
    if find_spec("msvcrt"):
        library: Any = ctypes
        kernel32 = library.WinDLL("kernel32", use_last_error=True)
        kernel32.LockFileEx.argtypes = [ctypes.c_void_p, *[ctypes.c_uint32] * 4, ctypes.c_void_p]
        kernel32.UnlockFileEx.argtypes = [ctypes.c_void_p, *[ctypes.c_uint32] * 3, ctypes.c_void_p]
        return WindowsLocks(kernel32, import_module("msvcrt").get_osfhandle, library.get_last_error)
    return None


backend: _Backend | None = _backend()


def try_lock(handle: int, at: int = 0) -> bool:
    """Lock byte `at` of an open file for this process; False when another process holds it."""
    if backend is None:
        return True
    try:
        return backend.lock(handle, at, shared=False, wait=False)
    except OSError:  # a file system that cannot lock
        return True


def lock_shared(handle: int, at: int = 0) -> None:
    """Lock byte `at` together with others who do so, waiting for one who holds it alone."""
    if backend is not None:
        with contextlib.suppress(OSError):
            backend.lock(handle, at, shared=True, wait=True)


def unlock(handle: int, at: int = 0) -> None:
    """Release byte `at`."""
    if backend is not None:
        with contextlib.suppress(OSError):
            backend.unlock(handle, at)


@contextlib.contextmanager
def locked(handle: int, at: int = 0) -> Iterator[None]:
    """Hold byte `at`, waiting for it."""
    if backend is not None:
        with contextlib.suppress(OSError):
            backend.lock(handle, at, shared=False, wait=True)
    try:
        yield
    finally:
        unlock(handle, at)


def byte_of(name: str) -> int:
    """The byte that stands for a name."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return _FIRST_NAME_BYTE + int.from_bytes(digest[:8], "big") % _NAME_BYTES
