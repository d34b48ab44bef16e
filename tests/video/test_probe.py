"""What probe says of good clips, and how it refuses bad ones."""

from __future__ import annotations

import resource
import struct
from fractions import Fraction

import av
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.video import probe
from dcpose_cli.video.probe import probe_fully


def test_plain_clip(clips):
    info = probe(clips.make(frames=10, fps=25, audio="aac"))
    assert (info.width, info.height, info.codec, info.pix_fmt) == (64, 48, "h264", "yuv420p")
    assert (info.fps, info.frame_count, info.duration, info.start_time) == (25, 10, pytest.approx(0.4), 0.0)
    assert info.has_audio
    assert info.sample_aspect_ratio == 1


def test_undeclared_count(clips):
    info = probe(clips.make("clip.mkv", frames=10))
    assert info.frame_count is None
    assert info.time_base == Fraction(1, 1000)
    assert not info.has_audio


@pytest.mark.parametrize("content", [b"", b"this is not a video\n" * 40, b"\0" * 5000, b"\0\0\0\x18ftypmp42"])
def test_no_video(tmp_path, content):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.mp4"):
        probe(path)


def test_index_lost(clips):
    path = clips.make(frames=40)
    clips.cut(path, 0.5)
    with pytest.raises(InputError):
        probe(path)


def test_audio_only(clips):
    path = clips.folder / "sound.mp4"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=48000)
        sound.codec_context.layout = "stereo"
        clips._tone(out, sound, 0.5, 0)
    with pytest.raises(InputError, match="no video stream"):
        probe(path)


def test_pixel_shape_turns_with_the_picture(clips):
    path = clips.make(sar=Fraction(2, 3), frames=2)
    assert probe(path).sample_aspect_ratio == Fraction(2, 3)
    clips.set_matrix(path, (0, 1, -1, 0))
    assert probe(path).sample_aspect_ratio == Fraction(3, 2)


def test_8k_is_accepted(clips):
    path = clips.make("big.avi", frames=1, size=(7680, 4320), codec="mjpeg", pix_fmt="yuvj420p")
    assert path.stat().st_size < 3_000_000
    assert (probe(path).width, probe(path).height) == (7680, 4320)


@pytest.mark.parametrize("container", ["avi", "mpjpeg", "matroska"])
def test_bomb_is_refused_before_allocation(clips, container):
    path = clips.make("bomb.bin", frames=2, codec="mjpeg", pix_fmt="yuvj420p", container=container)
    data = path.read_bytes()
    small = struct.pack(">HH", 48, 64)
    assert data.count(b"\x08" + small) >= 2, "the JPEG headers must be found"
    data = data.replace(b"\x08" + small, b"\x08" + struct.pack(">HH", 16384, 16384))
    data = data.replace(struct.pack("<ii", 64, 48), struct.pack("<ii", 16384, 16384))
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"too large|cannot be decoded|not a single frame"):
        probe(path)
    # One such picture is 400 MB; the unit is kilobytes.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_largest_real_stream_is_chosen_unless_one_is_default(clips):
    path = clips.folder / "two.mkv"
    with av.open(str(path), "w") as out:
        streams = []
        for size in ((32, 32), (96, 64)):
            stream = out.add_stream("libx264", rate=25, options={"threads": "1"})
            stream.codec_context.width, stream.codec_context.height = size
            stream.codec_context.pix_fmt = "yuv420p"
            streams.append(stream)
        for index in range(3):
            for stream in streams:
                context = stream.codec_context
                frame = av.VideoFrame.from_ndarray(clips.picture(index, context.width, context.height))
                frame.pts, frame.time_base = index, Fraction(1, 25)
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    assert probe(path).width == 96
    assert probe_fully(path).others == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_cover_that_is_stored_as_a_video_stream_is_not_the_video(clips, dcpose, first):
    """A picture of 300x300 beside 12 frames of 64x48, in a container that does not mark it as a cover."""
    film, path = clips.make("film.mkv"), clips.folder / "covered.mkv"
    with av.open(str(film)) as source, av.open(str(path), "w") as out:
        copy = None if first else out.add_stream_from_template(source.streams.video[0])
        cover = out.add_stream("mjpeg", rate=25)
        cover.codec_context.width = cover.codec_context.height = 300
        cover.codec_context.pix_fmt = "yuvj420p"
        copy = copy or out.add_stream_from_template(source.streams.video[0])
        frame = av.VideoFrame.from_ndarray(clips.picture(0, 300, 300)).reformat(format="yuvj420p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        out.mux(cover.encode(frame))
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    info = probe(path)
    assert (info.stream_index, info.width, info.height) == (int(first), 64, 48)
    done = dcpose("export-json", path, "-o", clips.folder / "a.json", *dcpose.models)
    assert done.returncode == 0, done.stderr
    assert f"covered.mkv: 1 of 2 video streams is read (number {int(first)}, 64x48)" in done.stderr
    assert "12 frames" in done.stderr


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "stream", "size"),
    [
        ("ae_coverart_h264-mjpeg.mp4", 0, (640, 360)),
        ("torchcodec_nasa_13013.mp4", 3, (480, 270)),
        ("torchcodec_h265_10bits.mp4", 0, (200, 200)),
    ],
)
def test_stream_choice_in_real_files(shared, name, stream, size):
    info = probe(shared / "videos/odd" / name)
    assert (info.stream_index, (info.width, info.height)) == (stream, size)


@pytest.mark.shared
def test_cover_art_alone_is_no_video(shared, tmp_path):
    path = tmp_path / "cover.mp4"
    with av.open(str(shared / "videos/odd/ae_coverart_h264-mjpeg.mp4")) as source, av.open(str(path), "w") as out:
        kept = [source.streams[1], source.streams[2]]
        copies = {s.index: out.add_stream_from_template(s) for s in kept}
        copies[2].disposition = kept[1].disposition
        for packet in source.demux(*kept):
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    with pytest.raises(InputError, match="no video stream"):
        probe(path)
