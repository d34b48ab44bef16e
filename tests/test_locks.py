"""Locks on bytes: between processes on this system, and Windows' calls on a double of its kernel."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dcpose_cli import _locks
from dcpose_cli._locks import WindowsLocks, byte_of, lock_shared, locked, try_lock, unlock


@pytest.fixture
def handles(tmp_path):
    """Opens one file any number of times."""
    opened = []

    def open_(name="file"):
        opened.append(os.open(tmp_path / name, os.O_RDWR | os.O_CREAT))
        return opened[-1]

    yield open_
    for handle in opened:
        os.close(handle)


class Kernel:
    """LockFileEx and UnlockFileEx of one file: locks belong to handles and do not change their kind."""

    def __init__(self):
        self.held = {}  # position -> {handle: is it exclusive}
        self.error = 0
        self.waits = []

    def LockFileEx(self, handle, flags, _reserved, low, high, place):  # noqa: N802
        assert (low, high) == (1, 0)
        at = place._obj.offset | place._obj.offset_high << 32
        assert at < 1 << 63  # a signed 64-bit number
        exclusive, holders = bool(flags & 2), self.held.setdefault(at, {})
        if any(exclusive or other for other in holders.values()):
            if not flags & 1:
                self.waits.append(at)
                raise TimeoutError("would wait for ever")
            self.error = 33
            return 0
        holders[handle] = exclusive
        return 1

    def UnlockFileEx(self, handle, _reserved, low, high, place):  # noqa: N802
        at = place._obj.offset | place._obj.offset_high << 32
        if self.held.get(at, {}).pop(handle, None) is None:
            self.error = 158  # ERROR_NOT_LOCKED
            return 0
        return 1


@pytest.fixture
def windows(monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(_locks, "backend", WindowsLocks(kernel, lambda handle: handle, lambda: kernel.error))
    return kernel


def test_windows_gives_a_byte_to_one_handle(windows):
    assert try_lock(1, byte_of("a.mp4"))
    assert not try_lock(2, byte_of("a.mp4"))
    assert try_lock(2, byte_of("b.mp4"))
    unlock(1, byte_of("a.mp4"))
    assert try_lock(2, byte_of("a.mp4"))


def test_windows_locks_lie_beyond_what_is_read_and_written(windows):
    """There nobody else may read or write locked bytes, of the manifest for instance."""
    assert try_lock(1, 0)
    with locked(1, 1):
        assert min(windows.held) >= 1 << 62


def test_windows_locked_is_released_after_an_error(windows):
    with pytest.raises(ZeroDivisionError), locked(1):
        raise ZeroDivisionError
    assert try_lock(2)
    assert not try_lock(1)


def test_windows_last_of_those_who_share_gets_it_alone(windows):
    lock_shared(1)
    lock_shared(2)
    assert not try_lock(1)  # and still shares it:
    unlock(2)
    assert not try_lock(2)
    assert try_lock(1)
    assert not try_lock(2)


def test_windows_file_system_that_cannot_lock_grants_everything(windows, monkeypatch):
    def unsupported(*_):
        windows.error = 50  # ERROR_NOT_SUPPORTED
        return 0

    monkeypatch.setattr(windows, "LockFileEx", unsupported)
    assert try_lock(1)
    assert try_lock(2)
    with locked(1):
        pass


def test_no_backend_grants_everything(monkeypatch):
    monkeypatch.setattr(_locks, "backend", None)
    assert try_lock(1)
    lock_shared(1)
    with locked(1):
        pass


OTHER = """
import os, sys
from dcpose_cli._locks import byte_of, lock_shared, try_lock
handle = os.open(sys.argv[1], os.O_RDWR)
for line in sys.stdin:
    what, name = line.split()
    print({"try": try_lock, "share": lock_shared}[what](handle, byte_of(name)), flush=True)
"""


@pytest.fixture
def other(tmp_path, handles):
    """Asks another process for a lock on the same file: `other("try", "a.mp4")`."""
    handles()
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, tmp_path / "file"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(what, name):
        process.stdin.write(f"{what} {name}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    ask.process = process
    yield ask
    process.kill()
    process.communicate()


def test_a_lock_ends_with_its_process(handles, other):
    handle = handles()
    assert other("try", "a.mp4") == "True"
    assert not try_lock(handle, byte_of("a.mp4"))
    assert try_lock(handle, byte_of("b.mp4"))
    assert other("try", "b.mp4") == "False"
    other.process.kill()
    other.process.wait()
    assert try_lock(handle, byte_of("a.mp4"))


def test_shared_locks_keep_an_exclusive_one_away(handles, other):
    handle = handles()
    lock_shared(handle, byte_of("run"))
    assert other("share", "run") == "None"
    assert not try_lock(handle, byte_of("run"))
    assert other("try", "run") == "False"
    other.process.kill()
    other.process.wait()
    assert try_lock(handle, byte_of("run"))
