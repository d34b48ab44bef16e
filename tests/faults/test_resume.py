"""Fault tests 17 and 18: going on after sudden death, and refusing to when something else is asked for."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

#: Short segments, so that a short clip has several; every frame slow and said on stdout.
SHORT = "import dcpose_cli.chunks as c; c.SEGMENT_CHUNKS = 1\n"
SLOW = f"""{SHORT}
import time, dcpose_cli.results.posetrack as p
real = p.PoseTrackWriter.write
def write(self, result):
    real(self, result)
    print(result.index, flush=True)
    time.sleep(0.02)
p.PoseTrackWriter.write = write
"""


@pytest.fixture(scope="module")
def source(product, tmp_path_factory):
    return product.make_clip(tmp_path_factory.mktemp("long") / "in.mp4", frames=96, gop=25, audio=True)


@pytest.fixture(scope="module")
def straight(dcpose, source, tmp_path_factory):
    """What an uninterrupted run writes."""
    folder = tmp_path_factory.mktemp("straight")
    result = dcpose.estimate(source, "-o", folder / "out.mp4")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch):
    from dcpose_cli import chunks

    monkeypatch.setattr(chunks, "SEGMENT_CHUNKS", 1)


@pytest.fixture
def detections(monkeypatch):
    """Number of frames that were looked at by the detector."""
    from dcpose_cli.people.detector import PersonDetector

    real, seen = PersonDetector.detect, []

    def detect(self, images, *size):
        seen.extend(images)
        return real(self, images, *size)

    monkeypatch.setattr(PersonDetector, "detect", detect)
    return seen


def killed(dcpose, source, out, *options, until=56, stop="kill"):
    """Runs a command and stops it after some frames."""
    process = dcpose.start(*options, source, "-o", out, *dcpose.models, before=SLOW)
    for _ in range(until):
        assert process.stdout.readline(), process.stderr.read()
    getattr(process, stop)()
    process.communicate()
    return process.returncode


@pytest.fixture(scope="module")
def dead(dcpose, source, tmp_path_factory):
    """A folder with a copy of the clip, and what a killed run left there."""
    folder = tmp_path_factory.mktemp("dead")
    shutil.copy(source, folder / "in.mp4")
    killed(dcpose, folder / "in.mp4", folder / "out.mp4", "estimate")
    return folder


@pytest.mark.parametrize("prepared", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_resume_after_sudden_death(request, dcpose, product, source, straight, detections, tmp_path, prepared):
    if prepared:
        shutil.copy(source, tmp_path / "in.mp4")
        killed(dcpose, tmp_path / "in.mp4", tmp_path / "out.mp4", "estimate", "--resume")
    else:
        shutil.copytree(request.getfixturevalue("dead"), tmp_path, dirs_exist_ok=True)
    assert not (tmp_path / "out.json").exists()
    result = dcpose.estimate(tmp_path / "in.mp4", "-o", tmp_path / "out.mp4", "--resume")
    assert result.returncode == 0, result.stderr
    assert 0 < len(detections) <= 96 - 32
    assert product.files_in(tmp_path) == ["in.mp4", "out.json", "out.mp4"]
    for name in ("out.json", "out.mp4"):
        assert (tmp_path / name).read_bytes() == (straight / name).read_bytes()


@pytest.mark.slow
def test_export_resumes_after_a_signal(dcpose, product, source, detections, tmp_path):
    assert killed(dcpose, source, tmp_path / "out.json", "export", "--resume", stop="terminate") == 143
    result = dcpose("export", source, "-o", tmp_path / "out.json", "--resume", *dcpose.models)
    assert result.returncode == 0, result.stderr
    assert 0 < len(detections) <= 96 - 32
    assert dcpose("export", source, "-o", tmp_path / "straight.json", *dcpose.models).returncode == 0
    assert (tmp_path / "out.json").read_bytes() == (tmp_path / "straight.json").read_bytes()
    assert product.files_in(tmp_path) == ["out.json", "straight.json"]


@pytest.mark.slow
def test_resume_twice_and_from_a_published_video(dcpose, product, source, straight, tmp_path):
    """Killed early, killed late, and once more between the video and its JSON."""
    out = tmp_path / "out.mp4"
    killed(dcpose, source, out, "estimate", until=30)
    killed(dcpose, source, out, "estimate", "--resume", until=72)
    shutil.copy(straight / "out.mp4", out)
    result = dcpose.estimate(source, "-o", out, "--resume")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out.json").read_bytes() == (straight / "out.json").read_bytes()
    assert product.files_in(tmp_path) == ["out.json", "out.mp4"]


def test_other_model_settings_or_input_are_refused(dcpose, product, source, straight, dead, tiny_folder, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    copy, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    shutil.copytree(dead, tmp_path, dirs_exist_ok=True)
    before = product.files_in(tmp_path)
    with safe_open(tiny_folder / "model.safetensors", "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        (tmp_path / "other").mkdir()
        state[min(state)] = state[min(state)] + 1
        save_file(state, tmp_path / "other" / "model.safetensors", file.metadata())
    other = [*dcpose.models]
    other[1] = str(tmp_path / "other")
    for says, options in (("another pose model", other), ("other settings", [*dcpose.models, "--interval", "2"])):
        result = dcpose("estimate", copy, "-o", out, "--resume", *options)
        assert result.returncode == 2
        assert says in product.one_line(result)
    shutil.rmtree(tmp_path / "other")
    changed = bytearray(source.read_bytes())
    changed[-1] ^= 1
    copy.write_bytes(changed)
    result = dcpose.estimate(copy, "-o", out, "--resume")
    assert result.returncode == 2
    assert "its input changed" in product.one_line(result)
    copy.write_bytes(source.read_bytes())
    assert product.files_in(tmp_path) == before
    assert dcpose.estimate(copy, "-o", out, "--resume").returncode == 0
    assert (tmp_path / "out.json").read_bytes() == (straight / "out.json").read_bytes()


@pytest.mark.slow
def test_without_resume_all_is_done_again(dcpose, product, source, straight, detections, tmp_path):
    killed(dcpose, source, tmp_path / "out.mp4", "estimate")
    assert dcpose.estimate(source, "-o", tmp_path / "out.mp4").returncode == 0
    assert len(detections) == 96
    assert (tmp_path / "out.json").read_bytes() == (straight / "out.json").read_bytes()


@pytest.mark.slow
def test_damaged_parts_are_made_again(dcpose, product, source, straight, detections, tmp_path):
    killed(dcpose, source, tmp_path / "out.mp4", "estimate")
    parts = sorted(p for p in tmp_path.rglob("*") if p.parent != tmp_path and p.name[0].isdigit())
    assert len(parts) >= 6
    parts[0].write_bytes(parts[0].read_bytes()[:-30])
    flipped = bytearray(parts[1].read_bytes())
    for at in np.random.default_rng(0).integers(0, len(flipped), 20):
        flipped[at] ^= 0xFF
    parts[1].write_bytes(flipped)
    parts[2].write_bytes(b"")
    assert dcpose.estimate(source, "-o", tmp_path / "out.mp4", "--resume").returncode == 0
    assert (tmp_path / "out.json").read_bytes() == (straight / "out.json").read_bytes()


@pytest.mark.slow
def test_one_result_is_made_by_one_process(dcpose, product, source, tmp_path):
    process = dcpose.start("estimate", source, "-o", tmp_path / "out.mp4", *dcpose.models, before=SLOW)
    assert process.stdout.readline()
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4", "--resume")
    assert result.returncode == 4
    assert "another run" in product.one_line(result)
    process.terminate()
    process.communicate()
    assert product.files_in(tmp_path) == []
