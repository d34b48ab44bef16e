"""Ablations on cached heatmaps: what is held out, what is cached, and that every variant trains and is measured."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.files import open_model
from dcpose_cli.nets import DCPose, DCPoseConfig, HRNetConfig
from dcpose_cli.training.data.config import AugmentConfig
from dcpose_cli.training.data.pack import read_parts
from dcpose_cli.training.dcpose.recipe import StageConfig

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from ablation import maps as ablation_maps
from ablation.maps import Maps, cache_maps, described, held_out_crops, is_held_out, training_crops
from ablation.variants import CPU_SET, VARIANTS, changed, find_joints, head_of, train_head

TINY = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
CONFIG = DCPoseConfig(backbone=TINY, input_size=(48, 64), combine_width=8, dilations=(2, 4))
STAGE = StageConfig(steps=2, batch=2, warmup=0, ema=0.0)


@pytest.fixture(scope="module")
def samples(tiny_pack):
    return read_parts(tiny_pack, ("triplets",), split=None)


@pytest.fixture
def maps(samples, tmp_path):
    torch.manual_seed(0)
    backbone = DCPose(CONFIG).backbone.eval()
    make = training_crops(samples, (48, 64), AugmentConfig(), 0)
    return cache_maps(backbone, samples, tmp_path / "maps", "train", make, 6, (48, 64), 1.25)


def perfect_maps():
    """Two windows whose neighbours show every joint where it is, and whose current frame shows it elsewhere."""
    maps = np.zeros((2, 3, 17, 16, 12), np.uint8)
    maps[:] = round(-ablation_maps.LOW / ablation_maps.STEP)
    maps[:, 0, :, 3, 3] = 200
    maps[:, 1:, :, 9, 6] = 200
    joints = np.tile(np.array([6, 9, 1], np.float32), (2, 17, 1))
    hidden = np.zeros((2, 17), bool)
    hidden[0, 5] = True
    side = np.full(2, 12, np.float32)
    return Maps(maps, joints, np.array([[1, 1], [1, 3]], np.float32), side, np.array(["a", "b"]), hidden)


def test_fewer_dilations_are_the_smallest():
    published = DCPoseConfig()
    assert [changed(name, published).dilations for name in ("one-dilation", "two-dilations", "complete")] == [
        (3,),
        (3, 6),
        (3, 6, 9, 12, 15),
    ]
    assert changed("no-next", published).neighbours == ("previous",)


def test_whole_clips_are_held_out_by_name():
    names = [f"clip {k}" for k in range(2000)]
    held = [is_held_out(name) for name in names]
    assert held == [is_held_out(name) for name in names]
    assert 0.17 < np.mean(held) < 0.23
    assert not any(is_held_out(name, 0) for name in names)
    assert {n for n, h in zip(names, held, strict=True) if h} < {n for n in names if is_held_out(n, 0.5)}


def test_heatmaps_are_computed_once(maps, samples, tmp_path):
    assert maps.maps.shape == (6, 3, 17, 16, 12)
    assert maps.joints.shape == (6, 17, 3)
    again = cache_maps(None, samples, tmp_path / "maps", "train", None, 6, (48, 64), 1.25)
    for field in Maps.__slots__:
        np.testing.assert_array_equal(getattr(again, field), getattr(maps, field))
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == ["train.npz"]
    assert described(tmp_path, limit=1) != described(tmp_path, limit=2)
    assert set(again.within(1).clip) < set(maps.clip)


def test_eight_bits_are_enough(samples, tmp_path):
    """A heatmap comes back to half a step, the current frame first."""

    def backbone(x):
        means = x.mean(dim=(1, 2, 3), keepdim=True).sigmoid()
        return means.expand(-1, 17, 16, 12)

    made = cache_maps(
        backbone, samples, tmp_path, "m", held_out_crops(samples, (48, 64), 1.25, "plain"), 3, (48, 64), 1.25
    )
    frames, _, _ = made.tensors(np.arange(3))
    for k in range(3):
        crops, _ = held_out_crops(samples, (48, 64), 1.25, "plain")(k)
        from dcpose_cli.pose.crop import normalise

        wanted = normalise(torch.from_numpy(crops.images)).mean(dim=(1, 2, 3)).sigmoid()[[1, 0, 2]]
        assert torch.allclose(frames[:, k, 0, 0, 0], wanted, atol=0.004)  # half a step and bfloat16's inputs


@pytest.mark.parametrize("condition", ["blurred", "covered"])
def test_damage_is_done_to_the_current_frame_alone(samples, condition):
    plain, nothing = held_out_crops(samples, (48, 64), 1.25, "plain")(0)
    worse, hidden = held_out_crops(samples, (48, 64), 1.25, condition)(0)
    again, _ = held_out_crops(samples, (48, 64), 1.25, condition)(0)
    assert [np.array_equal(a, b) for a, b in zip(plain.images, worse.images, strict=True)] == [True, False, True]
    np.testing.assert_array_equal(worse.images, again.images)
    assert not nothing.any()
    assert hidden.any() == (condition == "covered")
    changed = (plain.images[1] != worse.images[1]).any(axis=2)
    for joint in np.flatnonzero(hidden):
        x, y = plain.joints[1, joint, :2].round().astype(int)
        assert changed[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].any()


def test_a_head_finds_what_the_backbone_alone_misses():
    maps = perfect_maps()
    alone = find_joints(None, maps)
    assert alone.counted.sum() == 2 * 15  # the ears do not count
    assert not alone.found.any()
    assert alone.hidden.sum() == 1

    class Neighbour(torch.nn.Module):
        def forward(self, current, previous, following, margin):
            return previous

    assert find_joints(Neighbour(), maps).found.sum() == 30


@pytest.mark.parametrize("variant", ["single", "posewarper", "complete", "ptm-current", "t-2"])
def test_variants_train(variant, maps, tmp_path):
    before, head = head_of(variant, CONFIG, 3), train_head(variant, CONFIG, maps, STAGE, 3, tmp_path / "w")
    if variant == "single":
        assert before is head is None
        return
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), head.parameters(), strict=True))
    again = train_head(variant, CONFIG, maps, STAGE, 3, tmp_path / "w")  # finished: read, not trained
    state = again.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in head.state_dict().items())
    assert find_joints(head, maps).found.shape == (6, 17)


def test_the_cpu_set_is_what_was_asked_for():
    assert set(CPU_SET) <= set(VARIANTS)
    asked = {"complete", "ptm-sum", "ptm-current", "prf-differences", "one-dilation", "no-previous", "no-next"}
    assert asked == set(CPU_SET) - {"single"}
    for variant in VARIANTS:
        with torch.device("meta"):
            assert (head_of(variant, CONFIG, 0) is None) == (variant == "single")


@pytest.fixture(scope="module")
def benchmark(root):
    spec = importlib.util.spec_from_file_location(
        "ablation_benchmark", root / "benchmarks" / "ablation" / "__main__.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_benchmark(benchmark, tiny_folder, tiny_pack, tmp_path, capsys):
    arguments = ["--model", str(tiny_folder), "--data", str(tiny_pack), "--parts", "triplets", "--steps", "1"]
    arguments += ["--batch", "2", "--seeds", "2", "--out", str(tmp_path / "out"), "--dilations", "2", "--size", "48x64"]
    arguments += ["--variants", "single,complete,ptm-sum", "--json", str(tmp_path / "figures.json")]
    threads = torch.get_num_threads()
    try:
        assert benchmark.main(arguments) == 0
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert "| complete | " in printed
    report = json.loads((tmp_path / "figures.json").read_text())
    assert report["sha256"] == open_model(tiny_folder).sha256
    assert [len(v["plain"]["seeds"]) for v in report["variants"].values()] == [1, 2, 2]
    assert report["variants"]["single"]["plain"]["sd"] is None
    assert report["variants"]["complete"]["blurred"]["sd"] >= 0
    low, high = (report["variants"]["ptm-sum"]["covered"]["minus_complete"][end] for end in ("low", "high"))
    assert -1 <= low <= high <= 1
    assert 0 < report["variants"]["ptm-sum"]["parameters"] < report["variants"]["complete"]["parameters"]
