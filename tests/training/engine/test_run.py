"""The folder of a run: what a killed run left there goes, what a living one holds stays."""

from __future__ import annotations

import os

from dcpose_cli._claims import claimed_token, take
from dcpose_cli.training.engine.run import open_run


def test_a_run_removes_what_a_killed_one_was_writing(tmp_path):
    """A finished stage is not validated again: nothing else would take its picture's temporary file away."""
    left = tmp_path / f".worst-stage1.png.{claimed_token()}.part"
    held = tmp_path / f".log.csv.{claimed_token()}.part"
    other = tmp_path / "notes.part"
    for path in (left, held, other):
        path.write_bytes(b"half")
    handle = take(held)
    assert handle is not None
    try:
        with open_run(tmp_path):
            pass
        assert (left.exists(), held.exists(), other.exists()) == (False, True, True)
    finally:
        os.close(handle)
