"""benchmarks/smoothing.py: what it prints for predictions whose errors are known, and for the shipped network."""

from __future__ import annotations

import importlib.util
import re
import sys

import numpy as np
import pytest

from dcpose_cli.evaluation.sample_truth import read_truth
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


@pytest.fixture(scope="module")
def benchmark(root):
    spec = importlib.util.spec_from_file_location("smoothing_benchmark", root / "benchmarks" / "smoothing.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def write_results(clips, folder, noise, delay=0):
    """The truth, some frames late, with noise, as results."""
    generator = np.random.default_rng(4)
    for clip in clips:
        truth = read_truth(clip)
        with PoseTrackWriter(folder / clip.name, {"time_base": "1/25"}) as writer:
            for index in range(len(truth)):
                people = []
                for true in truth[max(0, index - delay)]:
                    points = true.keypoints.astype(np.float32)
                    points[:, :2] += generator.normal(0, noise, (17, 2)) * (points[:, 2:] > 0)
                    points[:, 2] = 0.8 * (points[:, 2] > 0)
                    people.append(Person(true.track_id, true.bbox.astype(np.float32), 0.9, points))
                writer.write(FrameResult(index, index, index / 25, tuple(people)))


def table(text):
    rows = {}
    for line in text.splitlines()[1:]:
        name, jitter, change, lag, share = re.match(
            r"(\S+)\s+([\d.]+)\s+([-+][\d.]+)%\s+(\S+)\s+([\d.]+)", line
        ).groups()
        rows[name] = (float(jitter), float(change) / 100, float(lag), float(share))
    return rows


def test_noise_of_known_size(benchmark, root, tmp_path, capsys):
    clips = [root / "sample_videos" / "portrait.json"]
    write_results(clips, tmp_path, noise=1.0)
    samples = root / "sample_videos"
    (tmp_path / "samples").mkdir()
    for suffix in (".json", ".mp4"):
        (tmp_path / "samples" / f"portrait{suffix}").symlink_to(samples / f"portrait{suffix}")
    assert benchmark.main(["--samples", str(tmp_path / "samples"), "--results", str(tmp_path)]) == 0
    rows = table(capsys.readouterr().out)
    # Second differences of independent noise in two axes: sqrt(2 * 6) times its deviation.
    assert rows["none"][0] == pytest.approx(12**0.5, rel=0.06)
    for method in ("gaussian", "one-euro"):
        assert rows[method][1] < -0.4
        assert abs(rows[method][2]) < 1


def test_lag_is_seen(benchmark, root, tmp_path):
    clips = [root / "sample_videos" / "portrait.json"]
    write_results(clips, tmp_path, noise=0.3, delay=1)
    frames = benchmark.dcpose_cli.read_posetrack(tmp_path / "portrait.json").frames
    late = benchmark.measure([(list(frames), read_truth(clips[0]))], "none").lag
    assert late == pytest.approx(1, abs=0.1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_aims_hold_for_the_shipped_model(benchmark, root, capsys):
    assert benchmark.main(["--samples", str(root / "sample_videos")]) == 0
    rows = table(capsys.readouterr().out)
    for method in ("gaussian", "one-euro"):
        assert rows[method][1] <= -0.4, method
        assert abs(rows[method][2]) < 1, method
        assert rows[method][3] >= rows["none"][3], method
