"""`dcpose batch` as a user runs it."""

from __future__ import annotations

import os

import pytest
import torch

from dcpose_cli.batch import workers


def test_five_videos_one_corrupt(dcpose, product, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (1, 2, 3, 4):
        product.make_clip(folder / f"{number}.mp4", frames=3)
    (folder / "5.mp4").write_bytes((folder / "1.mp4").read_bytes()[:400])
    os.mkfifo(folder / "pipe.mp4")
    (folder / "notes.txt").touch()
    planned = dcpose("batch", folder, "-o", tmp_path / "out", "--dry-run")
    assert planned.returncode == 0
    assert planned.stderr.count(" -> ") == 5
    assert "left out, not videos by their names: notes.txt\n" in planned.stderr
    assert not (tmp_path / "out").exists()

    result = dcpose("batch", folder, "-o", tmp_path / "out", *dcpose.models)
    assert result.returncode == 7, result.stderr
    assert "5.mp4" in next(line for line in result.stderr.splitlines() if "not a video" in line)
    assert "pipe.mp4 is skipped: a pipe or device" in result.stderr
    assert result.stderr.endswith("4 done, 0 finished before, 1 failed, 1 skipped\n")
    assert len(product.files_in(tmp_path / "out")) == 10

    product.make_clip(folder / "5.mp4", frames=2)
    result = dcpose("batch", folder, "-o", tmp_path / "out", *dcpose.models)
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stderr.splitlines() if line.startswith("  ")]
    assert [row[:2] for row in rows] == [["finished", "before"]] * 4 + [["done", "5.mp4"]]
    assert rows[-1][2:4] == ["2", "frames"]
    assert result.stderr.endswith("1 done, 4 finished before, 0 failed, 1 skipped\n")


def test_wrong_models_fail_once(dcpose, product, clip, tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.mp4").write_bytes(clip.read_bytes())
    result = dcpose("batch", tmp_path / "in", "-o", tmp_path / "out", *dcpose.models[:2], "--detector", tmp_path)
    assert result.returncode == 5
    assert "detector" in product.one_line(result)


def test_folders_that_are_none(dcpose, product, clip, tmp_path):
    for code, folder in ((3, tmp_path / "none"), (2, clip)):
        result = dcpose("batch", folder, "-o", tmp_path / "out")
        assert result.returncode == code
        assert product.one_line(result)


def test_workers_that_cannot_be(dcpose, product, clip, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    result = dcpose("batch", tmp_path / "in", "-o", tmp_path / "out", "--workers", 0, *dcpose.models)
    assert result.returncode == 2
    assert "--workers" in product.one_line(result)


@pytest.mark.timeout(600)
def test_several_devices(dcpose, product, tmp_path, monkeypatch):
    """A worker for each entry; the bytes are those of one device, and what is finished stays so."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (1, 2, 3):
        product.make_clip(folder / f"{number}.mp4", frames=3 + number)
    started, start = [], workers._start

    def watched(config, count):
        started.append((config.device, count))
        return start(config, count)

    monkeypatch.setattr(workers, "_start", watched)
    result = dcpose("batch", folder, "-o", tmp_path / "two", *dcpose.models, "--device", "cpu,cpu")
    assert result.returncode == 0, result.stderr
    assert started == [("cpu", 2), ("cpu", 2)]
    assert dcpose("batch", folder, "-o", tmp_path / "one", *dcpose.models).returncode == 0
    for name in product.files_in(tmp_path / "one"):
        if name != "manifest.jsonl":
            assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    result = dcpose("batch", folder, "-o", tmp_path / "two", *dcpose.models, "--device", "cpu,cpu", "--resume")
    assert result.stderr.endswith("0 done, 3 finished before, 0 failed, 0 skipped\n")
    assert len(started) == 2


def test_devices_that_cannot_be(dcpose, product, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    for code, *options in ((6, "all"), (2, "cpu,"), (6, "cpu,cuda:0"), (2, "cpu,cpu", "--ray", "auto")):
        result = dcpose("batch", tmp_path / "in", "-o", tmp_path / "out", *dcpose.models, "--device", *options)
        assert result.returncode == code, options
        assert "device" in product.one_line(result)


def test_one_video_takes_one_device(dcpose, product, clip, tmp_path):
    out, models = tmp_path / "out.mp4", [*dcpose.models, "--device", "cpu,cpu"]
    for args in (
        ("estimate", clip, "-o", out, *models),
        ("export", clip, "-o", tmp_path / "out.json", *models),
        ("compare", clip, "--models", "dcpose-s", "-o", out, "--device", "all"),
    ):
        result = dcpose(*args)
        assert result.returncode == 2
        assert "dcpose batch" in product.one_line(result)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_which_results_have_other_settings(dcpose, product, tmp_path):
    (tmp_path / "in").mkdir()
    product.make_clip(tmp_path / "in" / "a.mp4", frames=2)
    batch = ("batch", tmp_path / "in", "-o", tmp_path / "out", *dcpose.models)
    done = dcpose(*batch)
    assert done.returncode == 0, done.stderr
    for more, warnings in (((), 0), (("--conf", "0.5"), 1)):
        planned = dcpose(*batch, "--dry-run", *more)
        assert planned.returncode == 0
        assert planned.stderr.count("a.mp4 was made with other settings") == warnings
        assert planned.stderr.count("finished: ") == 1
