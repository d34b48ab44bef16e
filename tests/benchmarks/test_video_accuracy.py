"""benchmarks/video_accuracy.py: what it prints and writes, with stand-ins for the model and with a small one."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest

from dcpose_cli import EstimateConfig, PoseEstimator
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person


@pytest.fixture
def benchmark(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    spec = importlib.util.spec_from_file_location("video_benchmark", root / "benchmarks" / "video_accuracy.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


POINTS = np.stack([np.tile([60.0, 30.0], 6), np.arange(12.0) * 5], axis=1)


@pytest.fixture
def labelled(product, tmp_path):
    """A folder with two clips and their labels."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for name in ("first", "second"):
        product.make_clip(folder / f"{name}.mp4", frames=4)
        person = {"track_id": 0, "bbox": [20, 0, 50, 60], "keypoints": [[*p, 2] for p in POINTS.tolist()]}
        frames = [{"frame": i, "persons": [person]} for i in range(4)]
        labels = {"joints": list(JOINT_NAMES[5:]), "fps": 25, "frames": frames}
        (folder / f"{name}.json").write_text(json.dumps(labels))
    return folder


def half(clip, target):
    """Finds the person in every second frame."""
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[5:] = np.concatenate([POINTS, np.full((12, 1), 0.9)], axis=1)
    person = Person(0, np.array([20, 0, 50, 60], np.float32), 0.9, keypoints)
    with PoseTrackWriter(target, {"time_base": "1/25"}) as writer:
        for index in range(4):
            writer.write(FrameResult(index, index, index / 25, (person,) if index % 2 else ()))


def test_figures_per_clip_and_of_all(benchmark, labelled, tmp_path, capsys):
    kept, out = tmp_path / "kept", tmp_path / "figures.json"
    arguments = ["--labels", str(labelled), "--results", str(kept), "--json", str(out)]
    assert benchmark.main(arguments, run=half) == 0
    text = capsys.readouterr().out
    assert "first          PCK@0.2 0.500  people 2/4  swapped 0/8" in text
    assert "all            PCK@0.2 0.500  people 4/8  swapped 0/16" in text
    report = json.loads(out.read_text())
    assert report["clips"]["second"]["found"] == 2
    assert report["all"]["hits"] == 48
    assert benchmark.main(["--labels", str(labelled), "--score", str(kept), "second"]) == 0
    assert "all            PCK@0.2 0.500  people 2/4" in capsys.readouterr().out


def test_the_labelled_boxes_are_given(benchmark, labelled, tiny_folder, tmp_path):
    """Every labelled person is in the result, in the labelled box, with the joints of the public call."""
    estimator = PoseEstimator(tiny_folder, "cpu", precision="fp32")
    labels = benchmark.read_labels(labelled / "first.json")
    results = benchmark.with_true_boxes(estimator, labelled / "first.mp4", labels)
    assert [len(result.people) for result in results] == [1] * 4
    assert results[2].people[0].bbox.tolist() == [20, 0, 50, 60]
    assert np.ptp(results[2].people[0].keypoints[:, 0]) > 1


def test_without_options_the_program_runs_with_its_defaults(benchmark, labelled, monkeypatch):
    given = []
    monkeypatch.setattr(benchmark.dcpose_cli.PoseEstimator, "from_config", given.append)
    benchmark.runner(benchmark.parse(["--labels", str(labelled)]))
    benchmark.runner(benchmark.parse(["--labels", str(labelled), "--no-share-crops", "--no-fix-swaps", "--flip-test"]))
    assert given[0] == EstimateConfig(overwrite=True)
    assert given[1] == EstimateConfig(overwrite=True, share_crops=False, fix_swaps=False, flip_test=True)


def test_a_folder_without_labels_is_refused(benchmark, tmp_path):
    with pytest.raises(SystemExit, match="holds no labels"):
        benchmark.main(["--labels", str(tmp_path)])
