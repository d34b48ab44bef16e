"""Live sources: the newest frames, a bounded delay, an end when it is asked for."""

from __future__ import annotations

import runpy
import threading
import time
from pathlib import Path

import pytest

from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.video.live import LATE_SECONDS, QUEUE_FRAMES, LiveReader, StopRequest, _Pace
from dcpose_cli.video.source import is_address, is_live, open_input

TcpStream = runpy.run_path(str(Path(__file__).parents[1] / "streams.py"))["TcpStream"]


def settled(threads):
    """Whether no other threads are left than those, after a moment."""
    end = time.monotonic() + 5
    while set(threading.enumerate()) - threads and time.monotonic() < end:
        time.sleep(0.02)
    return not set(threading.enumerate()) - threads


@pytest.mark.slow
def test_every_frame_reaches_a_quick_taker_and_times_begin_at_zero():
    threads = set(threading.enumerate())
    with TcpStream(2.5, offset=5000) as stream, LiveReader(stream.address) as reader:
        frames = [(frame.index, frame.time, frame.image.shape) for frame in reader]
    first = frames[0][0]
    assert frames[0][1:] == (0.0, (64, 96, 3))
    assert len(frames) + reader.dropped == frames[-1][0] + 1 >= 30
    assert all(time == pytest.approx((index - first) / 25, abs=1e-3) for index, time, _ in frames)
    assert reader.info.duration is None
    assert not reader.info.has_audio
    assert (reader.report.frames, reader.report.errors, reader.broke_off) == (len(frames), 0, False)
    assert settled(threads)


def test_a_slow_taker_gets_the_newest_and_the_rest_is_counted():
    ages = []
    with TcpStream(3, fps=50) as stream, LiveReader(stream.address) as reader:
        for frame in reader:
            time.sleep(0.1)
            ages.append(reader.age(frame))
            behind = reader._received - frame.index
    assert reader.dropped > 30
    assert reader.dropped + reader.report.frames == reader._received
    assert max(ages) < 0.1 + QUEUE_FRAMES * 0.1 + 0.5
    assert behind <= 5 * QUEUE_FRAMES + 15


def test_it_ends_when_asked():
    threads, stop = set(threading.enumerate()), StopRequest()
    with TcpStream(60) as stream, LiveReader(stream.address, stop=stop) as reader:
        assert not stop.listening
        for count, _ in enumerate(reader):
            assert stop.listening
            if count == 5:
                asked = time.monotonic()
                stop.set()
        assert time.monotonic() - asked < 1
        assert not stop.listening
    assert reader.report.frames == 6
    assert settled(threads)


@pytest.mark.slow
def test_a_part_of_it():
    with TcpStream(60) as stream, LiveReader(stream.address, start=0.2, end=0.6) as reader:
        times = [frame.time for frame in reader]
    assert times[0] >= 0.2
    assert times[-1] < 0.6
    with TcpStream(60) as stream, LiveReader(stream.address, max_frames=3) as reader:
        assert len(list(reader)) == 3


def test_a_stream_that_stops_at_once_and_one_that_never_begins():
    with TcpStream(0) as stream, pytest.raises(InputError, match="127"):
        LiveReader(stream.address)
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9"):
        LiveReader("tcp://127.0.0.1:9")


def test_a_silent_stream_ends_and_is_said(monkeypatch):
    monkeypatch.setattr("dcpose_cli.video.source.LIVE_TIMEOUT_S", 0.5)
    with TcpStream(60, stall=40) as stream, LiveReader(stream.address) as reader:
        assert len(list(reader)) > 10
        assert reader.broke_off
        assert "stalled: nothing more was sent after" in reader.ending


def test_an_error_of_the_thread_is_raised(monkeypatch):
    def broken(self, picture):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(LiveReader, "_offer", broken)
    with TcpStream(5) as stream, LiveReader(stream.address) as reader, pytest.raises(ZeroDivisionError, match="a bug"):
        list(reader)


class FakePacket:
    time_base, size = 0.001, 10

    def __init__(self, seconds, key):
        self.dts, self.is_keyframe = int(seconds * 1000), key


def test_decoding_that_is_late_skips_to_the_next_key_frame(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = _Pace()
    skipped = []
    for index in range(200):
        now[0] += 0.04 if not 50 <= index < 60 else 0.04 + LATE_SECONDS / 8  # a slow spell
        skipped.append(pace.late(FakePacket(index * 0.04, index % 25 == 0)))
        if index == 100:
            now[0] -= LATE_SECONDS * 1.25  # caught up
    assert not any(skipped[:57])
    assert skipped[60:75] == [True] * 15
    assert not skipped[75]  # a key frame
    assert not any(skipped[125:])


@pytest.mark.parametrize(
    ("name", "address", "live"),
    [
        ("rtsp://host/x", True, True),
        ("tcp://host:1", True, True),
        ("camera:0", True, True),
        ("http://host/x.mp4", True, False),
        ("https://host/live.ts", True, False),
        ("clip.mp4", False, False),
        ("C:/clip.mp4", False, False),
        ("/dev/video999", False, False),
    ],
)
def test_what_is_live(name, address, live):
    assert (is_address(name), is_live(name)) == (address, live)


def test_a_camera_is_refused_unless_allowed_and_said_when_there_is_none():
    with pytest.raises(UsageError, match="--allow-network"):
        open_input("camera:99")
    with pytest.raises(InputError, match="camera:99"):
        open_input("camera:99", allow_network=True)
