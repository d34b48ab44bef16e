"""Checkpoints that want to run code, and damaged ones: refused, and nothing happens (fault 23)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.importing import import_checkpoint, load_pickle, read_checkpoint
from dcpose_cli.errors import WeightsError

BOTH_FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class RunsCode:
    """What a malicious pickle holds."""

    def __init__(self, function, argument):
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


class Unknown:
    """An innocent object of a class we do not have."""


@BOTH_FORMATS
@pytest.mark.parametrize("place", ["alone", "beside", "inside"])
@pytest.mark.parametrize("kind", ["os.system", "open", "eval", "Path.touch"])
def test_malicious_pickles_are_refused(tmp_path, hrnet, zipped, place, kind, refused):
    victim = tmp_path / "victim"
    evil = {
        "os.system": RunsCode(os.system, f"touch {victim}"),
        "open": RunsCode(_open_for_writing, str(victim)),
        "eval": RunsCode(eval, f"open({str(victim)!r}, 'w')"),
        "Path.touch": RunsCode(Path.touch, victim),
    }[kind]
    state = hrnet.state_dict()
    data = {
        "alone": evil,
        "beside": {"state_dict": state, "meta": evil},
        "inside": {"state_dict": {**state, "x": evil}},
    }
    file = tmp_path / "evil.pth"
    torch.save(data[place], file, _use_new_zipfile_serialization=zipped)
    text = refused(import_checkpoint, file, tmp_path / "out")
    assert "was refused: to load it" in text
    assert "evil.pth" in text
    assert not victim.exists()
    assert not (tmp_path / "out").exists()
    # The bait is live: an ordinary loader would have run it.
    if kind == "os.system" and place == "alone":
        torch.load(file, weights_only=False)
        assert victim.exists()


def _open_for_writing(name):
    return Path(name).open("w")


def test_unknown_classes_are_named(tmp_path, refused):
    torch.save({"meta": Unknown()}, tmp_path / "u.pth")
    assert "Unknown" in refused(load_pickle, tmp_path / "u.pth")
    torch.save({"meta": np.array([Unknown()], dtype=object)}, tmp_path / "u.pth")
    assert "was refused" in refused(load_pickle, tmp_path / "u.pth")


# --- damaged files


@BOTH_FORMATS
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_truncated(tmp_path, hrnet, zipped, share, refused):
    file = tmp_path / "cut.pth"
    torch.save({"state_dict": hrnet.state_dict()}, file, _use_new_zipfile_serialization=zipped)
    raw = file.read_bytes()
    file.write_bytes(raw[: int(len(raw) * share)])
    assert "cut.pth" in refused(import_checkpoint, file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "raw", [b"", b"hello\n", b"\x80\x02.", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"{}", bytes(999)]
)
def test_files_that_are_no_checkpoint(tmp_path, raw, refused):
    file = tmp_path / "a\nb.pth"
    file.write_bytes(raw)
    refused(import_checkpoint, file, tmp_path / "out")


@pytest.mark.parametrize("data", [[1, 2], {}, {"state_dict": {}}, {"state_dict": {"epoch": 1}}, torch.zeros(2), None])
def test_without_tensors(bring, data, refused):
    assert "holds no" in refused(bring, data)


def test_flipped_bytes_never_crash(tmp_path, hrnet):
    file = tmp_path / "flip.pth"
    torch.save({"state_dict": hrnet.state_dict()}, file)
    raw = bytearray(file.read_bytes())
    head, rng = min(40_000, len(raw)), np.random.default_rng(0)
    outcomes = set()
    for _ in range(40):
        copy = bytearray(raw)
        for place in rng.integers(0, head, 8):
            copy[place] ^= 0xFF
        file.write_bytes(copy)
        try:
            assert read_checkpoint(file)
            outcomes.add("read")
        except WeightsError:
            outcomes.add("refused")
    assert "refused" in outcomes
