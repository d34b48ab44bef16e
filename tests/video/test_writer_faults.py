"""Outputs when something goes wrong: refused, removed, or a temporary file that decodes."""

from __future__ import annotations

import errno
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest

from dcpose_cli.errors import OutputError, UsageError
from dcpose_cli.video import VideoReader, VideoWriter, probe

WRITING = runpy.run_path(str(Path(__file__).parent / "writing.py"))
transcribe, names = WRITING["transcribe"], WRITING["names"]


def read(path):
    with VideoReader(path) as video:
        return list(video)


def test_target_is_checked_at_construction(clips):
    source = clips.make()
    info = probe(source)
    kept = source.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        VideoWriter(source, info, audio_from=None)
    with pytest.raises(OutputError, match="not a folder"):
        VideoWriter(source / "out.mp4", info, audio_from=None)
    assert source.read_bytes() == kept
    assert names(clips.folder) == ["clip.mp4"]


def test_overwrite_replaces_at_the_end_only(clips):
    source = clips.make()
    (clips.folder / "out.mp4").write_bytes(b"old")
    with VideoReader(source) as video:
        out = VideoWriter(clips.folder / "out.mp4", video.info, audio_from=None, overwrite=True)
        for frame in video:
            out.write(frame.image, frame.pts)
        assert (clips.folder / "out.mp4").read_bytes() == b"old"
        out.close()
    assert len(read(clips.folder / "out.mp4")) == 12


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_exception_leaves_nothing(clips, error):
    info = probe(clips.make())

    def fail_midway():
        with VideoWriter(clips.folder / "out.mp4", info, audio_from=clips.folder / "clip.mp4") as out:
            for pts in range(30):
                out.write(clips.picture(pts), pts)
            assert out.temp.stat().st_size > 0
            raise error

    with pytest.raises(error):
        fail_midway()
    assert names(clips.folder) == ["clip.mp4"]


def test_misuse_is_named(clips):
    info = probe(clips.make())
    with pytest.raises(OutputError, match="no frames"):
        VideoWriter(clips.folder / "out.mp4", info, audio_from=None).close()
    out = VideoWriter(clips.folder / "out.mp4", info, audio_from=None)
    out.write(clips.picture(0), 5)
    with pytest.raises(UsageError, match="back in time"):
        out.write(clips.picture(0), 5)
    with pytest.raises(UsageError, match="shape"):
        out.write(clips.picture(0, 32, 32), 6)
    out.abort()
    assert names(clips.folder) == ["clip.mp4"]


class FullDisk:
    """An output that runs out of space at packet `at`, or while closing."""

    def __init__(self, real, at):
        self._real, self._left = real, at

    def __getattr__(self, name):
        return getattr(self._real, name)

    def mux(self, packets):
        for packet in packets if isinstance(packets, list) else [packets]:
            self._left -= 1
            if self._left == 0:
                av.error.err_check(-errno.ENOSPC)
            self._real.mux(packet)

    def close(self):
        self._real.close()
        if self._left > 0:
            av.error.err_check(-errno.ENOSPC)


@pytest.mark.parametrize("at", [20, 10_000], ids=["frame", "close"])
def test_full_disk(clips, monkeypatch, at):
    source = clips.make(frames=100, audio="aac")
    original = av.open

    def opened(file, mode="r", *args, **kwargs):
        real = original(file, mode, *args, **kwargs)
        return FullDisk(real, at) if mode == "w" else real

    monkeypatch.setattr(av, "open", opened)
    with pytest.raises(OutputError, match=r"out\.mp4: disk full"):
        transcribe(source, clips.folder / "out.mp4", sound=False)
    assert names(clips.folder) == ["clip.mp4"]


def test_encoder_that_cannot_open(clips):
    info = probe(clips.make())
    with (
        pytest.raises(OutputError, match=r"out\.mp4"),
        VideoWriter(clips.folder / "out.mp4", info, audio_from=None, preset="no-such-preset") as out,
    ):
        out.write(clips.picture(0), 0)
    assert names(clips.folder) == ["clip.mp4"]


WRITE_FOREVER = """
import sys, numpy as np, resource
from dcpose_cli.video import VideoReader, VideoWriter, probe
from dcpose_cli.errors import DCPoseError
source, target, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rng = np.random.default_rng(0)
try:
    with VideoWriter(target, probe(source), audio_from=source) as out:
        for pts in range(2000):
            out.write(rng.integers(0, 255, (96, 128, 3), np.uint8), pts * 512)
            print(pts, flush=True)
except DCPoseError as error:
    print(type(error).__name__, error, flush=True)
    sys.exit(error.exit_code)
"""


def start_writer(root, clips, limit=0):
    command = [sys.executable, "-c", WRITE_FOREVER, clips.make(frames=100, audio="aac"), clips.folder / "o.mp4", limit]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True, env=environment)


def test_killed_writer_leaves_a_temp_that_decodes(root, clips):
    with start_writer(root, clips) as process:
        for line in process.stdout:
            if line.strip() == "150":
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert not (clips.folder / "o.mp4").exists()
    (left,) = clips.folder.glob(".*.part")
    frames = read(left)
    assert len(frames) >= 90
    assert [frame.time for frame in frames] == pytest.approx([i / 25 for i in range(len(frames))])
    assert clips.sound_times(left)[-1] > 2.0


def test_file_size_limit(root, clips):
    with start_writer(root, clips, limit=300_000) as process:
        lines = process.stdout.read().splitlines()
    assert process.returncode == 4
    assert "o.mp4: file size limit reached" in lines[-1]
    assert 5 < int(lines[-2]) < 1900
    assert names(clips.folder) == ["clip.mp4"]
