"""Hardware decoding as the pipeline uses it: what is reported, and that results do not depend on it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcpose_cli import DeviceError, PoseEstimator, UsageError, chunks, estimate, export_json
from dcpose_cli.video import hwaccel, reader
from dcpose_cli.video.probe import choose_stream
from dcpose_cli.video.source import open_input

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "product.py")))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return PRODUCT.make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=40)


@pytest.fixture(scope="module")
def two(tiny_folder):
    """An estimator that sees two people."""
    return PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd())


@pytest.fixture
def hardware(monkeypatch):
    """A `cuda` decoder that gives what software gives; the GPUs it was opened for."""
    gpus = []

    def open_hardware(path, device, gpu=None):
        gpus.append(gpu)
        container = open_input(path)
        return container, choose_stream(container, path)

    monkeypatch.setattr(hwaccel, "hwdevices_available", lambda: ["cuda"])
    monkeypatch.setattr(hwaccel, "_is_here", lambda device: True)
    for room in (hwaccel, reader):
        monkeypatch.setattr(room, "open_hardware", open_hardware)
    return gpus


def test_hardware_decoding_is_said_and_changes_nothing_else(two, clip, tmp_path, hardware):
    plain = estimate(clip, tmp_path / "a.mp4", estimator=two)
    summary = estimate(clip, tmp_path / "b.mp4", estimator=two, hwaccel="auto", device="cuda:3")
    assert (plain.hwaccel, summary.hwaccel, summary.warnings) == (None, "cuda", ())
    assert hardware == [3, 3]
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    one, other = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert other["dcpose"]["settings"].pop("hwaccel") == "cuda"
    assert other["dcpose"]["decode"].pop("hardware") == 40
    assert one == other


def test_without_hardware_auto_is_software(two, clip, tmp_path, hardware, monkeypatch):
    monkeypatch.setattr(hwaccel, "_is_here", lambda device: False)
    export_json(clip, tmp_path / "a.json", estimator=two)
    summary = export_json(clip, tmp_path / "b.json", estimator=two, hwaccel="auto")
    assert (summary.hwaccel, summary.warnings, hardware) == (None, (), [])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    with pytest.raises(DeviceError, match="cuda"):
        export_json(clip, tmp_path / "c.json", estimator=two, hwaccel="cuda")
    assert not (tmp_path / "c.json").exists()


def test_hardware_that_was_named_and_differs_is_told(two, clip, tmp_path, hardware, monkeypatch):
    monkeypatch.setattr(hwaccel, "difference", lambda *_args: "other pixels in frame 2")
    export_json(clip, tmp_path / "a.json", estimator=two)
    summary = export_json(clip, tmp_path / "b.json", estimator=two, hwaccel="cuda")
    assert summary.hwaccel is None
    [warning] = summary.warnings
    assert "clip.mp4 was decoded by software: cuda decodes it otherwise: other pixels in frame 2" in warning
    assert export_json(clip, tmp_path / "c.json", estimator=two, hwaccel="auto").warnings == ()
    assert len({(tmp_path / name).read_bytes() for name in ("a.json", "b.json", "c.json")}) == 1


def interrupted(frame):
    """A progress report that stops the run after so many frames."""

    def report(progress):
        if progress.frames == frame:
            raise KeyboardInterrupt

    return report


def test_parts_of_another_decoder_are_not_gone_on_from(two, clip, tmp_path, hardware, monkeypatch):
    monkeypatch.setattr(chunks, "SEGMENT_CHUNKS", 1)

    with pytest.raises(KeyboardInterrupt):
        export_json(clip, tmp_path / "a.json", estimator=two, resume=True, progress=interrupted(33))
    with pytest.raises(UsageError, match=r"a\.json"):
        export_json(clip, tmp_path / "a.json", estimator=two, resume=True, hwaccel="cuda")
    assert export_json(clip, tmp_path / "a.json", estimator=two, resume=True).frames == 40
