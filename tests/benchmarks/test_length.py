"""benchmarks/length.py: a short clip and the same one twice over, through the real program."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest


@pytest.mark.slow
def test_a_clip_and_twice_the_clip(root, monkeypatch, product, tiny_folder, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    spec = importlib.util.spec_from_file_location("length_benchmark", root / "benchmarks" / "length.py")
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, benchmark)
    spec.loader.exec_module(benchmark)
    clip = product.make_clip(tmp_path / "in.mp4")
    out = tmp_path / "length.json"
    assert benchmark.main([str(clip), "--times", "2", "--model", str(tiny_folder), "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    short, long = report["runs"]
    assert long["frames"] == 2 * short["frames"] > 0
    assert min(short["MiB"], long["MiB"]) > 100
    assert report["memory, long over short"] == long["MiB"] / short["MiB"]
    assert "ms per frame, long over short" in capsys.readouterr().out
