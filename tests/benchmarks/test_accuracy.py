"""benchmarks/accuracy.py with stand-ins for the model: what it prints and what it writes."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dcpose_cli.evaluation.sample_truth import read_truth
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


@pytest.fixture(scope="module")
def accuracy(root: Path) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("accuracy_benchmark", root / "benchmarks" / "accuracy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def perfect_run(clip: Path, folder: Path) -> Path:
    """Writes the truth as if a model had found it."""
    result = folder / f"{clip.stem}.json"
    with PoseTrackWriter(result, {"time_base": "1/25"}) as writer:
        for index, frame in enumerate(read_truth(clip.with_suffix(".json"))):
            people = []
            for true in frame:
                keypoints = true.keypoints.astype(np.float32)
                keypoints[:, 2] = keypoints[:, 2] > 0
                people.append(Person(true.track_id, true.bbox.astype(np.float32), 0.9, keypoints))
            writer.write(FrameResult(index, index, index / 25, tuple(people)))
    return result


@pytest.mark.slow
def test_figures_are_printed_and_written(
    accuracy: ModuleType, heldout_set: Path, oracle: Any, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "m", "--data", str(heldout_set), "--samples", str(root / "sample_videos")]
    target = tmp_path / "figures.json"
    assert accuracy.main([*arguments, "--json", str(target)], estimator=oracle(), run=perfect_run) == 0
    printed = capsys.readouterr().out
    assert "heldout-dev stills: 4 people" in printed
    assert "pck@0.2 torso  1.000 [1.000, 1.000]  joints 60, people 4" in printed
    assert "AP 100.0" in printed
    report = json.loads(target.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert report["heldout"]["parts"]["lspet"]["pckh@0.5"]["total"]["value"] == 1
    assert set(report["heldout"]["sha256"]) == {"heldout-dev.json", "heldout-dev.tar"}
    clips = report["samples"]["clips"]
    assert set(clips) == {"plaza", "portrait", "sprint", "all"}
    assert clips["all"]["value"] == 1
    assert clips["all"]["joints"] == sum(clips[name]["joints"] for name in ("plaza", "portrait", "sprint"))
    assert len(report["date"]) == 10
    assert report["machine"]


def test_without_data_only_the_clips_are_measured(
    accuracy: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy.main(["--model", "m", "--samples", str(root / "sample_videos")], run=perfect_run) == 0
    printed = capsys.readouterr().out
    assert "heldout" not in printed
    assert "plaza" in printed


def test_a_folder_without_clips_is_refused(accuracy: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no clip"):
        accuracy.main(["--model", "m", "--samples", str(tmp_path)], run=perfect_run)
