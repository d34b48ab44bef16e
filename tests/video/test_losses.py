"""Frames that a damaged file no longer holds are counted; gaps without damage are not."""

from __future__ import annotations

import pytest

from dcpose_cli.video import reader
from dcpose_cli.video.reader import VideoReader

#: name -> codec; each container keeps no list of its frames.
STREAMS = {
    "a.ts": "libx264",
    "a.mkv": "libx264",
    "a.webm": "libvpx",
    "a.flv": "libx264",
    "a.mpg": "mpeg2video",
}


def read(path):
    with VideoReader(path) as video:
        frames = sum(1 for _ in video)
        return frames, video.report


def make(product, path, sound=False):
    """Eight seconds of noise, so that every frame has its bytes."""
    codec = STREAMS[path.name]
    return product.make_clip(path, frames=200, size=(64, 48), audio=sound, codec=codec)


@pytest.mark.parametrize("sound", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_whole_files_have_no_losses(product, tmp_path, name, sound):
    frames, report = read(make(product, tmp_path / name, sound and name != "a.webm"))
    assert (frames, report.errors, report.damaged) == (200, 0, 0)


@pytest.mark.parametrize("sound", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_zeros_in_the_middle_are_counted_in_frames(product, tmp_path, name, sound):
    source = make(product, tmp_path / name, sound and name != "a.webm")
    data = bytearray(source.read_bytes())
    third, half = len(data) // 3, len(data) // 2
    data[third : third + half] = bytes(half)
    source.write_bytes(data)
    frames, report = read(source)
    assert 80 < frames < 130
    assert abs(frames + report.errors - 200) <= 8
    assert report.damaged_share > 0.3


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.flv"])
def test_a_missing_end_is_counted_where_the_header_says_how_long_it_was(product, tmp_path, name):
    source = make(product, tmp_path / name)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    frames, report = read(source)
    assert abs(frames + report.errors - 200) <= 5
    assert report.damaged_share > 0.3


@pytest.mark.parametrize("sound", [False, True])
@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
@pytest.mark.parametrize("share", [0.04, 0.15, 0.4])
def test_zeros_at_the_end_are_counted_in_frames(product, tmp_path, name, share, sound):
    """By the bytes of a frame, sound included, which may lie earlier or later than the frames of its time."""
    source = make(product, tmp_path / name, sound)
    size = source.stat().st_size
    lost = int(size * share)
    source.write_bytes(source.read_bytes()[: size - lost] + bytes(lost))
    frames, report = read(source)
    assert abs(report.errors - 200 * share) <= 12
    assert frames < 201
    assert (report.damaged_share > 0.1) == (share > 0.1)


@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
@pytest.mark.parametrize("share", [0.05, 0.15, 0.4])
def test_a_stream_that_is_cut_off_is_a_shorter_stream(product, tmp_path, name, share):
    """Nothing in these files tells how long they were: the frames before the cut come, the last ones damaged."""
    source = make(product, tmp_path / name)
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * (1 - share))])
    frames, report = read(source)
    assert abs(frames - 200 * (1 - share)) <= 15
    assert report.damaged_share <= 0.1


@pytest.mark.parametrize("name", ["vfr.mkv", "vfr.ts", "vfr.mp4"])
def test_pauses_of_a_variable_rate_are_no_losses(clips, name):
    stamps = [*range(30), *range(100, 130), *range(131, 190, 3), *range(400, 430)]
    frames, report = read(clips.make(name, pts=stamps))
    assert (frames, report.errors) == (len(stamps), 0)


def test_a_spoilt_place_does_not_make_losses_of_distant_pauses(clips, product):
    stamps = [*range(60), *range(200, 260), *range(500, 560)]
    source = clips.make("vfr.ts", pts=stamps)
    data = bytearray(source.read_bytes())
    data[len(data) // 6 : len(data) // 6 + 188] = bytes(188)
    source.write_bytes(data)
    frames, report = read(source)
    assert frames > 150
    assert report.errors < 10


@pytest.mark.parametrize("starts", [(0, 50), (50, 0), (0, 4000)])
def test_joined_recordings_lose_nothing_between_them(clips, starts):
    """Where they join, the counters of the packets do not go on, which is damage; the jump of the clock is no gap."""
    parts = [clips.make(f"{start}.ts", pts=[25 * start + i for i in range(30)]) for start in starts]
    joined = clips.folder / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, report = read(joined)
    assert (frames, report.errors) == (60, 0)
    assert report.damaged > 0


def test_a_file_that_is_written_to_while_it_is_read_is_known(product, tmp_path):
    source = make(product, tmp_path / "a.ts")
    with VideoReader(source) as video:
        frames = iter(video)
        next(frames)
        assert not video.input_changed
        with source.open("ab") as file:
            file.write(bytes(188))
        assert video.input_changed


def test_a_file_that_is_replaced_is_known_and_one_that_is_moved_is_not_changed(product, tmp_path):
    source = make(product, tmp_path / "a.ts")
    other = tmp_path / "other"
    other.write_bytes(source.read_bytes())
    with VideoReader(source) as video:
        source.rename(tmp_path / "moved.ts")
        assert not video.input_changed
        other.rename(source)
        assert video.input_changed
    assert reader.FileState.of(tmp_path) is None
