"""benchmarks/length.py: a short clip and the same one twice over, through the real program."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest

from dcpose_cli.video import VideoReader


@pytest.fixture
def benchmark(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    spec = importlib.util.spec_from_file_location("length_benchmark", root / "benchmarks" / "length.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_clip_and_twice_the_clip(benchmark, product, tiny_folder, tmp_path, capsys):
    clip = product.make_clip(tmp_path / "in.mp4")
    out = tmp_path / "length.json"
    assert benchmark.main([str(clip), "--times", "2", "--model", str(tiny_folder), "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    short, long = report["runs"]
    assert long["frames"] == 2 * short["frames"] > 0
    assert min(short["MiB"], long["MiB"]) > 100
    assert report["memory, long over short"] == long["MiB"] / short["MiB"]
    assert "ms per frame, long over short" in capsys.readouterr().out


def test_a_scene_is_made(benchmark, product, monkeypatch, capsys):
    """Its name stands for its clip; each run gets a clip of its own."""
    frames = []

    def run(clip, options):
        with VideoReader(clip) as reader:
            frames.append(len(list(reader)))
        return {"frames": frames[-1], "people": 15, "MiB": 1000.0 + frames[-1], "ms per frame": 200.0}

    monkeypatch.setattr(
        benchmark, "make_clip", lambda name, folder: product.make_clip(folder / f"{name}.mp4", frames=5)
    )
    monkeypatch.setattr(benchmark, "run", run)
    assert benchmark.main(["crowd", "--times", "3"]) == 0
    assert frames == [5, 15]
    said = capsys.readouterr().out
    assert "crowd.mp4" in said
    assert "memory, long over short: 1.010" in said
