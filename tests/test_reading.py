"""Whole files of others: no pipe is waited for, also when it takes a file's place at the last moment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dcpose_cli._reading import open_file, read_file
from dcpose_cli.errors import InputError
from dcpose_cli.files import sha256_of
from dcpose_cli.pictures import PictureFile, TarIndex
from dcpose_cli.published.store import file_sha256
from dcpose_cli.results.reader import read_posetrack

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")

READERS = {
    "file": (open_file, OSError),
    "text": (read_file, OSError),
    "hash": (sha256_of, InputError),
    "hash of weights": (file_sha256, Exception),
    "result": (read_posetrack, InputError),
    "picture": (lambda path: PictureFile(path).read(), InputError),
    "tar": (lambda path: TarIndex().find(path, "a.png"), InputError),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", READERS)
def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch, name):
    path = tmp_path / "file.json"
    path.write_bytes(b"{}")
    real, read, error = Path.stat, *READERS[name]

    def exchanged(self, **options):
        status = real(self, **options)
        if self == path and stat.S_ISREG(status.st_mode):
            self.unlink()
            os.mkfifo(self)
        return status

    monkeypatch.setattr(Path, "stat", exchanged)
    with pytest.raises(error, match="it is a pipe or device, not a file"):
        read(path)


def test_a_file_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a\r\nb\n")
    with open_file(path) as file:
        assert file.read() == b"a\r\nb\n"
