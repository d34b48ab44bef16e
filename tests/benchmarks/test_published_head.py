"""A head for other networks, on a tiny pack: what is made of maps, what is left out, what is compared and written."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch

from dcpose_cli.checkpoints.files import open_model, save_model
from dcpose_cli.nets import HRNet
from dcpose_cli.pose.heatmaps import smoothed_peaks
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.skeleton.sets import COCO_NAMES
from dcpose_cli.training.data.pack import is_held_out, read_parts
from dcpose_cli.training.recipes import load_recipe

MODULES = ("cache", "fit", "sources", "table", "damage", "heads", "measure", "windows", "published_main")


@pytest.fixture
def load(root, monkeypatch):
    """Imports the modules of the experiment, and `published_main`, its command."""
    folder = root / "benchmarks" / "published_head"
    monkeypatch.syspath_prepend(str(root / "benchmarks" / "temporal_gain"))
    monkeypatch.syspath_prepend(str(folder))

    def module(name):
        if name != "published_main":
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location("published_main", folder / "__main__.py")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    yield module
    for name in MODULES:
        sys.modules.pop(name, None)


def bump(x, y, width, height, sigma=1.5):
    """(1, 1, height, width), a Gaussian at x, y."""
    across, down = torch.arange(width) - x, torch.arange(height)[:, None] - y
    return torch.exp(-(across**2 + down**2) / (2 * sigma**2))[None, None]


@pytest.mark.parametrize("udp", [False, True])
def test_maps_keep_their_places_at_another_size(load, udp):
    """Place p of w pixels of a map is place p of its crop: of w, or with UDP of w - 1."""
    less = 1 if udp else 0
    share = np.array([0.4, 0.55])  # of the crop
    maps = bump(share[0] * (48 - less), share[1] * (64 - less), 48, 64, 2)
    found = smoothed_peaks(load("sources").resampled(maps, (36, 48), udp=udp))[0, 0, :2].numpy()
    np.testing.assert_allclose(found, share * [36, 48], atol=0.03)
    assert torch.equal(load("sources").resampled(maps, (48, 64)), maps)


@pytest.mark.parametrize("udp", [False, True])
def test_crops_keep_their_places_at_another_size(load, udp):
    crop = np.repeat((255 * bump(20, 45, 48, 64, 3)[0, 0]).numpy().astype(np.uint8)[..., None], 3, axis=2)
    less = 1 if udp else 0
    out = load("sources").resized(crop[None], (96, 96), udp=udp)
    assert out.shape == (1, 96, 96, 3)
    found = smoothed_peaks(torch.from_numpy(out[0, :, :, 0]).float()[None, None])[0, 0, :2].numpy()
    np.testing.assert_allclose(found, [20 * (96 - less) / 48, 45 * (96 - less) / 64], atol=0.15)


def test_amplitude_and_sharpness_vary_by_window_and_not_by_frame(load):
    fit = load("fit")
    maps = bump(10.3, 15, 24, 32).expand(4, 3, 17, 32, 24).clone()
    varied = fit.varied(maps, np.random.default_rng(0))
    assert varied.shape == maps.shape
    assert torch.allclose(varied[:, 0], varied[:, 2])
    heights = varied.amax(dim=(2, 3, 4))[:, 0]
    assert len({round(float(h), 3) for h in heights}) == 4
    widths = (varied[:, 0, 0] > 0.5 * varied[:, 0, 0].amax(dim=(1, 2), keepdim=True)).sum(dim=(1, 2))
    assert len({*widths.tolist()}) > 1
    assert (smoothed_peaks(varied[:, 0])[..., :2] - torch.tensor([10.3, 15])).abs().max() < 0.1
    assert torch.equal(varied, fit.varied(maps, np.random.default_rng(0)))


def test_a_batch_has_no_window_of_a_family_left_out_and_no_label_that_a_source_lacks(load):
    cache, fit = load("cache"), load("fit")
    maps = {name: np.full((6, 3, 17, 4, 3), value, np.float16) for value, name in enumerate("abc")}
    windows = cache.Windows(maps, np.ones((6, 17, 3), np.float32), np.ones((6, 2), np.float32))
    has = {name: np.ones(17, bool) for name in "abc"}
    has["c"][1:3] = False
    got, joints, margin = fit.batch_of(windows, [["a"], ["c"]], has, 40, np.random.default_rng(0))
    seen = got[:, 0, 0, 0, 0]
    assert {*seen.tolist()} == {0, 2}
    assert 10 < (seen == 0).sum() < 30
    assert margin.shape == (40, 2)
    assert joints[seen == 0, :, 2].all()
    assert not joints[seen == 2, 1:3, 2].any()
    assert joints[seen == 2, 3:, 2].all()


def test_a_quarter_of_a_map_holds_a_joint_where_its_label_says(load):
    fit = load("fit")
    joints = torch.tensor([[[5.0, 30.0, 1.0]], [[20.0, 3.0, 1.0]], [[10.0, 10.0, 0.0]]]).repeat(1, 17, 1)
    maps = torch.cat([bump(float(x), float(y), 24, 32).expand(1, 17, 32, 24) for x, y, _ in joints[:, 0]])
    for seed in range(20):
        parts, moved = fit.quarter_of(maps[:, None].expand(3, 3, 17, 32, 24), joints, np.random.default_rng(seed))
        assert parts.shape == (3, 3, 17, 16, 12)
        assert torch.equal(moved[..., 2], joints[..., 2])
        x, y = moved[:2, 0, :2].round().long().T
        assert {*x.tolist()} <= {*range(12)}
        assert {*y.tolist()} <= {*range(16)}
        assert torch.equal(parts[:2, 0, 0].flatten(1).argmax(dim=1), 12 * y + x)


def one(table, family, heads):
    """Ten windows of five clips, ten joints each, of which the single frame finds five; heads: joints found by key,
    damaged and clean."""
    clips = [f"clip {k // 2}" for k in range(10)]
    alone = {c: np.full(10, 5.0) for c in table.CONDITIONS}
    found = {
        key: {c: np.full(10, clean if c == "clean" else damaged) for c in table.CONDITIONS}
        for key, (damaged, clean) in heads.items()
    }
    plain = dict.fromkeys(("single frame", *table.CONTROLS), alone)
    return table.Tested(family, clips, np.full(10, 10.0), plain, found)


def test_seen_and_unseen_are_told_apart(load):
    table = load("table")
    heads = {("a", 1): (6, 5), ("a", 2): (7, 5), ("b", 1): (9, 6), ("b", 2): (8, 6)}
    report = table.figures({"a": one(table, "a", heads)})
    rows = report["sources"]["a"]
    assert rows["damaged"]["unseen"] == [15, 15, 15]
    assert rows["damaged"]["seen"] == [35, 35, 35]
    assert rows["clean"]["unseen"][0] == 0
    assert rows["clean"]["seen"][0] == 10
    assert rows["unseen by seed"] == {1: [10, 10, 10], 2: [20, 20, 20]}
    assert report["unseen / seen"] == pytest.approx(15 / 35)
    assert not report["criterion holds"]


@pytest.mark.parametrize(("unseen", "clean", "holds"), [(8, 5, True), (8, 4.9, False), (6.9, 6, False)])
def test_the_criterion(load, unseen, clean, holds):
    table = load("table")
    heads = {("a", 1): (unseen, clean), ("b", 1): (8, 5)}
    other = {("a", 1): (8, 5), ("b", 1): (unseen, clean)}
    report = table.figures({"a": one(table, "a", heads), "b": one(table, "b", other)})
    assert report["criterion holds"] is holds


def test_families_weigh_the_same(load):
    """Two networks of one family count as one."""
    table = load("table")
    better = {("a", 1): (9, 5), ("b", 1): (9, 5)}
    same = {("a", 1): (5, 5), ("b", 1): (5, 5)}
    results = {"a": one(table, "a", better), "a2": one(table, "a", better), "b": one(table, "b", same)}
    assert table.figures(results)["all"]["damaged"]["unseen"][0] == pytest.approx(20)


def test_ncnn_networks_have_coco_joints(load, tmp_path, monkeypatch):
    """A stand-in of the package: channel k of its maps has the value k."""

    class Extractor:
        def input(self, name, mat):
            assert (name, mat.values.shape) == ("image", (3, 64, 48))

        def extract(self, name):
            assert name == "maps"
            return 0, np.arange(17, dtype=np.float32)[:, None, None].repeat(16, 1).repeat(12, 2)

    class Mat:
        def __init__(self, values):
            self.values = values

        def clone(self):
            return self

    class Net:
        opt = types.SimpleNamespace()
        load_param = load_model = lambda self, path: None
        input_names, output_names = (lambda self: ["image"]), (lambda self: ["maps"])
        create_extractor = lambda self: Extractor()  # noqa: E731

    monkeypatch.setitem(sys.modules, "ncnn", types.SimpleNamespace(Net=Net, Mat=Mat))
    (tmp_path / "net_64x48.param").write_text("")
    (tmp_path / "net_64x48.bin").write_bytes(b"weights")
    source = load("sources").open_source(f"ncnn:{tmp_path}", torch.device("cpu"))
    maps = source.maps(np.zeros((2, 96, 72, 3), np.uint8), (12, 16))
    assert maps.shape == (2, 17, 16, 12)
    expected = [COCO_NAMES.index(name) if name in COCO_NAMES else 0 for name in JOINT_NAMES]
    assert maps[1, :, 3, 3].tolist() == expected
    assert source.has.tolist() == [name in COCO_NAMES for name in JOINT_NAMES]
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(SystemExit, match="pip install ncnn"):
        load("sources").open_source(f"ncnn:{tmp_path}", torch.device("cpu"))


@pytest.fixture
def networks(tiny_recipe, tmp_path):
    """Two networks of one frame, one with COCO's joints; crops of 48x64."""
    config = load_recipe(tiny_recipe).model.backbone
    for seed, joints in enumerate(("posetrack", "coco")):
        torch.manual_seed(seed)
        predicts = [k for k in range(17) if joints == "coco" or k not in (3, 4)]
        folder = tmp_path / joints
        save_model(HRNet(config), folder, name=joints, joints=joints, predicts=tuple(predicts), input_size=(48, 64))
    return tmp_path / "posetrack", tmp_path / "coco"


