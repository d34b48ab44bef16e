"""benchmarks/ladder.py: every model of the ladder in its published shape, its cost counted and its time taken."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest
import torch

from dcpose_cli.published.table import DETECTOR, PUBLISHED

POSE = [entry for entry in PUBLISHED.values() if entry.kind != DETECTOR]


@pytest.fixture
def benchmark(root, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    spec = importlib.util.spec_from_file_location("ladder_benchmark", root / "benchmarks" / "ladder.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("speed", None)


@pytest.mark.parametrize("entry", POSE, ids=lambda entry: entry.name)
def test_shapes_are_those_of_the_published_files(benchmark, entry):
    """Four bytes a parameter, and the size that the table has of the file."""
    from dcpose_cli.pose.methods import KINDS

    config = benchmark.config_of(entry)
    assert KINDS[entry.kind].config is type(config)
    with torch.device("meta"):
        net = KINDS[entry.kind].network(config)
    stored = sum(
        value.numel()
        for name, value in net.state_dict().items()
        if value.is_floating_point() and (not entry.head or name.startswith("backbone."))
    )
    assert 4 * stored == pytest.approx(entry.size, rel=0.01)


def test_what_it_prints(benchmark, tmp_path, capsys, monkeypatch):
    from dcpose_cli.nets import HRNetConfig

    small = HRNetConfig(width=8, stem=8, layer1_width=8, layer1_blocks=1, modules=(1, 1, 1), blocks=(1, 1, 1))
    monkeypatch.setattr(benchmark, "config_of", lambda entry: small)
    name, out = "hrnet-w32-coco-udp-256x192", tmp_path / "ladder.json"
    options = ["--models", name, "--device", "cpu", "--precision", "fp32", "--people", "2", "--rounds", "1"]
    assert benchmark.main([*options, "--json", str(out)]) == 0
    text = capsys.readouterr().out
    assert "untrained network of its shape" in text
    [row] = json.loads(out.read_text())["rows"]
    assert (row["name"], row["frames"], row["trained"]) == (name, 1, False)
    assert row["milliseconds"] > 0
    assert row["gmac"] > 0.01
    assert f"{row['milliseconds']:.1f}" in text
    assert benchmark.main([*options, "--count"]) == 0
    assert "not measured" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="unknown models: hrnet-w64"):
        benchmark.main(["--models", "hrnet-w64"])
