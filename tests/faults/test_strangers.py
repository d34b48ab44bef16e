"""Files of somebody else where dcpose keeps its own, and code and models that lie in the working folder."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest

from dcpose_cli.errors import OutputError
from dcpose_cli.files import open_own, read_own, require_own_folder


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux's loader")
@pytest.mark.parametrize("place", [".", "tls/x86_64", "glibc-hwcaps/x86-64-v3"])
@pytest.mark.parametrize("args", [("doctor",), ("models", "list"), ("convert", "a.json", "--to", "csv", "-o", "a.csv")])
def test_driver_of_the_working_folder_is_not_run(dcpose, product, tmp_path, monkeypatch, place, args):
    monkeypatch.chdir(tmp_path)
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "libcuda.so.1").touch()
    result = dcpose(*args)
    assert result.returncode == 2
    assert f"holds {os.path.normpath(f'{place}/libcuda.so.1')}, which NVIDIA's" in product.one_line(result)
    assert dcpose("convert", "--help").returncode == 0


def test_segments_folder_that_is_a_link_is_refused(dcpose, product, clip, tmp_path):
    victim, shared = tmp_path / "victim", tmp_path / "shared"
    victim.mkdir()
    shared.mkdir()
    (victim / "thesis.docx").write_text("precious")
    (shared / ".r.json.segments.part").symlink_to(victim)
    result = dcpose.estimate(clip, "-o", shared / "r.mp4")
    assert result.returncode == 4
    assert "symbolic link" in product.one_line(result)
    assert product.files_in(victim) == ["thesis.docx"]
    assert not (shared / "r.mp4").exists()


def test_other_files_in_a_segments_folder_stay(dcpose, clip, tmp_path):
    folder = tmp_path / ".r.json.segments.part"
    folder.mkdir()
    (folder / "thesis.docx").write_text("precious")
    result = dcpose.estimate(clip, "-o", tmp_path / "r.mp4")
    assert result.returncode == 0, result.stderr
    assert (folder / "thesis.docx").read_text() == "precious"


@pytest.mark.parametrize("name", ["lock", "key.json", "0.seen"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_parts_that_are_links_or_pipes_are_refused(dcpose, product, clip, tmp_path, name, kind):
    folder, victim = tmp_path / ".r.json.segments.part", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious")
    if kind == "link":
        (folder / name).symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    for options in ((), ("--resume",), ("--overwrite",)):
        result = dcpose.estimate(clip, "-o", tmp_path / "r.mp4", *options)
        assert result.returncode == 4, result.stderr
        assert "where dcpose stores files of its own" in product.one_line(result)
    assert victim.read_text() == "precious"
    assert os.path.lexists(folder / name)
    assert product.files_in(tmp_path) == sorted([*([f".r.json.segments.part/{name}"] * (kind != "folder")), "victim"])


def test_manifest_that_is_a_link_is_refused(dcpose, product, clip, tmp_path):
    from dcpose_cli.batch.manifest import MANIFEST_NAME

    videos, out, victim = tmp_path / "videos", tmp_path / "out", tmp_path / "victim"
    videos.mkdir()
    out.mkdir()
    shutil.copy(clip, videos / "a.mp4")
    victim.write_text("precious")
    (out / MANIFEST_NAME).symlink_to(victim)
    result = dcpose("batch", videos, "-o", out, *dcpose.models)
    assert result.returncode == 4
    assert "symbolic link" in product.one_line(result)
    assert victim.read_text() == "precious"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to give files away")
def test_files_of_another_user_are_refused(tmp_path):
    file, folder = tmp_path / "lock", tmp_path / "folder"
    file.write_text("x")
    folder.mkdir()
    assert read_own(file) == b"x"
    require_own_folder(folder)
    os.chown(file, 12345, 12345)
    os.chown(folder, 12345, 12345)
    with pytest.raises(OutputError, match="another user"):
        open_own(file)
    with pytest.raises(OutputError, match="another user"):
        require_own_folder(folder)


def test_name_of_a_shipped_model_is_never_the_working_folder(tmp_path, monkeypatch):
    from dcpose_cli._paths import models_dir
    from dcpose_cli.batch.plan import find_detector
    from dcpose_cli.checkpoints.files import find_weights
    from dcpose_cli.people.detector_files import _find

    monkeypatch.chdir(tmp_path)
    for name in ("person-n", "dcpose-s", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"somebody else's")
    for name in ("person-n", "dcpose-s"):
        shipped = models_dir() / name / "model.safetensors"
        here = tmp_path / name / "model.safetensors"
        for find in (find_weights, lambda name: _find(name, True), find_detector):
            assert find(name).resolve() == shipped.resolve()
            assert find(f"./{name}").resolve() == here
    assert find_weights("mine").resolve() == tmp_path / "mine/model.safetensors"
    assert _find("mine", True).resolve() == tmp_path / "mine/model.safetensors"


def test_file_with_the_name_of_a_stock_detector_is_not_that_detector(tmp_path, monkeypatch):
    from dcpose_cli.errors import WeightsError
    from dcpose_cli.people.detector_files import _find

    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    (tmp_path / "yolo11n.pt").write_bytes(b"somebody else's")
    with pytest.raises(WeightsError, match="--offline"):
        _find("yolo11n.pt", True)
    assert _find("./yolo11n.pt", True).name == "yolo11n.pt"


def test_subprocesses_import_nothing_from_the_working_folder(root):
    """-P keeps the working folder off the path of every Python that we start."""
    for path in (root / "dcpose_cli").rglob("*.py"):
        text = path.read_text()
        assert text.count("[sys.executable,") == text.count('[sys.executable, "-P",'), path


def test_compare_runs_no_code_of_the_working_folder(dcpose, clip, tiny_folder, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    result = dcpose("compare", clip, "--models", tiny_folder, *dcpose.models[2:], "-o", "c.mp4")
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "ran").exists()


def test_colons_in_output_names(dcpose, product, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dcpose.estimate(clip, "-o", "10:05 walk.mp4").returncode == 0
    assert dcpose("render", clip, "10:05 walk.json", "-o", "http:x.mp4").returncode == 0
    assert product.files_in(tmp_path) == ["10:05 walk.json", "10:05 walk.mp4", "http:x.mp4"]
    assert json.loads((tmp_path / "10:05 walk.json").read_text())["dcpose"]["video"]
