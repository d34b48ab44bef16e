"""Fingerprints of what a training learns from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcpose_cli.errors import InputError
from dcpose_cli.training.engine.sources import difference, sha256_of_weights, sources_of


def small_net(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).to(dtype)


def test_every_label_file_and_folder_has_a_fingerprint_of_its_bytes_and_names(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.json").write_text("[1]")
    (tmp_path / "val.json").write_text("[2]")
    names = {"videos": folder, "val.json": tmp_path / "val.json"}
    before = sources_of(names, None)
    assert set(before) == {"labels videos", "labels val.json"}
    (folder / "notes.txt").write_text("not a label")
    assert sources_of(names, None) == before
    for change in (
        lambda: (folder / "a.json").write_text("[3]"),
        lambda: (folder / "b.json").write_text("[1]"),
        lambda: (folder / "b.json").rename(folder / "c.json"),
    ):
        old = sources_of(names, None)
        change()
        new = sources_of(names, None)
        assert {key for key in new if new[key] != old[key]} == {"labels videos"}
        assert difference(old, new) == "was trained on other labels: videos has changed since"


def test_what_is_not_there_is_left_to_its_reader_and_what_cannot_be_read_is_named(tmp_path):
    assert sources_of({"gone": tmp_path / "gone", "n" * 300: tmp_path / ("n" * 300)}, None) == {}
    (tmp_path / "device").symlink_to("/dev/null")
    with pytest.raises(InputError, match="device"):
        sources_of({"device": tmp_path / "device"}, None)


def test_weights_go_by_name_type_shape_and_value():
    base = sha256_of_weights(small_net())
    assert sha256_of_weights(small_net()) == base
    assert sha256_of_weights(small_net().eval()) == base
    moved = small_net()
    moved[1].running_mean += 1
    others = [small_net(1), small_net(dtype=torch.bfloat16), nn.Sequential(*small_net(), nn.Linear(1, 1)), moved]
    assert len({base, *map(sha256_of_weights, others)}) == 5
    assert sources_of({}, small_net(), "f0") == {"--init": base, "--teacher": "f0"}
