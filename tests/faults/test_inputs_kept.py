"""No command writes to what it reads, with --overwrite neither: second inputs, members of folders, other outputs."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


@pytest.fixture
def folder(tmp_path, monkeypatch, clip, tiny_folder):
    """A working folder with a result, OpenPose's frames, ground truth and predictions, a clip and a checkpoint."""
    monkeypatch.chdir(tmp_path)
    with PoseTrackWriter(tmp_path / "r.json", {"time_base": "1/4"}) as writer:
        for k in range(2):
            box = np.array([0, 0, 30, 60], np.float32)
            writer.write(FrameResult(k, k, k / 4, (Person(0, box, 0.9, np.ones((17, 3), np.float32)),)))
    (tmp_path / "script.txt").write_text("swap-sides 0\n")
    frame = {"version": 1.3, "people": [{"pose_keypoints_2d": [1, 2, 0.5] * 25}]}
    for name in ("openpose", "truth", "predicted", "model", "videos/videos"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "openpose" / "a_000000000000_keypoints.json").write_text(json.dumps(frame))
    for name in ("truth", "predicted"):
        shutil.copy("r.json", f"{name}/x.json")
    shutil.copy(tiny_folder / "model.safetensors", "model/model.safetensors")
    for name in ("c.mp4", "videos/a.mp4", "videos/videos/a.mp4"):
        shutil.copy(clip, name)
    os.link("script.txt", "same script.txt")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("edit r.json --script script.txt -o script.txt", "script.txt"),
        ("edit r.json --script script.txt -o e.json --save-script script.txt", "script.txt"),
        (["edit", "r.json", "--script", "script.txt", "-o", "same script.txt"], "same script.txt"),
        ("edit r.json --script script.txt -o e.json --save-script e.json", "e.json"),
        ("edit openpose --swap-sides 0 -o openpose/a_000000000000_keypoints.json", "a_000000000000_keypoints.json"),
        ("convert openpose --to coco -o openpose/a_000000000000_keypoints.json", "a_000000000000_keypoints.json"),
        ("evaluate truth predicted --json truth/x.json", "truth/x.json"),
        ("evaluate truth predicted --json predicted/x.json", "predicted/x.json"),
        ("compare c.mp4 --models MODEL --json c.mp4", "c.mp4"),
        ("compare c.mp4 --models MODEL --gt r.json --json r.json", "r.json"),
        ("compare c.mp4 --models model --json model/model.safetensors", "model/model.safetensors"),
        ("compare c.mp4 --models MODEL -o n.mp4 --json n.mp4", "n.mp4"),
        ("models import model/model.safetensors -o model", "model/model.safetensors"),
        ("batch videos -o .", "videos/a.mp4"),
    ],
)
def test_what_is_read_is_not_written(folder, dcpose, product, tiny_folder, command, named):
    words = command.split() if isinstance(command, str) else command
    words = [str(tiny_folder) if word == "MODEL" else word for word in words]
    if words[0] in ("compare", "batch"):
        words += dcpose.models[2:] if words[0] == "compare" else dcpose.models
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = dcpose(*words, "--overwrite")
    assert result.returncode == 2, result.stderr
    assert named in product.one_line(result)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
