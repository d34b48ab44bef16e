"""Frames come upright, in the right colours, with the right times, and past damage."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import psutil
import pytest

from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.video import VideoReader, decoding, reader


def read(path, **options):
    with VideoReader(path, **options) as video:
        return list(video), video.report


def difference(image, expected):
    """Largest mean difference of a channel in the middle of a flat quarter: edges are blurred by the chroma grid."""
    height, width = image.shape[:2]
    delta = np.abs(image.astype(int) - expected)
    parts = [(y * height // 8, x * width // 8) for y in (1, 5) for x in (1, 5)]
    return max(delta[y : y + height // 4, x : x + width // 4].mean((0, 1)).max() for y, x in parts)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_variable_rate_keeps_its_times(clips, name):
    stamps = [0, 33, 67, 250, 251, 300, 1000, 1040]
    frames, report = read(clips.make(name, pts=stamps, time_base=Fraction(1, 1000)))
    assert [frame.index for frame in frames] == list(range(8))
    assert [frame.time for frame in frames] == pytest.approx([stamp / 1000 for stamp in stamps], abs=1e-9)
    assert (report.frames, report.damaged, report.errors) == (8, 0, 0)
    for frame in frames:
        assert difference(frame.image, clips.picture(frame.index)) < 6
        assert frame.image.dtype == np.uint8


def test_start_that_is_not_zero(clips):
    path = clips.make("late.ts", pts=list(range(50, 60)), audio="aac")
    frames, _ = read(path, start=0.08, end=0.2)
    assert [frame.index for frame in frames] == [2, 3, 4]
    with VideoReader(path) as video:
        assert frames[0].time == pytest.approx(0.08)
        assert video.info.start_time > 1.9


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"start": 0.2}, range(5, 12)),
        ({"end": 0.2}, range(5)),
        ({"start": 0.1, "end": 0.3}, range(3, 8)),
        ({"max_frames": 4}, range(4)),
        ({"start": 0.2, "max_frames": 1}, range(5, 6)),
        ({"start": 0.0, "end": 99.0, "max_frames": 99}, range(12)),
    ],
)
def test_ranges(clips, options, expected):
    frames, report = read(clips.make(), **options)
    assert [frame.index for frame in frames] == list(expected)
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in expected])
    assert report.frames == len(expected)
    assert report.errors == 0
    assert difference(frames[0].image, clips.picture(expected[0])) < 6


@pytest.mark.parametrize(
    "options",
    [{"start": -1.0}, {"start": float("nan")}, {"start": 2.0, "end": 1.0}, {"end": 0.0}, {"max_frames": 0}],
)
def test_ranges_that_cannot_be_meant(clips, options):
    with pytest.raises(UsageError):
        VideoReader(clips.make(), **options)


@pytest.mark.parametrize("container", ["mp4", "mpegts"])
def test_frames_by_number_are_those_of_the_whole(clips, container):
    """Damaged and with pictures that refer to each other: what was decoded before does matter."""
    source = clips.make(f"clip.{'ts' if container == 'mpegts' else 'mp4'}", frames=60, options={"bf": "2", "g": "20"})
    if container == "mpegts":
        clips.flip_bytes(source, 40)
    with VideoReader(source) as video:
        whole = {frame.index: frame for frame in video}
    for first, last in ((0, 7), (7, 41), (41, None), (500, None)):
        with VideoReader(source, first=first, last=last) as video:
            part = list(video)
        assert [f.index for f in part] == [i for i in whole if first <= i and (last is None or i < last)]
        for frame in part:
            other = whole[frame.index]
            assert (frame.pts, frame.time, frame.damaged) == (other.pts, other.time, other.damaged)
            assert (frame.image == other.image).all()


def test_range_behind_the_end(clips):
    with pytest.raises(UsageError, match=r"0\.5 s long"):
        read(clips.make(), start=50.0)


def test_read_once(clips):
    with VideoReader(clips.make()) as video:
        assert len(list(video)) == 12
        with pytest.raises(UsageError, match="read already"):
            iter(video)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "colour", "options"),
    [
        ("libx264", "yuv420p", (1, 1), {}),
        ("libx264", "yuv420p", (5, 1), {}),
        ("libx264", "yuv420p", (9, 1), {}),
        ("libx264", "yuv420p", (1, 2), {}),
        ("libx264", "yuvj420p", (5, 2), {}),
        ("libx264", "yuv422p", (1, 1), {}),
        ("libx264", "yuv444p", (1, 1), {}),
        ("libx264", "yuv420p10le", (1, 1), {}),
        ("libx264", "yuv420p", (1, 1), {"x264-params": "interlaced=1"}),
        ("mpeg4", "yuv420p", None, {"qscale": "2", "b": "4M"}),
        ("ffv1", "yuva420p", None, {}),
        ("ffv1", "bgra", None, {}),
        ("ffv1", "gbrp10le", None, {}),
        ("qtrle", "argb", None, {}),
    ],
)
def test_colours(clips, codec, pix_fmt, colour, options):
    name = "clip.mov" if codec == "qtrle" else "clip.mkv"
    frames, _ = read(clips.make(name, codec=codec, pix_fmt=pix_fmt, colour=colour, options=options))
    assert len(frames) == 12
    for frame in frames[::5]:
        assert difference(frame.image, clips.picture(frame.index)) < 4


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_grey(clips, pix_fmt):
    frames, _ = read(clips.make("grey.mkv", codec="ffv1", pix_fmt=pix_fmt))
    luma = clips.picture(3) @ [0.299, 0.587, 0.114]
    assert difference(frames[3].image, np.repeat(luma[..., None], 3, 2)) < 2


def test_untagged_matrix_goes_by_size(clips):
    options = {"x264-params": "colormatrix=undef"}
    small = clips.make("small.mp4", frames=1, colour=(5, 1), options=options)
    large = clips.make("large.mp4", frames=1, size=(1280, 720), colour=(1, 1), options=options)
    for path, size in ((small, (64, 48)), (large, (1280, 720))):
        with av.open(str(path)) as container:
            assert next(container.decode(video=0)).colorspace == 2
        frames, _ = read(path)
        assert difference(frames[0].image, clips.picture(0, *size)) < 3


def test_size_and_format_change_midway(clips):
    parts = [
        clips.make("a.h264", frames=5),
        clips.make("b.h264", frames=5, size=(128, 96), pix_fmt="yuv444p"),
        clips.make("c.h264", frames=5),
    ]
    joined = clips.folder / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, report = read(joined)
    assert len(frames) + report.errors >= 14
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert difference(frames[7].image, clips.picture(2)) < 12
    pts = [frame.pts for frame in frames]
    assert all(a < b for a, b in pairwise(pts))


@pytest.mark.parametrize("container", ["mpegts", "avi", "matroska", "mp4"])
def test_cut_file(clips, container):
    path = clips.noise(clips.folder / "cut.bin", container=container)
    clips.cut(path, 0.6)
    frames, report = read(path)
    assert 20 <= len(frames) < 45
    if container in ("avi", "mp4"):  # they declare how many there should be
        assert abs(len(frames) + report.errors - 50) <= 1
    assert frames[-1].index == len(frames) - 1


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_flipped_bytes_are_flagged_and_repeatable(clips, container):
    path = clips.noise(clips.folder / "flip.bin", container=container)
    clips.flip_bytes(path, 40)
    frames, report = read(path)
    again, report_again = read(path)
    assert report == report_again
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, again, strict=True))
    assert report.frames == len(frames) >= 25
    assert report.damaged == sum(frame.damaged for frame in frames)
    assert report.damaged + report.errors > 3


class FaultyContainer:
    """A container whose reads fail after packet numbers in `faults`; `packets` are changed by `spoil`."""

    def __init__(self, real, faults=(), spoil=None, error=None):
        self._real = real
        self._faults = set(faults)
        self._spoil = spoil
        self._error = error or av.error.InvalidDataError(1, "injected")
        self._count = 0

    def __getattr__(self, name):
        return getattr(self._real, name)

    def demux(self, *streams):
        for packet in self._real.demux(*streams):
            self._count += 1
            if self._spoil is not None and packet.size:
                packet = self._spoil(self._count, packet)
            yield packet
            if self._count in self._faults:
                self._faults.discard(self._count)
                raise self._error

    def close(self):
        self._real.close()


def inject(monkeypatch, **faults):
    original = reader.open_input
    monkeypatch.setattr(reader, "open_input", lambda *a, **k: FaultyContainer(original(*a, **k), **faults))


def test_failed_reads_cost_nothing_else(clips, monkeypatch):
    inject(monkeypatch, faults=[3, 4, 20])
    frames, report = read(clips.noise(clips.folder / "a.mkv"))
    assert len(frames) == 50
    assert report.errors == 3


def test_reads_that_never_recover_end_the_file(clips, monkeypatch):
    class Stuck(FaultyContainer):
        def demux(self, *streams):
            if self._count < 20:
                for packet in self._real.demux(*streams):
                    self._count += 1
                    yield packet
                    if self._count == 20:
                        break
            raise av.error.InvalidDataError(1, "injected")

    original = reader.open_input
    monkeypatch.setattr(reader, "open_input", lambda *a, **k: Stuck(original(*a, **k)))
    frames, report = read(clips.noise(clips.folder / "a.mkv"))
    assert len(frames) == 20
    assert report.errors == 30  # the header says how many were written


def test_packets_that_fail_to_decode(clips, monkeypatch):
    def spoil(count, packet):
        if count not in (5, 6, 7):
            return packet
        bad = av.Packet(b"\xff" * packet.size)
        bad.pts, bad.dts, bad.time_base, bad.stream = packet.pts, packet.dts, packet.time_base, packet.stream
        return bad

    inject(monkeypatch, spoil=spoil)
    frames, report = read(clips.noise(clips.folder / "a.mkv", gop=1))
    assert len(frames) == 47
    assert report.errors == 3
    assert 5 not in {round(frame.time * 25) for frame in frames}


def test_endless_failures_stop(clips, monkeypatch):
    def spoil(count, packet):
        if count < 10:
            return packet
        bad = av.Packet(b"\xff" * 64)
        bad.pts, bad.time_base, bad.stream = packet.pts, packet.time_base, packet.stream
        return bad

    monkeypatch.setattr(decoding, "MAX_FAILED_PACKETS", 12)
    inject(monkeypatch, spoil=spoil)
    frames, report = read(clips.noise(clips.folder / "a.mkv"))
    assert len(frames) == 9
    assert report.errors == 13


def test_nothing_decodes(clips):
    path = clips.noise(clips.folder / "a.mkv")
    data = bytearray(path.read_bytes())
    first = data.index(b"\x1f\x43\xb6\x75") + 40
    data[first : len(data) - 400] = b"\xff" * (len(data) - 400 - first)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.mkv: not a single frame"):
        read(path)


def test_unexpected_errors_are_raised(clips, monkeypatch):
    inject(monkeypatch, faults=[5], error=ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        read(clips.make())


def test_one_and_two_frames(clips):
    for count in (1, 2):
        frames, report = read(clips.make(frames=count))
        assert len(frames) == count
        assert report.errors == 0


def test_memory_is_flat(clips):
    path = clips.make("long.mp4", frames=260, size=(480, 360))
    process = psutil.Process()
    base = 0
    with VideoReader(path) as video:
        for frame in video:
            if frame.index == 100:
                base = process.memory_info().rss
        # 160 further frames would be 83 MB.
        assert process.memory_info().rss - base < 20e6
    assert base > 0


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "frames", "errors"),
    [
        ("decord_pancake.mkv", 310, 0),
        ("odd/ae_SAR-2by3.mp4", 60, 0),
        ("odd/ae_yuv422p.mp4", 60, 0),
        ("odd/ae_coverart_h264-mjpeg.mp4", 60, 0),
        ("odd/decord_corrupted.mp4", 49, 1),
        ("odd/decord_unordered.mov", 4, 0),
        ("odd/oneframe.mp4", 1, 0),
        ("odd/torchcodec_bt709.mp4", 30, 0),
        ("odd/torchcodec_h265_10bits.mp4", 30, 0),
        ("odd/torchcodec_nasa_13013.mp4", 390, 0),
        ("odd/truncated.mp4", 93, 196),
        ("odd/truncated_avi.avi", 110, 95),
    ],
)
def test_real_clips(shared, name, frames, errors):
    seen = 0
    last = -1
    with VideoReader(shared / "videos" / name) as video:
        for frame in video:
            assert frame.pts > last
            last = frame.pts
            assert frame.image.shape == (video.info.height, video.info.width, 3)
            seen += 1
        assert (seen, video.report.errors) == (frames, errors)


@pytest.mark.shared
def test_avi_with_one_number_left_out_is_whole(shared):
    # Late frames only: what comes before is decoded and counted, but not converted.
    with VideoReader(shared / "videos/mgt_dancer.avi", start=62.0) as video:
        frames = list(video)
        assert video.info.frame_count == 1572
        assert video.report.damaged_share == 0.0
    assert (frames[-1].index, frames[-1].pts) == (1570, 1571)
