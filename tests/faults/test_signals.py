"""Fault tests 15 and 16, in real processes: Ctrl-C, termination, and sudden death."""

from __future__ import annotations

import signal
import time

import av
import pytest

#: Makes every frame slow, and says on stdout when one is written.
SLOW = """
import time, dcpose_cli.video.writer as w
real = w.VideoWriter.write
def write(self, image, pts):
    real(self, image, pts)
    print(pts, flush=True)
    time.sleep(0.03)
w.VideoWriter.write = write
"""
#: The end of a video takes for ever.
STUCK = SLOW + "w.VideoWriter.abort = lambda self: time.sleep(60)\n"


@pytest.fixture(scope="module")
def long_clip(product, tmp_path_factory):
    return product.make_clip(tmp_path_factory.mktemp("long") / "in.mp4", frames=300, gop=25)


@pytest.fixture
def running(dcpose, long_clip, tmp_path):
    """Starts a run and gives it back when it has written its fifth frame, or more."""
    started = []

    def start(before=SLOW, frames=5):
        process = dcpose.start("estimate", long_clip, "-o", tmp_path / "out.mp4", *dcpose.models, before=before)
        started.append(process)
        for _ in range(frames):
            assert process.stdout.readline(), process.stderr.read()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("code", [130, 143])
def test_signal_cleans_up(running, product, tmp_path, code):
    process = running()
    assert len(product.files_in(tmp_path)) >= 2  # the temporary files are there
    began = time.monotonic()
    process.send_signal(product.SIGNALS[code])
    _, text = process.communicate(timeout=30)
    assert process.returncode == code, text
    assert time.monotonic() - began < 5
    assert text.strip().startswith("dcpose: ")
    assert len(text.strip().splitlines()) == 1
    assert product.files_in(tmp_path) == []


@pytest.mark.slow
def test_second_interrupt_ends_at_once(running, tmp_path):
    process = running(before=STUCK)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.wait(timeout=10) == 130
    assert time.monotonic() - began < 2


@pytest.mark.slow
def test_kill_leaves_only_temporaries_that_decode(running, product, tmp_path):
    process = running(frames=120)
    process.kill()
    process.communicate()
    names = [path.name for path in tmp_path.iterdir()]
    assert names
    assert all(name.startswith(".") and name.endswith(".part") for name in names)
    [video] = [tmp_path / name for name in names if ".mp4." in name]
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 50
