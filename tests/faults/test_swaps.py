"""Hashes are those of the bytes that were read: a file that another one replaces in between is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dcpose_cli.checkpoints import files as weights
from dcpose_cli.edits import edit_result, read_script
from dcpose_cli.edits import result as edits
from dcpose_cli.errors import DCPoseError
from dcpose_cli.people import detector_files
from dcpose_cli.render import results
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


@pytest.fixture
def result(tmp_path):
    with PoseTrackWriter(tmp_path / "in.json", {"time_base": "1/4"}) as writer:
        for k in range(3):
            box = np.array([0, 0, 30, 60], np.float32)
            writer.write(FrameResult(k, k, k / 4, (Person(0, box, 0.9, np.ones((17, 3), np.float32)),)))
    return tmp_path / "in.json"


def swapping(monkeypatch, module, name, path):
    """Another file takes the place of `path` right after it was read, with the same size and time."""

    call = getattr(module, name)

    def read(*args, **options):
        found = call(*args, **options)
        other, status = path.with_name("other"), path.stat()
        shutil.copy2(path, other)
        with other.open("r+b") as file:
            file.seek(-1, 2)
            file.write(b" ")
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.replace(path)
        return found

    monkeypatch.setattr(module, name, read)


def refused(code, call, *args, **options):
    with pytest.raises(DCPoseError, match="it changed while it was read") as caught:
        call(*args, **options)
    assert caught.value.exit_code == code


def test_models(tiny_folder, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "mine"))
    assert weights.open_model(folder).sha256
    swapping(monkeypatch, weights, "read_weights", folder / "model.safetensors")
    refused(5, weights.open_model, folder)


def test_detectors(product, tmp_path, monkeypatch):
    folder = Path(product.save_random_detector(tmp_path / "mine"))
    assert detector_files.load_detector(folder).sha256
    swapping(monkeypatch, detector_files, "_read_safetensors", folder / "model.safetensors")
    refused(5, detector_files.load_detector, folder)


def test_results(result, tmp_path, monkeypatch):
    swapping(monkeypatch, edits, "read_result", result)
    refused(3, edit_result, result, tmp_path / "out.json", ["delete 0"])
    swapping(monkeypatch, results, "read_posetrack", result)
    refused(3, results.smooth_result, result, tmp_path / "out.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.json"]


def test_scripts_without_end_are_refused_before_they_are_carried_out(result, tmp_path):
    script = tmp_path / "script.txt"
    script.write_text("swap-sides 0 from 0.1s\n" * 400_000)
    with pytest.raises(DCPoseError, match="more than 5000 edits") as caught:
        edit_result(result, tmp_path / "out.json", read_script(script))
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out.json").exists()