def test_every_family_is_left_out_measured_and_the_head_put_on_a_network(
    load, tiny_pack, tiny_recipe, networks, tmp_path, monkeypatch, capsys
):
    main = load("published_main")
    monkeypatch.setattr(main, "sample_windows", lambda folder: [])
    clips = sorted({s.name for s in read_parts(tiny_pack, ["triplets"], split=None)})
    share = next(s / 100 for s in range(1, 100) if sum(is_held_out(c, s / 100) for c in clips) == 1)
    arguments = [
        *("--data", str(tiny_pack), "--recipe", str(tiny_recipe), "--backbones", *map(str, networks)),
        *("--map", "12x16", "--hold-out", str(share), "--least-clips", "1", "--cached", "6", "--steps", "2"),
        *("--batch", "2", "--quarters", "0.5", "--seeds", "1", "--out", str(tmp_path / "run")),
        *("--json", str(tmp_path / "f.json")),
        *("--assemble", str(networks[0]), "--model", str(tmp_path / "assembled")),
    ]
    found = main.figures
    monkeypatch.setattr(main, "figures", lambda results: found(results) | {"criterion holds": True})
    assert main.main(arguments) == 0
    text = capsys.readouterr().out
    assert "| all | damaged |" in text
    report = json.loads((tmp_path / "f.json").read_text())
    assert {*report["sources"]} == {*map(str, networks)}
    assert {*report["all"]["unseen by seed"]} == {"1"}
    heads = sorted(path.parent.name for path in (tmp_path / "run").glob("*/head.safetensors"))
    assert heads == ["all-seed-1", "without-0-seed-1", "without-1-seed-1"]
    whole, base = open_model(tmp_path / "assembled"), open_model(networks[0])
    assert whole.header.kind == "dcpose"
    assert whole.header.predicts == base.header.predicts
    assert whole.net.config.dilations == (3, 6, 9, 12, 15)
    assert torch.equal(whole.net.backbone.conv1.weight, base.net.conv1.weight)
    head = load("fit").load_head(load("fit").empty_head((12, 16)), tmp_path / "run" / "all-seed-1" / "head.safetensors")
    maps, margin = [torch.rand(1, 17, 16, 12) for _ in range(3)], torch.ones(1, 2)
    with torch.no_grad():
        assert torch.equal(head.head(*maps, margin).final, whole.net.head(*maps, margin).final)
    # A second call trains nothing and says the same; one with other options is refused.
    monkeypatch.setattr(load("fit"), "Loop", lambda *a, **k: pytest.fail("trained again"))
    main.main(arguments)
    assert json.loads((tmp_path / "f.json").read_text()) == report
    with pytest.raises(SystemExit, match="other options"):
        main.main([*arguments, "--steps", "3"])
    with pytest.raises(SystemExit, match="maps of 12x16"):
        main.assemble(str(networks[0]), tmp_path / "run" / "all-seed-1" / "head.safetensors", (9, 12), tmp_path / "x")


