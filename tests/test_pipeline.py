"""A video in, an annotated video and JSON out, as a library call."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import runpy
import signal
import threading
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

import dcpose_cli
from dcpose_cli import (
    InputError,
    OutputError,
    PoseEstimator,
    UsageError,
    estimate,
    export_json,
    pipeline,
    read_posetrack,
)
from dcpose_cli.chunks import CHUNK_FRAMES, DECODED_AHEAD
from dcpose_cli.config import Selection
from dcpose_cli.pixels import ArrayPixels
from dcpose_cli.sides import LAG_FRAMES
from dcpose_cli.video import planes, probe
from dcpose_cli.video.writer import VideoWriter

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "product.py")))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return PRODUCT.make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=40)


@pytest.fixture(scope="module")
def two(tiny_folder):
    """An estimator that sees two people."""
    return PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd())


def with_crowd(folder, *args, **options):
    return PoseEstimator(folder, "cpu", detector=PRODUCT.Crowd(*args), **options)


def pictures(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_summary_progress_and_files(two, clip, tmp_path):
    seen = []
    summary = estimate(clip, tmp_path / "out.mp4", estimator=two, progress=seen.append)
    assert (summary.frames, summary.people, summary.tracks, summary.warnings) == (40, 80, 2, ())
    assert (summary.video, summary.json) == (tmp_path / "out.mp4", tmp_path / "out.json")
    assert (summary.decode.frames, summary.decode.damaged, summary.decode.errors) == (40, 0, 0)
    assert [(p.frames, p.total, p.people) for p in seen] == [(0, 40, 0)] + [(i, 40, 2) for i in range(1, 41)]
    result = read_posetrack(summary.json)
    assert [len(frame.people) for frame in result.frames] == [2] * 40
    assert result.header["video"] == hashlib.sha256(summary.video.read_bytes()).hexdigest()
    drawn, plain = pictures(summary.video), pictures(clip)
    assert len(drawn) == 40
    assert np.abs(drawn[5].astype(int) - plain[5]).max() > 60  # something is drawn


def test_header_says_what_and_not_where_or_when(two, clip, tmp_path):
    export_json(clip, tmp_path / "out.json", estimator=two)
    text = (tmp_path / "out.json").read_text()
    header = json.loads(text)["dcpose"]
    assert header["dcpose"] == dcpose_cli.__version__
    assert header["detector"] == {"name": "crowd", "sha256": "0" * 64}
    assert header["model"]["name"] == "tiny"
    assert header["settings"]["conf"] == two.conf
    assert header["time_base"]
    assert Fraction(header["fps"]) == 25
    for private in (str(tmp_path), str(clip.parent), str(Path.home()) + "/", __import__("socket").gethostname()):
        assert private not in text


def test_settings_of_the_estimator_are_written_not_the_defaults(tiny_folder, clip, tmp_path):
    export_json(clip, tmp_path / "o.json", estimator=with_crowd(tiny_folder, interval=3, conf=0.6), max_frames=2)
    settings = json.loads((tmp_path / "o.json").read_text())["dcpose"]["settings"]
    assert (settings["interval"], settings["conf"], settings["max_frames"]) == (3, 0.6, 2)


def test_two_runs_give_the_same_bytes(tiny_folder, clip, tmp_path):
    for name in "ab":
        estimate(clip, tmp_path / f"{name}.mp4", estimator=with_crowd(tiny_folder, 5))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.slow
def test_batch_size_moves_nothing(tiny_folder, clip, tmp_path):
    found = []
    for batch in (1, 3, 64):
        export_json(clip, tmp_path / f"{batch}.json", estimator=with_crowd(tiny_folder, 5, batch=batch), max_frames=20)
        frames = read_posetrack(tmp_path / f"{batch}.json").frames
        found.append(np.array([[person.keypoints for person in frame.people] for frame in frames]))
    for other in found[1:]:
        np.testing.assert_allclose(other[..., :2], found[0][..., :2], atol=0.011)  # the file keeps two decimals
    assert found[0].shape == (20, 5, 17, 3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"start": 0.4}, range(10, 40)),
        ({"end": 0.2}, range(5)),
        ({"start": 0.4, "end": 0.8}, range(10, 20)),
        ({"start": 0.4, "max_frames": 3}, range(10, 13)),
        ({"max_frames": 1}, range(1)),
    ],
)
def test_range(two, clip, tmp_path, options, expected):
    seen = []
    summary = estimate(clip, tmp_path / "out.mp4", estimator=two, progress=seen.append, **options)
    assert summary.frames == seen[0].total == len(expected)
    frames = read_posetrack(tmp_path / "out.json").frames
    assert [frame.index for frame in frames] == list(expected)
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in expected])
    drawn, plain = pictures(tmp_path / "out.mp4"), pictures(clip)
    assert len(drawn) == len(expected)
    # Outside the people's boxes the pictures are those of the frames asked for.
    corner = np.s_[-8:, -6:]
    for picture, index in zip(drawn, expected, strict=True):
        assert np.abs(picture[corner].astype(int) - plain[index][corner]).mean() < 25


def test_a_track_that_never_came_is_said(two, clip, tmp_path):
    out = tmp_path / "a.json"
    done = dcpose_cli.export_json(clip, out, estimator=two, max_frames=3, selection=Selection(tracks=(0, 99)))
    assert done.tracks == 1
    assert [w for w in done.warnings if "no track" in w] == [f"no track 99 among the chosen people of {clip}"]


def test_interval_reaches_the_network(tiny_folder, clip, tmp_path):
    people = with_crowd(tiny_folder, 1, interval=3)
    real, seen = people.network.poses, []

    def spy(frames, windows, boxes, margins, *rest):
        seen.append(margins.tolist())
        return real(frames, windows, boxes, margins, *rest)

    people.network.poses = spy
    export_json(clip, tmp_path / "o.json", estimator=people, max_frames=10)
    assert seen == [[[1, 3], [1, 3], [2, 3], *[[3, 3]] * 4, [3, 2], [3, 1], [3, 1]]]


@pytest.mark.parametrize("frames", [1, 2])
def test_shortest_videos(two, tmp_path, frames):
    source = PRODUCT.make_clip(tmp_path / "in.mp4", frames=frames)
    summary = estimate(source, tmp_path / "out.mp4", estimator=two)
    assert summary.frames == len(pictures(tmp_path / "out.mp4")) == frames
    for frame in read_posetrack(tmp_path / "out.json").frames:
        assert len(frame.people) == 2
        assert all(np.isfinite(person.keypoints).all() for person in frame.people)


@pytest.mark.parametrize("count", [0, 60])
def test_nobody_and_a_crowd(tiny_folder, clip, tmp_path, count):
    summary = estimate(clip, tmp_path / "out.mp4", estimator=with_crowd(tiny_folder, count), max_frames=5)
    assert (summary.people, summary.tracks) == (5 * count, count)
    assert len(pictures(tmp_path / "out.mp4")) == 5
    for frame in read_posetrack(tmp_path / "out.json").frames:
        assert len({person.track_id for person in frame.people}) == count


def test_several_videos_with_one_estimator_are_independent(two, clip, tmp_path):
    for name in "ab":
        export_json(clip, tmp_path / f"{name}.json", estimator=two, max_frames=6)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def break_detector(monkeypatch, error):
    return {1: error}


def break_encoder(monkeypatch, error):
    real, seen = VideoWriter.write, []

    def write(self, image, pts):
        seen.append(pts)
        if len(seen) == 20:
            raise error
        real(self, image, pts)

    monkeypatch.setattr(VideoWriter, "write", write)
    return {}


def break_decoder(monkeypatch, error):
    from dcpose_cli.video.reader import VideoReader

    real = VideoReader._convert

    def convert(self, picture, index, pts, damaged):
        if index == 25:
            raise error
        return real(self, picture, index, pts, damaged)

    monkeypatch.setattr(VideoReader, "_convert", convert)
    return {}


@pytest.mark.parametrize("breaks", [break_detector, break_encoder, break_decoder])
@pytest.mark.parametrize("error", [OutputError("disk full"), ZeroDivisionError("a bug"), KeyboardInterrupt()], ids=repr)
def test_errors_of_every_stage_leave_nothing_behind(tiny_folder, clip, tmp_path, monkeypatch, breaks, error):
    fail = breaks(monkeypatch, error)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads = set(threading.enumerate())
    with pytest.raises(type(error)) as caught:
        estimate(clip, tmp_path / "out.mp4", estimator=with_crowd(tiny_folder, 2, fail))
    assert caught.value is error
    assert set(threading.enumerate()) == threads
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert PRODUCT.files_in(tmp_path) == []


def test_a_good_run_leaves_no_threads_or_handlers(two, clip, tmp_path):
    threads = set(threading.enumerate())
    handlers = [signal.getsignal(number) for number in range(1, 32)]
    estimate(clip, tmp_path / "out.mp4", estimator=two, max_frames=4)
    assert set(threading.enumerate()) == threads
    assert [signal.getsignal(number) for number in range(1, 32)] == handlers


def test_progress_that_raises_stops_the_run(two, clip, tmp_path):
    def enough(progress):
        if progress.frames == 7:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        estimate(clip, tmp_path / "out.mp4", estimator=two, progress=enough)
    assert PRODUCT.files_in(tmp_path) == []


def test_overwrite_replaces_both_only_when_both_are_made(two, tiny_folder, clip, tmp_path):
    for name in ("out.mp4", "out.json"):
        (tmp_path / name).write_bytes(b"old")
    with pytest.raises(OutputError, match="--overwrite"):
        estimate(clip, tmp_path / "out.mp4", estimator=two)
    broken = with_crowd(tiny_folder, 2, {1: RuntimeError("broken")})
    with pytest.raises(RuntimeError, match="broken"):
        estimate(clip, tmp_path / "out.mp4", estimator=broken, overwrite=True)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "out.json").read_bytes() == b"old"
    estimate(clip, tmp_path / "out.mp4", estimator=two, overwrite=True, max_frames=2)
    assert len(read_posetrack(tmp_path / "out.json").frames) == 2


def test_no_video_is_published_without_its_json(two, clip, tmp_path, monkeypatch):
    from dcpose_cli.results import PoseTrackWriter

    def full(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PoseTrackWriter, "_join", full)
    (tmp_path / "out.mp4").write_text("old")
    with pytest.raises(OutputError, match=r"out\.json: disk full"):
        estimate(clip, tmp_path / "out.mp4", estimator=two, max_frames=2, overwrite=True)
    assert PRODUCT.files_in(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "old"


def test_calls_that_cannot_be_meant(two, clip, tmp_path):
    with pytest.raises(UsageError, match="nothing to write"):
        estimate(clip, estimator=two)
    with pytest.raises(UsageError, match="unknown setting"):
        estimate(clip, tmp_path / "o.mp4", estimator=two, colour="red")
    with pytest.raises(UsageError, match="one file"):
        estimate(clip, tmp_path / "o.mp4", estimator=two, json=str(tmp_path / "x" / ".." / "o.mp4"))
    with pytest.raises(UsageError, match="must end in"):
        estimate(clip, tmp_path / "o.gif", estimator=two)
    with pytest.raises(InputError, match="no such file"):
        estimate(tmp_path / "none.mp4", tmp_path / "o.mp4", estimator=two)
    assert PRODUCT.files_in(tmp_path) == []


def test_paths_may_be_strings(two, clip, tmp_path):
    summary = estimate(str(clip), str(tmp_path / "o.mp4"), estimator=two, json=str(tmp_path / "j.json"), max_frames=1)
    assert summary.json == tmp_path / "j.json"
    assert PRODUCT.files_in(tmp_path) == ["j.json", "o.mp4"]


@pytest.mark.parametrize("method", ["gaussian", "one-euro"])
def test_smoothing_changes_the_picture_and_not_the_json(two, clip, tmp_path, method):
    for name, smooth in (("raw", "none"), ("smooth", method)):
        estimate(clip, tmp_path / f"{name}.mp4", estimator=two, smooth=smooth, kpt_thr=-1.0, max_frames=20)
    raw, smoothed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("raw", "smooth"))
    assert raw["dcpose"].pop("video") != smoothed["dcpose"].pop("video")
    assert raw == smoothed
    assert len(pictures(tmp_path / "smooth.mp4")) == 20
    with pytest.raises(UsageError, match="unknown smoothing"):
        estimate(clip, tmp_path / "x.mp4", estimator=two, smooth="kalman")


@pytest.mark.parametrize("web", [False, True])
def test_a_live_stream_is_followed(two, tmp_path, web):
    streams = runpy.run_path(str(Path(__file__).parent / "streams.py"))
    with streams["TcpStream"](60, http=web) as stream:
        summary = estimate(
            stream.address, tmp_path / "out.mp4", estimator=two, allow_network=True, max_frames=6, smooth="gaussian"
        )
    assert summary.frames == 6
    assert summary.delay > 0
    header = json.loads((tmp_path / "out.json").read_text())["dcpose"]
    assert header["live"] == {"dropped": summary.dropped}
    assert header["settings"]["fix_swaps"] is False  # it would add half a second of delay
    assert header["input"]["name"] == ("http stream" if web else "tcp stream")
    assert len(pictures(tmp_path / "out.mp4")) == 6


def test_a_file_on_a_server_is_no_live_stream(two, tmp_path):
    PRODUCT.make_clip(tmp_path / "in.mkv", frames=40)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/in.mkv"
            summary = export_json(address, tmp_path / "out.json", estimator=two, allow_network=True)
        finally:
            server.shutdown()
            thread.join()
    assert summary.frames == 40
    assert "live" not in json.loads((tmp_path / "out.json").read_text())["dcpose"]


@pytest.mark.parametrize("slowest", ["network", "encoder"])
def test_frames_in_memory_do_not_grow_with_the_video(tiny_folder, tmp_path, monkeypatch, slowest):
    """The most that are under way, while every stage waits for the slowest one."""
    alive, calls, held = set(), [], []

    class Counted(ArrayPixels):
        def __init__(self, image):
            super().__init__(image)
            alive.add(id(self))

        def __del__(self):
            alive.discard(id(self))

    def slow(call, number):
        def waiting(*args):
            calls.append(1)
            while len(calls) == number and held[-1:] != [len(alive)]:
                held.append(len(alive))
                time.sleep(0.5)
            return call(*args)

        return waiting

    monkeypatch.setattr(planes, "ArrayPixels", Counted)
    clip = PRODUCT.make_clip(tmp_path / "long.mp4", frames=200)
    one = with_crowd(tiny_folder, 1)
    # By the third chunk the stages behind the network hold what they wait for.
    place, number = ((one.network, "poses"), 3) if slowest == "network" else ((VideoWriter, "write"), 40)
    monkeypatch.setattr(*place, slow(getattr(*place), number))
    estimate(clip, tmp_path / "out.mp4", estimator=one)
    # Decoded ahead; a chunk that is detected; the second in which gaps are filled, and confirmation; a chunk ahead of
    # the network; the one in it, with the frames around it, or one that the encoder has no room for; those whose sides
    # may change.
    most = DECODED_AHEAD + CHUNK_FRAMES + 25 + 8 + CHUNK_FRAMES + CHUNK_FRAMES + 2 + LAG_FRAMES
    in_hand = 3  # of the threads
    assert CHUNK_FRAMES < max(held) <= most + (CHUNK_FRAMES if slowest == "encoder" else 0) + in_hand
    assert not alive


@pytest.mark.parametrize("choice", [Selection(), Selection(longest=True)], ids=["everybody", "longest"])
def test_only_frames_that_are_drawn_wait_for_the_repair_of_sides(two, clip, tmp_path, monkeypatch, choice):
    seen = []

    def spy(pairs):
        for frame, result in pairs:
            seen.append(frame.pixels.shape)
            yield frame, result

    monkeypatch.setattr(pipeline, "repair_sides", spy)
    export_json(clip, tmp_path / "a.json", estimator=two, selection=choice)
    assert seen == [(0, 0, 3)] * 40
    seen.clear()
    estimate(clip, tmp_path / "b.mp4", estimator=two, selection=choice)
    # A choice that needs the whole video waits for its end, and the frames are read again.
    assert seen == [(0, 0, 3) if choice.needs_all else (64, 96, 3)] * 40
    assert probe(tmp_path / "b.mp4").width == 96
