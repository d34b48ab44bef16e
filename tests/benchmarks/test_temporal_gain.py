"""The experiment on a tiny pack: what is damaged, what is compared, and that seeds are trained and found again."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.files import save_model
from dcpose_cli.nets import DCPose
from dcpose_cli.training.data.pack import is_held_out, read_parts
from dcpose_cli.training.recipes import load_recipe

MODULES = ("damage", "heads", "measure", "windows", "gain_main")


@pytest.fixture
def load(root, monkeypatch):
    """Imports the modules of the experiment, and `gain_main`, its command."""
    folder = root / "benchmarks" / "temporal_gain"
    monkeypatch.syspath_prepend(str(folder))

    def module(name):
        if name != "gain_main":
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location("gain_main", folder / "__main__.py")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    yield module
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def samples(tiny_pack):
    return [s for s in read_parts(tiny_pack, ["triplets"], split=None) if len(s.pictures) == 3]


def noise(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (64, 48, 3), dtype=np.uint8)


def test_damage_is_fixed_and_stays_at_the_person(load, samples):
    damage = load("damage")
    image, box = noise(), (12.0, 10.0, 36.0, 54.0)
    for kind in damage.KINDS:
        once = damage.damaged(image, kind, box, 30.0, samples[0], 5)
        assert np.array_equal(once, damage.damaged(image, kind, box, 30.0, samples[0], 5))
        assert not np.array_equal(once, damage.damaged(image, kind, box, 30.0, samples[0], 6))
        changed = (np.abs(once.astype(int) - image) > 8).any(axis=2)
        assert 0.05 < changed.mean() < 0.75, kind
        if kind != "person":  # who may stand beside the box
            assert not changed[:3].any()
            assert not changed[-3:].any()
        if kind == "cover":
            assert 0.15 < changed[10:54, 12:36].mean() < 0.45
    assert np.array_equal(image, noise())


def test_windows_are_those_of_held_out_clips(load, tiny_pack, samples, tiny_recipe):
    windows = load("windows")
    data = load_recipe(tiny_recipe).data
    share = next(s / 100 for s in range(1, 100) if 1 <= sum(is_held_out(s_.name, s / 100) for s_ in samples) <= 3)
    found = windows.held_out_windows(tiny_pack, data, share)
    assert {s.name for s in found} == {s.name for s in samples if is_held_out(s.name, share)}
    measured = windows.prepare(found, (48, 64), 1.25)
    assert len(measured) == len(found)
    one = measured[0]
    assert set(one.current) == {"clean", "blur", "defocus", "cover", "person"}
    assert one.current["clean"].shape == one.previous.shape == (64, 48, 3)
    torso = np.hypot(*(one.joints[5, :2] - one.joints[12, :2]))
    assert one.reach == pytest.approx(0.2 * torso)
    with pytest.raises(SystemExit, match="40 are needed"):
        windows.require_clips(measured)


def test_sample_windows_have_their_truth(load, root):
    found = load("windows").sample_windows(root / "sample_videos")
    assert {s.name for s in found} == {"sample plaza", "sample portrait", "sample sprint"}
    assert all(len(s.pictures) == 3 and s.joints.shape == (3, 17, 3) for s in found)
    assert max(s.joints[..., 2].max() for s in found) == 1


def test_intervals_are_paired_and_over_clips(load):
    paired = load("measure").paired
    joints = np.full(6, 10.0)
    clips = ["a", "a", "a", "b", "b", "c"]
    value, low, high = paired(np.full(6, 8.0), np.full(6, 7.0), joints, clips)
    assert (value, low, high) == (10, 10, 10)  # always one of ten more
    value, low, high = paired(np.array([10.0, 10, 10, 0, 0, 0]), np.zeros(6), joints, clips)
    assert value == 50
    assert (low, high) == (0, 100)


def test_controls_look_at_what_they_say(load):
    measure = load("measure")
    now, before, after = (torch.full((1, 17, 4, 4), v) for v in (9.0, 1.0, 5.0))
    maps = measure.Maps({"clean": now}, before, after, torch.tensor([[1.0, 3.0]]))
    assert measure.control(maps, "clean", "neighbours").unique().item() == 0.75 * 1 + 0.25 * 5  # the nearer weighs more
    assert measure.control(maps, "clean", "mean of three").unique().item() == 5


def test_three_seeds_are_trained_measured_and_found_again(
    load, root, tiny_pack, tiny_recipe, tmp_path, monkeypatch, capsys
):
    main, windows = load("gain_main"), load("windows")
    recipe = load_recipe(tiny_recipe)
    torch.manual_seed(0)
    save_model(DCPose(recipe.model), tmp_path / "base", name="tiny")
    monkeypatch.setattr(main, "sample_windows", lambda folder: [])
    clips = sorted({s.name for s in read_parts(tiny_pack, ["triplets"], split=None)})
    share = next(s / 100 for s in range(1, 100) if sum(is_held_out(c, s / 100) for c in clips) == 1)
    arguments = [
        *("--data", str(tiny_pack), "--recipe", str(tiny_recipe), "--backbone", str(tmp_path / "base")),
        *("--hold-out", str(share), "--least-clips", "1", "--cached", "20", "--steps", "2"),
        *("--out", str(tmp_path / "run"), "--sheet", str(tmp_path / "sheet.png")),
    ]
    assert main.main([*arguments, "--json", str(tmp_path / "first.json")]) == 0
    text = capsys.readouterr().out
    assert "gain" in text
    assert "against neighbours" in text
    report = json.loads((tmp_path / "first.json").read_text())
    assert list(report["damaged"]["gain by head"]) == ["seed 1", "seed 2", "seed 3"]
    assert set(report["conditions"]) == set(windows.CONDITIONS)
    assert report["windows"] == 1
    assert (tmp_path / "sheet.png").stat().st_size > 500
    cache = load("heads").MapCache(tmp_path / "run" / "cache")
    assert cache.maps.shape == (20, 3, 17, 16, 12)
    assert np.isfinite(cache.maps).all()
    heads = [main._dcpose(str(tmp_path / "run" / f"seed-{seed}")) for seed in (1, 2)]
    base = main._dcpose(str(tmp_path / "base"))
    assert torch.equal(heads[0].backbone.conv1.weight, base.backbone.conv1.weight)
    assert not torch.equal(heads[0].warps[0].offset_mask.weight, heads[1].warps[0].offset_mask.weight)
    # A second call trains nothing and says the same.
    monkeypatch.setattr(main, "train_head", lambda *a: pytest.fail("trained again"))
    main.main([*arguments, "--json", str(tmp_path / "second.json")])
    assert json.loads((tmp_path / "second.json").read_text()) == report


def test_an_interrupted_cache_continues(load, tiny_pack, tiny_recipe, tmp_path, monkeypatch):
    heads = load("heads")
    recipe = replace(load_recipe(tiny_recipe), seed=3)
    net = DCPose(recipe.model).eval()
    samples = read_parts(tiny_pack, ["triplets"], split="train")
    whole = heads.cache_maps(net, samples, recipe, 200, tmp_path / "whole", lambda text: None)

    def stop(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        heads.cache_maps(net, samples, recipe, 200, tmp_path / "cut", stop)
    made = []
    again = heads.heatmaps
    monkeypatch.setattr(heads, "heatmaps", lambda n, images: made.append(1) or again(n, images))
    rest = heads.cache_maps(net, samples, recipe, 200, tmp_path / "cut", lambda text: None)
    assert len(made) == 3  # of thirteen
    for name in ("maps", "joints", "margin"):
        assert np.array_equal(getattr(whole, name), getattr(rest, name))
