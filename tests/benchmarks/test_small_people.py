"""benchmarks/small_people.py: the clip it makes, its counts; the shipped detector finds people of 60 pixels."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest


@pytest.fixture
def benchmark(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    spec = importlib.util.spec_from_file_location("small_people", root / "benchmarks" / "small_people.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_clip_shows_twenty_people_of_sixty_pixels(benchmark, root):
    frames, truth = benchmark.clip(root / "sample_videos", 2)
    assert [frame.shape for frame in frames] == [(2160, 3840, 3)] * 2
    assert all(boxes.shape == (20, 4) for boxes in truth)
    assert truth[0][:, 3] == pytest.approx(np.full(20, 60), abs=1e-3)
    assert np.abs(truth[1][:, :2] - truth[0][:, :2]).max() < 30
    again, _ = benchmark.clip(root / "sample_videos", 1)
    assert np.array_equal(again[0], frames[0])


def test_counts(benchmark):
    true = [np.array([[0, 0, 10, 60], [100, 0, 10, 60]], np.float32)]
    found = [np.array([[1, 0, 10, 60], [300, 0, 10, 60]], np.float32)]
    assert benchmark.score(found, true) == {"frames": 1, "people": 2, "found": 1, "false": 1}
    assert benchmark.score([np.zeros((0, 4), np.float32)], true)["found"] == 0


@pytest.mark.slow
def test_nine_of_ten_people_of_sixty_pixels_are_found(benchmark, root, tmp_path):
    out = tmp_path / "small.json"
    samples = str(root / "sample_videos")
    assert benchmark.main(["--samples", samples, "--frames", "3", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["found"] >= 0.9 * report["people"]
    assert report["false"] <= 0.1 * report["frames"]
