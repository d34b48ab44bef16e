"""Fault tests 10-12: the encoder dies, the disk is full, the folder is not ours."""

from __future__ import annotations

import os

import pytest


def test_encoder_dies_at_frame_twenty(dcpose, product, tmp_path, monkeypatch):
    import av

    from dcpose_cli.video.writer import VideoWriter

    real, seen = VideoWriter._mux, []

    def dying(self, frame):
        seen.append(frame)
        if len(seen) == 20:
            raise av.error.ExternalError(-542398533, "encoder is gone")
        return real(self, frame)

    monkeypatch.setattr(VideoWriter, "_mux", dying)
    source = product.make_clip(tmp_path / "in.mp4", frames=60)
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode == 4
    assert "out.mp4" in product.one_line(result)
    assert product.files_in(tmp_path) == ["in.mp4"]
    assert 20 <= len(seen) <= 21


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2000, 40_000], ids=["early", "late"])
def test_disk_full_in_the_video(dcpose, product, tmp_path, limit):
    """The largest file size of the process stands for the disk."""
    source = product.make_clip(tmp_path / "in.mp4", frames=40, size=(320, 240))
    before = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    result = dcpose.process("estimate", source, "-o", tmp_path / "out.mp4", *dcpose.models, before=before)
    assert result.returncode == 4, result.stderr
    assert "out." in product.one_line(result)
    assert product.files_in(tmp_path) == ["in.mp4"]


def test_disk_full_in_the_json(dcpose, product, clip, tmp_path, monkeypatch):
    from dcpose_cli.results import posetrack

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(posetrack.PoseTrackWriter, "_join", full)
    result = dcpose("export", clip, "-o", tmp_path / "out.json", *dcpose.models)
    assert result.returncode == 4
    assert "disk full" in product.one_line(result)
    assert product.files_in(tmp_path) == []


def test_read_only_folder(dcpose, product, clip, tmp_path, monkeypatch):
    """Root may write anywhere, so the system call is made to refuse."""
    real = os.open

    def refuse(path, flags, *rest, **options):
        if str(path).startswith(str(tmp_path)) and flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr("dcpose_cli.estimator.PoseEstimator.from_config", lambda _: pytest.fail("a model was loaded"))
    result = dcpose.estimate(clip, "-o", tmp_path / "out.mp4")
    assert result.returncode == 4
    assert "Permission denied" in product.one_line(result)
