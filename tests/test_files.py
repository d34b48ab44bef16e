"""Outputs are whole or absent; checks tell the right story."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from dcpose_cli import files
from dcpose_cli.errors import InputError, OutputError, UsageError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_commit_publishes_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "out.bin"
    with files.AtomicFile(target) as output:
        output.temp.write_bytes(b"whole")
        assert output.temp.parent == tmp_path
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert names(tmp_path) == ["out.bin"]


def test_exception_removes_the_temp_and_keeps_the_old_file(tmp_path):
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")

    def fail_midway():
        with files.AtomicFile(target, overwrite=True) as output:
            output.temp.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["out.bin"]


def test_existing_target_is_refused_and_untouched(tmp_path):
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"out\.bin: exists already; pass --overwrite"):
        files.write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    files.write_atomic(target, "neu\n", overwrite=True)
    assert target.read_bytes() == b"neu\n"


def test_target_that_appears_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "out.bin"
    output = files.AtomicFile(target)
    output.temp.write_bytes(b"mine")
    target.write_bytes(b"theirs")
    with pytest.raises(OutputError, match="exists already"):
        output.commit()
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["out.bin"]


def test_file_system_without_hard_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "not supported")

    monkeypatch.setattr(os, "link", no_links)
    files.write_atomic(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
    output = files.AtomicFile(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"theirs")
    with pytest.raises(OutputError, match="exists already"):
        output.commit()
    assert names(tmp_path) == ["a", "b"]


def test_missing_folders_are_made_and_removed_again_when_nothing_is_published(tmp_path):
    target = tmp_path / "some" / "new" / "out.mp4"
    files.require_writable_folder(target.parent)
    assert names(tmp_path) == []
    one, other = files.AtomicFile(target), files.AtomicFile(target.with_name("b"))
    other.discard()
    assert target.parent.is_dir()
    one.discard()
    assert names(tmp_path) == []
    files.write_atomic(target, b"x")
    assert target.read_bytes() == b"x"


def test_folder_must_be_one_and_writable(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "new"):
        with pytest.raises(OutputError, match="file: not a folder"):
            files.require_writable_folder(folder)
    with pytest.raises(OutputError, match="too long"):
        files.require_writable_folder(tmp_path / ("x" * 300) / "y")
    with pytest.raises(OutputError, match="is a folder"):
        files.require_free_target(tmp_path, overwrite=True)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "null").symlink_to(os.devnull)
        for name in ("pipe", "null"):
            with pytest.raises(OutputError, match="pipe or device"):
                files.require_free_target(tmp_path / name, overwrite=True)

    def read_only(*_args, **_kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    # Real permission bits do not stop root, so the system call is made to fail.
    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OutputError, match="Read-only"):
        files.require_writable_folder(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_is_named(code):
    message = str(files.output_error(OSError(code, "x"), Path("a/b.mp4")))
    assert "a/b.mp4" in message
    assert "disk" in message or "limit" in message


def test_full_disk_at_commit(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="disk full"):
        files.write_atomic(tmp_path / "out.json", "{}")
    assert names(tmp_path) == []


@pytest.fixture
def windows_files(monkeypatch):
    """Windows' rules: nothing that is open for reading only can be synced, and folders cannot be opened."""
    import fcntl

    real_sync, real_open = os.fsync, os.open

    def fsync(handle):
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        real_sync(handle)

    def open_(path, *args, **options):
        if os.path.isdir(path):  # noqa: PTH112 - any kind of path
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, *args, **options)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "open", open_)


@pytest.mark.usefixtures("windows_files")
def test_outputs_are_written_under_the_rules_of_windows(tmp_path):
    files.write_atomic(tmp_path / "a.json", "{}")
    files.write_atomic(tmp_path / "a.json", "[]", overwrite=True)
    assert (tmp_path / "a.json").read_text() == "[]"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.usefixtures("windows_files")
def test_folders_of_outputs_are_written_under_the_rules_of_windows(tmp_path):
    from dcpose_cli.export._outputs import AtomicFolder

    with AtomicFolder(tmp_path / "out", lambda name: True) as output:
        (output.temp / "one.json").write_text("{}")
    assert names(tmp_path / "out") == ["one.json"]
    assert names(tmp_path) == ["out"]


def test_input_as_output_is_found_through_links(tmp_path):
    source = tmp_path / "in.mp4"
    source.write_bytes(b"x")
    (tmp_path / "soft.mp4").symlink_to(source)
    os.link(source, tmp_path / "hard.mp4")
    for name in ("in.mp4", "soft.mp4", "hard.mp4"):
        with pytest.raises(UsageError, match="is the input"):
            files.require_not_input(tmp_path / name, [source])
    files.require_not_input(tmp_path / "other.mp4", [source])


def test_sha256(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"abc" * 1_000_000)
    assert files.sha256_of(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    with pytest.raises(InputError):
        files.sha256_of(tmp_path / "none")


@pytest.mark.parametrize("name", ["x" * 251 + ".mp4", "ü" * 125 + ".mp4", "a\nb.mp4", "-o.mp4"])
def test_awkward_names(tmp_path, name):
    files.write_atomic(tmp_path / name, b"x")
    assert names(tmp_path) == [name]
    assert "\n" not in files.printable(tmp_path / name)


def test_umask_is_respected(tmp_path):
    old = os.umask(0o027)
    try:
        files.write_atomic(tmp_path / "f", b"x")
    finally:
        os.umask(old)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640


def test_leftovers_of_one_target_go(tmp_path):
    target, other = tmp_path / "x.mp4", tmp_path / "x.mp4.mp4"
    mine, theirs = files.temporary_name(target), files.temporary_name(other)
    for path in (mine, theirs, target):
        path.write_bytes(b"")
    files.remove_leftovers(target)
    assert sorted(tmp_path.iterdir()) == sorted([theirs, target])
