from __future__ import annotations

import json

import pytest


@pytest.mark.slow
def test_a_worker_of_its_own_for_each_method(dcpose, product, clip, tiny_folder, tmp_path):
    models = dcpose.models[2:]  # detector, device, offline
    name = f"{tiny_folder}:single"
    out, figures = tmp_path / "side.mp4", tmp_path / "side.json"
    done = dcpose("compare", clip, "--models", name, "--out", out, "--json", figures, *models)
    assert done.returncode == 0, done.stderr
    heading, line = done.stdout.strip().splitlines()
    assert heading.replace("jitter %", "jitter").split()[:5] == ["model", "kind", "frames", "people", "jitter"]
    assert line.split()[:3] == [name, "hrnet", "1"]
    report = json.loads(figures.read_text())
    assert report["video"]["name"] == "clip.mp4"
    (row,) = report["methods"]
    assert row["model"] == name
    assert row["memory"] > 100
    assert product.files_in(tmp_path) == ["side.json", "side.mp4"]
    assert dcpose("compare", clip, "--models", name, "--out", out, *models).returncode == 4


@pytest.mark.slow
def test_a_worker_that_fails_says_why(dcpose, clip, tiny_folder, tmp_path):
    spoilt = tmp_path / "spoilt.safetensors"
    spoilt.write_bytes((tiny_folder / "model.safetensors").read_bytes()[:-100])
    done = dcpose("compare", clip, "--models", spoilt, "--out", tmp_path / "s.mp4", *dcpose.models[2:])
    assert done.returncode == 5
    assert "spoilt.safetensors is damaged" in done.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["spoilt.safetensors"]
