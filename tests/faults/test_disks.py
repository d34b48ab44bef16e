"""Fault tests 11 and 12 on real file systems: a disk that is full, and one that is read-only."""

from __future__ import annotations

import contextlib
import subprocess

import pytest


@contextlib.contextmanager
def mounted(folder, size, *options):
    """A file system of `size` bytes in memory."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command")
    if done.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("size", [16_384, 131_072], ids=["at the beginning", "midway"])
def test_disk_full_in_the_video(dcpose, product, tmp_path, size):
    source = product.make_clip(tmp_path / "in.mp4", frames=60, size=(320, 240))
    with mounted(tmp_path / "disk", size) as disk:
        result = dcpose.estimate(source, "-o", disk / "out.mp4")
        assert result.returncode == 4, result.stderr
        assert "disk full" in product.one_line(result)
        assert product.files_in(disk) == []


def test_disk_full_in_the_json(dcpose, product, tmp_path):
    """The JSON has a disk of its own; the video is not published without it."""
    source = product.make_clip(tmp_path / "in.mp4", frames=60)
    with mounted(tmp_path / "disk", 16_384) as disk:
        result = dcpose.estimate(source, "-o", tmp_path / "out.mp4", "--json", disk / "out.json")
        assert result.returncode == 4, result.stderr
        text = product.one_line(result)
        assert "disk full; free some space" in text
        assert "out.json" in text
        assert product.files_in(tmp_path) == ["in.mp4"]


@pytest.mark.slow
def test_disk_full_in_a_batch(dcpose, product, clip, tmp_path):
    """What fits is kept; after making room the rest follows."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        product.make_clip(tmp_path / "in" / f"{name}.mp4", frames=12 if name != "b" else 60, size=(320, 240))
    with mounted(tmp_path / "disk", 450_000) as disk:
        result = dcpose("batch", tmp_path / "in", "-o", disk, *dcpose.models)
        assert result.returncode == 7, result.stderr
        assert "disk full" in result.stderr
        assert not any(name.startswith(".") for name in product.files_in(disk))
        subprocess.run(["mount", "-o", "remount,size=20000000", str(disk)], check=True)
        result = dcpose("batch", tmp_path / "in", "-o", disk, *dcpose.models)
        assert result.returncode == 0, result.stderr
        assert product.files_in(disk) == sorted(
            [*(f"{n}.{e}" for n in "abc" for e in ("json", "mp4")), "manifest.jsonl", "summary.csv"]
        )


def test_disk_full_in_a_checkpoint(tmp_path):
    """Torch's own error does not say that there is no room; the checkpoint before stays."""
    import torch

    from dcpose_cli.errors import OutputError
    from dcpose_cli.training.engine.checkpoint import read_checkpoint, write_checkpoint

    with mounted(tmp_path / "disk", 131_072) as disk:
        path = disk / "stage1.pt"
        write_checkpoint(path, {"step": 1, "net": {"w": torch.ones(4000)}})
        for size in (20_000, 100_000, 1_000_000):
            with pytest.raises(OutputError, match=r"stage1\.pt: disk full; free some space"):
                write_checkpoint(path, {"step": 2, "net": {"w": torch.ones(size), "v": torch.ones(size)}})
            assert [file.name for file in disk.iterdir()] == ["stage1.pt"]
        assert read_checkpoint(path, torch.device("cpu"))["step"] == 1


def test_file_size_limit_in_a_checkpoint(tmp_path):
    """The same without root."""
    import resource

    import torch

    from dcpose_cli.errors import OutputError
    from dcpose_cli.training.engine.checkpoint import write_checkpoint

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"stage1\.pt: file size limit reached"):
            write_checkpoint(tmp_path / "stage1.pt", {"net": torch.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_read_only_disk(dcpose, product, clip, tmp_path, monkeypatch):
    monkeypatch.setattr("dcpose_cli.estimator.PoseEstimator.from_config", lambda _: pytest.fail("a model was loaded"))
    with mounted(tmp_path / "disk", 1_000_000, "ro") as disk:
        for command in (["estimate", clip, "-o", disk / "out.mp4"], ["export", clip, "-o", disk / "out.json"]):
            result = dcpose(*command)
            assert result.returncode == 4
            assert "Read-only file system" in product.one_line(result)
