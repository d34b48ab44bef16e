"""benchmarks/modes.py: what it prints for results whose differences are known."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest

from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


@pytest.fixture
def benchmark(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    spec = importlib.util.spec_from_file_location("modes_benchmark", root / "benchmarks" / "modes.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def person(track, x, shift, score=0.8):
    points = np.tile(np.array([x + 15 + shift, 60, score], np.float32), (17, 1))
    return Person(track, np.array([x, 20, 30, 40], np.float32), 0.9, points)


def test_crops_and_differences(benchmark, tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"not looked at")

    def run(path, settings, target):
        assert path == clip
        exact = settings["share_crops"] is False
        shift, number = (0.0, 5) if exact else (2.0, 1) if "detect_every" not in settings else (1.0, 7)
        with PoseTrackWriter(target, {"time_base": "1/25"}) as writer:
            for index in range(4):
                # The second one has changed its number, the third is unsure of its joints, the last is nowhere near.
                people = [person(0, 10, shift), person(number, 90, shift), person(3, 170, 9 * shift, 0.2)]
                people += [person(4, 300 if exact else 400, shift)]
                writer.write(FrameResult(index, index, index / 25, tuple(people)))
        return 48 if exact else 16

    out = tmp_path / "modes.json"
    assert benchmark.main([str(clip), "--json", str(out)], run=run) == 0
    modes = json.loads(out.read_text())["clips"]["clip.mp4"]["modes"]
    assert [row["crops"] for row in modes.values()] == [3, 1, 1]
    assert [modes[name]["50 %"] for name in list(modes)[1:]] == pytest.approx([4, 2])  # of a diagonal of 50 pixels
    assert "50 %" not in modes["exact"]
    text = capsys.readouterr().out
    assert "clip.mp4: 4 frames" in text
    assert "4.00 %" in text


def test_labelled_clips_are_scored(benchmark, root, tmp_path, capsys):
    clip = root / "sample_videos" / "portrait.mp4"

    def run(path, settings, target):
        with PoseTrackWriter(target, {"time_base": "1/25"}) as writer:
            for index in range(75):
                writer.write(FrameResult(index, index, index / 25, ()))
        return 0

    benchmark.main([str(clip)], run=run)
    assert capsys.readouterr().out.count("0.000") == 3
