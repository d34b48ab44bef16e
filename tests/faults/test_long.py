"""Fault test 35: hours of video in flat memory. Run alone: pytest tests/faults/test_long.py -m slow -s"""

from __future__ import annotations

import gc
import threading
import time
from fractions import Fraction

import av
import numpy as np
import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]


def long_clip(path, frames, size):
    """A clip of slowly changing colours."""
    width, height = size
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "threads": "1", "crf": "40"})
        context = stream.codec_context
        context.width, context.height, context.pix_fmt, context.gop_size = width, height, "yuv420p", 250
        ramp = np.add.outer(np.arange(height), np.arange(width))[..., None] * np.array([3, 2, 1])
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(((ramp + index) % 256).astype(np.uint8))
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


class Memory:
    """Resident memory of this process while frames go by, MB, after the first tenth."""

    def __init__(self, total):
        self.total, self.seen = total, []
        self.process = psutil.Process()

    def __call__(self, state):
        if state.frames >= self.total // 10 and state.frames % max(1, self.total // 200) == 0:
            self.seen.append(self.process.memory_info().rss / 1e6)


def run(source, out, frames, people, capsys):
    """Estimate; memory within a tenth, handles and threads as before."""
    from dcpose_cli import estimate

    memory = Memory(frames)
    gc.collect()
    process = psutil.Process()
    before = process.num_fds(), threading.active_count(), process.num_threads()
    began = time.monotonic()
    summary = estimate(source, out / "out.mp4", estimator=people, progress=memory)
    spent = time.monotonic() - began
    after = process.num_fds(), threading.active_count(), process.num_threads()
    early, late = np.mean(memory.seen[:10]), np.max(memory.seen[-10:])
    with capsys.disabled():
        print(
            f"\n{frames} frames in {spent:.0f} s ({frames / spent:.0f} frames/s); memory {early:.0f} MB early, "
            f"{late:.0f} MB late, {max(memory.seen):.0f} MB at most; handles, threads before {before}, after {after}"
        )
    assert summary.frames == frames
    assert late < 1.1 * early
    assert after[:2] == before[:2]
    assert after[2] <= before[2]
    assert sorted(path.name for path in out.iterdir()) == ["out.json", "out.mp4"]


def test_two_hours_of_small_frames_with_stub_networks(product, tiny_folder, tmp_path, capsys):
    """180,000 frames, two people in each."""
    from dcpose_cli import PoseEstimator, estimate

    source = long_clip(tmp_path / "in.mp4", 180_000, (32, 24))
    people = PoseEstimator(tiny_folder, "cpu", detector=product.Crowd(2))
    people.network.poses = lambda frames, windows, boxes, *rest: np.ones((len(boxes), 17, 3), np.float32)
    (tmp_path / "out").mkdir()
    estimate(source, tmp_path / "warm.mp4", estimator=people, max_frames=600)  # what is allocated once
    run(source, tmp_path / "out", 180_000, people, capsys)


def test_ten_minutes_through_the_real_chain(product, tmp_path, capsys):
    """15,000 frames through the shipped detector and pose network."""
    from dcpose_cli import EstimateConfig, PoseEstimator, estimate

    source = long_clip(tmp_path / "in.mp4", 15_000, (96, 64))
    people = PoseEstimator.from_config(EstimateConfig(device="cpu", conf=0.01)).load()
    (tmp_path / "out").mkdir()
    estimate(source, tmp_path / "warm.mp4", estimator=people, max_frames=600)
    run(source, tmp_path / "out", 15_000, people, capsys)
