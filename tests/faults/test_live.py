"""Live runs of the command in real processes: bounded delay and memory, and Ctrl-C as their ordinary end."""

from __future__ import annotations

import contextlib
import json
import runpy
import signal
import time
from pathlib import Path

import av
import psutil
import pytest

TcpStream = runpy.run_path(str(Path(__file__).parents[1] / "streams.py"))["TcpStream"]
#: Says on stdout when a frame is written.
TELLING = """
import dcpose_cli.video.writer as w
real = w.VideoWriter.write
def write(self, image, pts):
    real(self, image, pts)
    print(pts, flush=True)
w.VideoWriter.write = write
"""


@contextlib.contextmanager
def running(dcpose, address, folder):
    """A live run that has written its first frame."""
    args = ["estimate", address, "-o", folder / "out.mp4", "--allow-network", *dcpose.models]
    process = dcpose.start(*args, before=TELLING)
    try:
        assert process.stdout.readline(), process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def times_of(path):
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_interrupt_is_the_end_of_a_live_run(dcpose, product, tmp_path):
    with TcpStream(100) as stream, running(dcpose, stream.address, tmp_path) as process:
        for _ in range(7):
            assert process.stdout.readline(), process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert "dropped" in text
    assert product.files_in(tmp_path) == ["out.json", "out.mp4"]
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["dcpose"]["input"] == {"name": "tcp stream", "sha256": None}
    assert data["dcpose"]["live"]["dropped"] >= 0
    times = times_of(tmp_path / "out.mp4")
    assert len(times) == data["dcpose"]["frames"] >= 8
    assert times[0] == 0


def test_a_limit_ends_it_too(dcpose, product, tmp_path):
    with TcpStream(100) as stream:
        args = ["--allow-network", "--max-frames", "5", *dcpose.models]
        result = dcpose("export", stream.address, "-o", tmp_path / "out.json", *args)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "out.json").read_text())["dcpose"]["frames"] == 5


def test_a_live_source_needs_to_be_allowed(dcpose, product, tmp_path):
    for address in ("tcp://127.0.0.1:9", "rtsp://127.0.0.1/x", "camera:0"):
        result = dcpose("estimate", address, "-o", tmp_path / "x.mp4")
        assert result.returncode == 2
        assert "--allow-network" in product.one_line(result)
    result = dcpose("estimate", "tcp://127.0.0.1:9", "-o", tmp_path / "x.mp4", "--allow-network", *dcpose.models)
    assert result.returncode == 3
    assert product.files_in(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_minute_in_real_time(dcpose, product, tmp_path):
    """25 frames/s of 640x360 for a minute: the run keeps up, by dropping, in memory that does not grow."""
    with TcpStream(100, size=(640, 360)) as stream, running(dcpose, stream.address, tmp_path) as process:
        memory, watched, before = [], psutil.Process(process.pid), stream.sent
        for _ in range(60):  # the frames it tells of fit the pipe
            time.sleep(1)
            memory.append(watched.memory_info().rss)
        sent = stream.sent
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=100)
    assert process.returncode == 0, text
    half = len(memory) // 2
    assert max(memory[half:]) < 1.1 * max(memory[10:half])
    data = json.loads((tmp_path / "out.json").read_text())["dcpose"]
    last = times_of(tmp_path / "out.mp4")[-1]
    # The result ends where the stream was when it was stopped, but for the delay and what was sent before it listened.
    assert last > (sent - before) / 25 - 10
    assert data["frames"] + data["live"]["dropped"] > 0.9 * (sent - before)
    assert float(text.split("up to ")[1].split(" s late")[0]) < 10
