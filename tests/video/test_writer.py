"""What is written plays like the input, and is whole or absent."""

from __future__ import annotations

import hashlib
import runpy
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from dcpose_cli.errors import UsageError
from dcpose_cli.video import VideoReader, VideoWriter, audio, probe

WRITING = runpy.run_path(str(Path(__file__).parent / "writing.py"))
transcribe, names = WRITING["transcribe"], WRITING["names"]


def read(path):
    with VideoReader(path) as video:
        return list(video)


def exact_times(path):
    """Presentation times in seconds as exact fractions, in order."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def from_zero(path):
    first, *_ = times = exact_times(path)
    return [moment - first for moment in times]


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("a.mkv", Fraction(1, 1000)),
        ("a.mp4", Fraction(1, 30000)),
        ("a.mp4", Fraction(1, 90000)),
        ("a.mp4", Fraction(1, 16383)),
        ("a.ts", Fraction(1, 90000)),
        ("a.avi", Fraction(1, 25)),
        ("a.nut", Fraction(1001, 30000)),
    ],
)
def test_times_are_kept_exactly(clips, name, base):
    unit = max(1, round(Fraction(1, 25) / base))
    stamps = [0, unit, 2 * unit, 5 * unit, 5 * unit + max(1, unit // 40), 9 * unit, 10 * unit]
    if name == "a.avi":
        stamps = list(range(7))
    source = clips.make(name, pts=stamps, time_base=base, options={"bf": "2"} if name != "a.avi" else None)
    frames, _ = transcribe(source, clips.folder / "out.mp4")
    assert len(frames) == 7
    assert exact_times(clips.folder / "out.mp4") == from_zero(source)


@pytest.mark.parametrize(("name", "late"), [("late.mkv", 1.4), ("late.ts", 40_000.0), ("late.mkv", 400.0)])
def test_clips_that_begin_late_begin_at_zero_with_their_sound(clips, name, late):
    stamps = [round(late * 1000) + 40 * i for i in range(12)]
    source = clips.make(name, pts=stamps, time_base=Fraction(1, 1000), audio="aac", audio_start=late + 0.1)
    frames, out = transcribe(source, clips.folder / "out.mp4")
    assert [frame.pts * out.info.time_base for frame in frames] == [Fraction(i, 25) for i in range(12)]
    assert exact_times(clips.folder / "out.mp4") == [Fraction(i, 25) for i in range(12)]
    before, after = clips.sound_times(source), clips.sound_times(clips.folder / "out.mp4")
    began = exact_times(source)[0]
    assert after == pytest.approx([time - float(began) for time in before], abs=0.001)
    assert out.warnings == []


def test_sound_before_the_first_picture_is_left_out_and_said(clips):
    source = clips.make("late.mkv", pts=[400 + 40 * i for i in range(12)], time_base=Fraction(1, 1000), audio="aac")
    _, out = transcribe(source, clips.folder / "out.mp4")
    assert exact_times(clips.folder / "out.mp4")[0] == 0
    assert clips.sound_times(clips.folder / "out.mp4")[0] > -0.1
    assert ["0.4 s before the first picture" in warning for warning in out.warnings] == [True]


@pytest.mark.parametrize(
    ("ending", "codec", "sound", "frames"),
    [
        ("ts", "libx264", "aac", 15),
        ("vob", "mpeg2video", "mp2", 15),
        ("ts", "libx264", "aac", 60),
        ("ts", "mpeg2video", "ac3", 8),
    ],
)
def test_joined_recordings_go_on_with_their_sound(clips, ending, codec, sound, frames):
    """Two and three recordings one after the other, whose clocks begin anew."""
    pieces = 2 if frames == 15 else 3
    piece = clips.make(f"piece.{ending}", frames=frames, codec=codec, audio=sound).read_bytes()
    source = clips.folder / f"joined.{ending}"
    source.write_bytes(piece * pieces)
    _, out = transcribe(source, clips.folder / "out.mp4")
    times = exact_times(clips.folder / "out.mp4")
    assert times == [Fraction(i, 25) for i in range(len(times))]
    assert pieces * frames - 2 * pieces <= len(times) <= pieces * frames
    assert out.warnings == []
    placed = clips.sound_times(clips.folder / "out.mp4")
    assert placed[-1] == pytest.approx(pieces * frames / 25, abs=0.06 * pieces)
    assert max(np.diff(placed)) < 0.15


def test_sound_of_a_joined_recording_stays_in_sync(clips):
    """A beep begins in each piece 0.4 s after its first picture."""
    piece = clips.make("piece.ts", frames=20, audio="ac3", audio_start=0.4, audio_seconds=0.2).read_bytes()
    source = clips.folder / "joined.ts"
    source.write_bytes(piece * 4)
    transcribe(source, clips.folder / "out.mp4")
    with av.open(str(clips.folder / "out.mp4")) as container:
        sounds = list(container.decode(audio=0))
    wave = np.concatenate([np.abs(frame.to_ndarray()[0]) for frame in sounds])
    loud = np.array([wave[i : i + 480].max() > 0.1 for i in range(0, len(wave), 480)])
    starts = np.flatnonzero(loud[1:] & ~loud[:-1]) * 0.01 + sounds[0].time
    first = [0.8 * i + 0.4 for i in range(4)]
    assert starts == pytest.approx(first[-len(starts) :], abs=0.04)
    assert len(starts) >= 3


def test_sound_longer_than_the_picture_is_kept(clips):
    source = clips.make(frames=125, audio="aac")
    short = clips.folder / "short.mkv"
    with av.open(str(source)) as whole, av.open(str(short), "w") as out:
        video, sound = (out.add_stream_from_template(s) for s in (whole.streams.video[0], whole.streams.audio[0]))
        for packet in whole.demux():
            if packet.size and (packet.stream.type == "audio" or packet.pts * packet.time_base < 2):
                packet.stream = sound if packet.stream.type == "audio" else video
                out.mux(packet)
    _, out = transcribe(short, clips.folder / "out.mp4")
    assert len(exact_times(clips.folder / "out.mp4")) == 50
    assert clips.sound_times(clips.folder / "out.mp4")[-1] == pytest.approx(4.96, abs=0.05)
    assert out.warnings == []


def test_negative_start_is_moved_to_zero_with_its_sound(clips):
    source = clips.make(frames=30, audio="aac")
    with VideoWriter(clips.folder / "out.mp4", probe(source), audio_from=source) as out:
        for index in range(25):
            out.write(clips.picture(index), (index - 3) * 512)
    assert out.pts_offset * out.info.time_base == Fraction(-3, 25)
    assert exact_times(clips.folder / "out.mp4") == [Fraction(index, 25) for index in range(25)]
    first = clips.sound_times(clips.folder / "out.mp4")[0]
    assert first == pytest.approx(clips.sound_times(source)[0] + 3 / 25, abs=0.001)


def test_pixels_survive(clips):
    source = clips.make(frames=8, size=(96, 64))
    frames, _ = transcribe(source, clips.folder / "out.mp4", crf=4)
    for before, after in zip(frames, read(clips.folder / "out.mp4"), strict=True):
        assert np.abs(before.image.astype(int) - after.image).mean() < 2
    with av.open(str(clips.folder / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range, context.color_primaries, context.color_trc) == (1, 1, 1, 1)


def test_output_is_upright(clips, turned):
    degrees, _, matrix = turned
    source = clips.make(frames=3, matrix=matrix, sar=Fraction(4, 3))
    frames, _ = transcribe(source, clips.folder / "out.mp4", crf=4)
    info = probe(clips.folder / "out.mp4")
    assert (info.rotation, info.mirrored) == (0, False)
    assert (info.width, info.height) == ((48, 64) if degrees % 180 else (64, 48))
    assert info.sample_aspect_ratio == (Fraction(3, 4) if degrees % 180 else Fraction(4, 3))
    assert np.abs(read(clips.folder / "out.mp4")[0].image.astype(int) - frames[0].image).mean() < 3


@pytest.mark.parametrize("size", [(321, 241), (1, 1), (2, 2), (17, 16), (16, 17)])
def test_odd_sizes_grow_by_one(clips, size):
    info = probe(clips.make())
    image = clips.picture(0, *size)
    with VideoWriter(clips.folder / "out.mp4", info, audio_from=None, crf=1) as out:
        for pts in range(3):
            out.write(image, pts)
    frames = read(clips.folder / "out.mp4")
    width, height = size
    assert frames[0].image.shape == (height + height % 2, width + width % 2, 3)
    assert len(frames) == 3
    if width > 16:
        edge = frames[0].image[: height // 3, -1].astype(int)
        assert np.abs(edge - image[: height // 3, -1]).mean() < 8


@pytest.mark.parametrize(
    ("name", "codec", "expected"),
    [
        ("a.mp4", "aac", "aac"),
        ("a.ts", "aac", "aac"),
        ("a.mkv", "libopus", "opus"),
        ("a.avi", "libmp3lame", "mp3"),
        ("b.ts", "libmp3lame", "mp3"),
    ],
)
def test_sound_is_copied(clips, name, codec, expected):
    source = clips.make(name, frames=50, audio=codec)
    _, out = transcribe(source, clips.folder / "out.mp4")
    assert out.warnings == []
    with av.open(str(clips.folder / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == expected
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 1.8 * 48000
    before, after = clips.sound_times(source), clips.sound_times(clips.folder / "out.mp4")
    assert len(after) == len(before)
    first = float(exact_times(source)[0])
    assert after == pytest.approx([moment - first for moment in before], abs=0.001)


@pytest.mark.parametrize(
    ("name", "codec", "start"),
    [
        ("a.mkv", "pcm_s16le", 0.0),
        ("a.avi", "pcm_s16le", 0.0),
        ("a.mkv", "flac", 0.0),
        ("a.ts", "ac3", 0.0),
        ("a.mkv", "pcm_s16le", 0.3),
    ],
)
def test_sound_is_encoded_where_mp4_cannot_hold_it(clips, name, codec, start):
    source = clips.make(name, frames=50, audio=codec, audio_start=start)
    _, out = transcribe(source, clips.folder / "out.mp4")
    assert out.warnings == []
    with av.open(str(clips.folder / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        frames = list(container.decode(audio=0))
    wave = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    loud = np.flatnonzero(np.abs(wave) > 0.1)
    began = frames[0].time + loud[0] / 48000
    assert began == pytest.approx(start, abs=0.03)
    assert (loud[-1] - loud[0]) / 48000 == pytest.approx(2.0, abs=0.3 if start else 0.06)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_cut_begins_at_zero_in_sync(clips, codec):
    source = clips.make("a.mkv", frames=100, audio=codec)
    frames, out = transcribe(source, clips.folder / "out.mp4", start=1.0, end=2.0)
    assert [frame.index for frame in frames] == list(range(25, 50))
    assert out.pts_offset == frames[0].pts
    assert exact_times(clips.folder / "out.mp4") == [Fraction(i, 25) for i in range(25)]
    sound = clips.sound_times(clips.folder / "out.mp4")
    assert -0.03 < sound[0] < 0.04
    assert 0.9 < sound[-1] < 1.04


def test_sound_stops_with_the_pictures(clips):
    source = clips.make(frames=100, audio="aac")
    transcribe(source, clips.folder / "out.mp4", max_frames=25)
    assert 0.95 < clips.sound_times(clips.folder / "out.mp4")[-1] < 1.3


def test_damaged_sound_never_kills_the_video(clips):
    source = clips.make("a.mkv", frames=50, audio="flac")
    broken = clips.folder / "sound.mkv"
    broken.write_bytes(source.read_bytes())
    clips.flip_bytes(broken, 600)
    with VideoReader(source) as video, VideoWriter(clips.folder / "o.mp4", video.info, audio_from=broken) as out:
        for frame in video:
            out.write(frame.image, frame.pts)
    assert len(read(clips.folder / "o.mp4")) == 50
    assert any("damaged places" in warning for warning in out.warnings)


@pytest.mark.parametrize("places", [(0,), (20, 30)])
def test_damaged_aac_that_looks_framed_costs_only_itself(clips, places):
    """The MP4 muxer refuses such a packet, and with it everything; found by mutated clips."""
    source = clips.make(frames=50, audio="aac")
    with av.open(str(source)) as container:
        packets = [packet.pos for packet in container.demux(container.streams.audio[0]) if packet.size]
    data = bytearray(source.read_bytes())
    for place in places:
        data[packets[place] : packets[place] + 2] = b"\xff\xf1"
    source.write_bytes(data)
    _, out = transcribe(source, clips.folder / "out.mp4")
    assert len(read(clips.folder / "out.mp4")) == 50
    assert len(clips.sound_times(clips.folder / "out.mp4")) == len(packets) - len(places)
    assert any(f"{len(places)} damaged places" in warning for warning in out.warnings)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libopus"), ("a.mp4", "aac")])
def test_damaged_header_of_the_sound_costs_no_pictures(clips, name, codec):
    """The MP4 muxer would refuse it when everything is done; found by mutated clips."""
    source = clips.make(name, frames=50, audio=codec)
    data = bytearray(source.read_bytes())
    if codec == "libopus":
        at = data.index(b"OpusHead")
        data[at + 8 : at + 19] = b"\xff" * 11
    else:
        at = data.index(b"esds")
        data[at + 4 : at + 40] = b"\x00" * 36
    source.write_bytes(data)
    transcribe(source, clips.folder / "out.mp4")
    assert len(read(clips.folder / "out.mp4")) == 50


def test_sound_file_that_is_none_is_left_out(clips):
    source = clips.make(frames=5)
    junk = clips.folder / "junk.wav"
    junk.write_bytes(b"no sound" * 100)
    with VideoReader(source) as video, VideoWriter(clips.folder / "o.mp4", video.info, audio_from=junk) as out:
        for frame in video:
            out.write(frame.image, frame.pts)
    assert len(read(clips.folder / "o.mp4")) == 5
    assert len(out.warnings) == 1
    assert "left out" in out.warnings[0]


def test_sound_the_container_refuses_is_left_out(clips, monkeypatch):
    source = clips.make("a.mkv", frames=5, audio="libopus")
    monkeypatch.setitem(audio._COPYABLE, "mov", frozenset({"opus"}))
    _, out = transcribe(source, clips.folder / "other.mov")
    with av.open(str(clips.folder / "other.mov")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"  # found out in time, and encoded
    monkeypatch.setattr(audio, "_takes_header", lambda *_args: True)
    _, out = transcribe(source, clips.folder / "out.mov")
    assert len(read(clips.folder / "out.mov")) == 5
    assert any("left out" in warning for warning in out.warnings)


def test_empty_sound_track(clips):
    source = clips.make(frames=10, audio="aac")
    info = probe(source)
    with VideoWriter(clips.folder / "o.mp4", info, audio_from=source, start=0.2) as out:
        # Far behind the end of the sound: the track exists but nothing goes into it.
        for pts in range(5):
            out.write(clips.picture(pts), 512 * 25 * 60 + pts * 512)
    assert len(read(clips.folder / "o.mp4")) == 5


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".MP4"])
def test_containers(clips, suffix):
    source = clips.make(frames=20, audio="aac")
    target = clips.folder / f"out{suffix}"
    _, out = transcribe(source, target)
    assert len(read(target)) == 20
    assert len(clips.sound_times(target)) == len(clips.sound_times(source))
    assert out.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert not out.temp.exists()


def test_finished_mp4_is_a_plain_one(clips):
    transcribe(clips.make(frames=60), clips.folder / "out.mp4")
    with av.open(str(clips.folder / "out.mp4")) as container:
        assert container.streams.video[0].frames == 60
        assert float(container.duration / av.time_base) == pytest.approx(2.4, abs=0.05)
    boxes, data, at = [], (clips.folder / "out.mp4").read_bytes(), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        boxes.append(data[at + 4 : at + 8])
        at += size if size > 1 else int.from_bytes(data[at + 8 : at + 16], "big")
    assert b"moof" not in boxes
    assert boxes.count(b"moov") == 1


def test_other_endings_are_refused(clips):
    info = probe(clips.make())
    for name in ("out.avi", "out", "out.mp4.txt"):
        with pytest.raises(UsageError, match=r"\.mp4"):
            VideoWriter(clips.folder / name, info, audio_from=None)


def test_memory_is_flat_with_sound(clips):
    source = clips.make(frames=240, size=(32, 32), audio="pcm_s16le", name="a.mkv")
    process = psutil.Process()
    image = np.random.default_rng(0).integers(0, 255, (360, 480, 3), np.uint8)
    base = 0
    with VideoWriter(clips.folder / "o.mp4", probe(source), audio_from=source, preset="ultrafast") as out:
        for pts in range(240):
            out.write(image, pts * 40)
            if pts == 80:
                base = process.memory_info().rss
        # 160 further frames would be 83 MB.
        assert base > 0
        assert process.memory_info().rss - base < 20e6


def test_same_input_same_output(clips):
    source = clips.make(frames=30, audio="pcm_s16le", name="a.mkv")
    digests = set()
    for run in range(6):
        _, out = transcribe(source, clips.folder / f"{run}.mp4")
        digests.add(out.sha256)
    assert len(digests) == 1


@pytest.mark.shared
def test_real_clip_with_everything(shared, clips):
    source = shared / "samples/portrait.mp4"
    frames, out = transcribe(source, clips.folder / "out.mp4", preset="ultrafast")
    assert exact_times(clips.folder / "out.mp4") == exact_times(source)
    assert clips.sound_times(clips.folder / "out.mp4") == pytest.approx(clips.sound_times(source))
    assert out.warnings == []
    info = probe(clips.folder / "out.mp4")
    assert (info.width, info.height, info.rotation) == (360, 640, 0)
    assert len(frames) == 75