def test_an_interrupted_cache_continues(load, tiny_pack, tiny_recipe, networks, tmp_path, monkeypatch):
    cache, sources = load("cache"), load("sources")
    recipe = replace(load_recipe(tiny_recipe), seed=3)
    samples = [s for s in read_parts(tiny_pack, ["triplets"], split="train") if len(s.pictures) == 3]
    source = sources.open_source(str(networks[1]), torch.device("cpu"))
    shape, augment = cache.Shape((48, 64), (12, 16)), recipe.augmentation(window=True)
    whole = cache.cached_windows([source], samples, 40, shape, augment, tmp_path / "whole", lambda text: None)
    made = []

    def run(crops):
        made.append(1)
        if len(made) == 20:
            raise KeyboardInterrupt
        return source.run(crops)

    counted = replace(source, run=run)
    with pytest.raises(KeyboardInterrupt):
        cache.cached_windows([counted], samples, 40, shape, augment, tmp_path / "cut", lambda text: None)
    rest = cache.cached_windows([counted], samples, 40, shape, augment, tmp_path / "cut", lambda text: None)
    assert len(made) == 20 + 40 - 16
    assert np.array_equal(whole.maps[source.name], rest.maps[source.name])
    assert np.array_equal(whole.joints, rest.joints)
    assert not whole.maps[source.name][:, :, 1:3].any()  # COCO knows no neck and no crown
