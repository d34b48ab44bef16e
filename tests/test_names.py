"""Names of hidden files: the name where it fits, a hash of it where it does not, never two alike."""

from __future__ import annotations

import os

from dcpose_cli._names import MAX_NAME_BYTES, hidden_name


def test_names_that_fit_are_kept():
    assert hidden_name("a b.json", ".set.part") == ".a b.json.set.part"
    fits = "x" * (MAX_NAME_BYTES - len("..part"))
    assert hidden_name(fits, ".part") == f".{fits}.part"


def test_longer_names_are_hashed_by_their_bytes():
    names = ["x" * 250, "x" * 251, "é" * 126, os.fsdecode(b"\xff" * 251)]
    hidden = [hidden_name(name, ".part") for name in names]
    assert len(set(hidden)) == len(names)
    assert {len(name) for name in hidden} == {1 + 32 + len(".part")}
    assert all(name.startswith(".") and name.endswith(".part") for name in hidden)
