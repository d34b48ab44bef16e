"""benchmarks/human_labels.py: the figures are those of the training's own validation."""

from __future__ import annotations

import csv
import importlib.util
import json

import numpy as np
import pytest

from dcpose_cli.checkpoints.files import save_model
from dcpose_cli.nets import HRNet, HRNetConfig
from dcpose_cli.training.dcpose.train import train
from dcpose_cli.training.recipes import load_recipe


@pytest.fixture
def benchmark(root):
    spec = importlib.util.spec_from_file_location("human_labels", root / "benchmarks" / "human_labels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recipe_path(tiny_model, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(
        """
name = "tiny"
[data]
stills = ["stills"]
validate = [{ source = "a", share = 1.0 }]
measure = [{ name = "indoors", sources = ["a"] }]
[stage1]
steps = 4
batch = 2
"""
        + tiny_model
    )
    return path


def test_checkpoints_and_models(benchmark, recipe_path, writer, tools, tmp_path, capsys):
    pack = writer()
    for k in range(12):
        pack.add([tools["person"]((8 + k, 8, 36, 64)) | {"label_kind": "human"}], source="ab"[k % 2])
    pack.write()
    net = train(load_recipe(recipe_path), tmp_path, tmp_path / "run", threads=1)
    save_model(net, tmp_path / "m", name="m")
    nets = [str(tmp_path / "run" / "stage1.ckpt"), str(tmp_path / "m")]
    out = tmp_path / "report.json"
    options = [str(recipe_path), *nets, "--data", str(tmp_path), "--threads", "1", "--json", str(out)]
    assert benchmark.main(options) == 0
    assert "indoors" in capsys.readouterr().out
    first, second = (entry["groups"]["indoors"] for entry in json.loads(out.read_text())["nets"])
    with (tmp_path / "run" / "validation.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert first["people"] == second["people"] == 6
    assert (first["pck"], first["swapped"]) == pytest.approx(
        (float(row["pck_indoors"]), float(row["swapped_indoors"])), abs=1e-4
    )
    assert first["pck_change"] == [0, 0]
    assert second["pck_change"][0] <= second["pck"] - first["pck"] <= second["pck_change"][1]
    assert benchmark.main([*options[:2], *options[3:], "--flip-test", "--size", "32x48"]) == 0


def test_intervals_hold_the_difference(benchmark):
    rng = np.random.default_rng(1)
    base = np.stack([rng.integers(0, 9, 80), np.full(80, 12), rng.integers(0, 3, 80), np.full(80, 4)], axis=1)
    better = base + np.array([1, 0, 0, 0])
    low, high = benchmark.interval(better.astype(float), base.astype(float))
    assert [low[0], high[0]] == pytest.approx([1 / 12, 1 / 12])
    assert low[1] == high[1] == 0
    low, high = benchmark.interval(base[::-1].astype(float), base.astype(float))
    assert low[0] < 0 < high[0]


def test_other_networks_are_refused(benchmark, recipe_path, tmp_path):
    save_model(HRNet(HRNetConfig(8, 8, 8, 1, (1, 1, 1), (1, 1, 1))), tmp_path / "h", name="h")
    with pytest.raises(SystemExit, match="is no DCPose"):
        benchmark.load_backbone(str(tmp_path / "h"), load_recipe(recipe_path))
