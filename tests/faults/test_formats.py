"""Fault tests 29-33, 38 and 39 of the command: clips of every shape, lying headers, names that are no files, bombs."""

from __future__ import annotations

import json
import resource
import runpy
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

VIDEO = runpy.run_path(str(Path(__file__).parents[1] / "video" / "conftest.py"))
MATRICES = VIDEO["MATRICES"]


@pytest.fixture
def clips(tmp_path):
    """Makers of clips; see tests/video/conftest.py."""
    return VIDEO["Clips"](tmp_path)


def read(path):
    return json.loads(path.read_text())


def times_of(path):
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def pictures(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def save_lossless(path, images):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast", "threads": "1"})
        context = stream.codec_context
        context.height, context.width, context.pix_fmt = *images[0].shape[:2], "yuv444p"
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image)).reformat(format="yuv444p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(turn, marks=[] if turn in ((90, False), (180, True)) else pytest.mark.slow, id=str(turn))
        for turn in sorted(MATRICES)[1:]
    ],
)
def test_turned_clips_are_as_upright_ones(clips, product, tiny_folder, tmp_path, turn):
    from dcpose_cli import PoseEstimator, estimate, read_posetrack
    from dcpose_cli.video import probe

    degrees, mirrored = turn
    texture = np.random.default_rng(3).integers(0, 255, (16, 40, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    upright = [texture[:, 4 * i : 4 * i + 96] for i in range(3)]
    turned = [np.rot90(image, degrees // 90) for image in upright]
    save_lossless(tmp_path / "turned.mp4", [image[:, ::-1] for image in turned] if mirrored else turned)
    clips.set_matrix(tmp_path / "turned.mp4", MATRICES[turn])
    save_lossless(tmp_path / "upright.mp4", upright)
    people = PoseEstimator(tiny_folder, "cpu", detector=product.Crowd(2))
    found = []
    for name in ("upright", "turned"):
        estimate(tmp_path / f"{name}.mp4", tmp_path / f"{name}_out.mp4", estimator=people)
        frames = read_posetrack(tmp_path / f"{name}_out.json").frames
        found.append(np.array([[person.keypoints for person in frame.people] for frame in frames]))
    assert found[0].shape == (3, 2, 17, 3)
    assert np.abs(found[0] - found[1])[..., :2].max() < 1
    assert (probe(tmp_path / "turned_out.mp4").rotation, probe(tmp_path / "turned_out.mp4").mirrored) == (0, False)
    one, other = (pictures(tmp_path / f"{name}_out.mp4")[1].astype(int) for name in ("upright", "turned"))
    assert one.shape == other.shape == (64, 96, 3)
    assert np.abs(one - other).mean() < 3


@pytest.mark.parametrize(
    ("name", "stamps", "base", "options"),
    [
        ("variable.mkv", [0, 33, 67, 100, 500, 540, 581], Fraction(1, 1000), {}),
        ("reordered.mp4", list(range(0, 4096, 512)), Fraction(1, 12800), {"bf": "3", "g": "8"}),
        ("late.mkv", [1400 + 40 * i for i in range(8)], Fraction(1, 1000), {}),
        ("edited.mp4", [512 * i for i in range(5, 13)], Fraction(1, 12800), {"bf": "2"}),
        ("variable.ts", [0, 3000, 9000, 12000, 90000, 93600], Fraction(1, 90000), {}),
    ],
)
def test_times_are_kept(clips, dcpose, tmp_path, name, stamps, base, options):
    start = float(stamps[0] * base)
    source = clips.make(name, pts=stamps, time_base=base, options=options, audio="aac", audio_start=start)
    if name in ("reordered.mp4", "edited.mp4"):
        assert b"elst" in source.read_bytes()
    assert dcpose.estimate(source, "-o", tmp_path / "out.mp4").returncode == 0
    first, *_ = expected = times_of(source)
    expected = [moment - first for moment in expected]
    assert times_of(tmp_path / "out.mp4") == expected
    before, after = (clips.sound_times(path)[0] for path in (source, tmp_path / "out.mp4"))
    assert abs(before - float(first) - after) < 0.04
    header = read(tmp_path / "out.json")["dcpose"]
    assert [pts * Fraction(header["time_base"]) for pts in header["pts"]] == expected
    assert header["start_pts"] * Fraction(header["time_base"]) == first


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("odd.mkv", {"size": (321, 241), "codec": "ffv1", "pix_fmt": "yuv444p"}),
        ("wide.mp4", {"sar": Fraction(4, 3)}),
        ("ten_bit.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p10le"}),
        ("full_chroma.mp4", {"pix_fmt": "yuv444p"}),
        ("grey.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
        ("alpha.mov", {"codec": "qtrle", "pix_fmt": "argb"}),
        ("interlaced.mp4", {"options": {"flags": "+ilme+ildct", "x264-params": "interlaced=1"}}),
        pytest.param(
            "8k.avi",
            {"size": (7680, 4320), "codec": "mjpeg", "pix_fmt": "yuvj420p", "frames": 2},
            marks=[pytest.mark.slow, pytest.mark.timeout(600)],
        ),
    ],
)
def test_odd_formats_work(clips, dcpose, tmp_path, name, options):
    source = clips.make(name, **{"frames": 4, **options})
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode == 0, result.stderr
    plain, drawn = pictures(source)[0], pictures(tmp_path / "out.mp4")[0]
    height, width = plain.shape[:2]
    assert drawn.shape == (height + height % 2, width + width % 2, 3)
    assert read(tmp_path / "out.json")["dcpose"]["frames"] == options.get("frames", 4)


def test_size_and_format_change_midway(clips, dcpose, tmp_path):
    parts = [
        clips.make("a.h264", frames=5),
        clips.make("b.h264", frames=5, size=(128, 96), pix_fmt="yuv444p"),
        clips.make("c.h264", frames=5),
    ]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    result = dcpose.estimate(joined, "-o", tmp_path / "out.mp4")
    assert result.returncode in (0, 8), result.stderr
    assert len(pictures(tmp_path / "out.mp4")) == read(tmp_path / "out.json")["dcpose"]["frames"] >= 13


def lying(kind, clips):
    """A clip of 12 frames whose header says something else, and the number of frames it claims."""
    if kind == "count":
        path = clips.make("count.avi", codec="mpeg4", options={"bf": "0"})
        data = bytearray(path.read_bytes())
        for chunk, offset in ((b"avih", 24), (b"strh", 40)):
            at = data.index(chunk) + offset
            assert struct.unpack_from("<I", data, at) == (12,)
            struct.pack_into("<I", data, at, 5000)
        path.write_bytes(data)
        return path
    if kind == "no duration":
        return clips.make("live.mkv", container_options={"live": "1"})
    if kind == "no rate":
        path = clips.make("plain.y4m", codec="rawvideo", container="yuv4mpegpipe")
        data = path.read_bytes()
        assert b" F25:1 " in data
        path.write_bytes(data.replace(b" F25:1 ", b" F0:0 ", 1))
        return path
    return clips.make("long.mkv", pts=[0, 40, 80, 120, 160, 200, 240, 280, 320, 360, 400, 3_600_000_000], frames=12,
                      time_base=Fraction(1, 1000))  # fmt: skip


@pytest.mark.parametrize("kind", ["count", "no duration", "no rate", "absurd duration"])
def test_headers_that_lie(clips, product, dcpose, tiny_folder, tmp_path, kind):
    from dcpose_cli import PoseEstimator, estimate

    source = lying(kind, clips)
    seen = []
    people = PoseEstimator(tiny_folder, "cpu", detector=product.Crowd(1))
    summary = estimate(source, tmp_path / "lib.mp4", estimator=people, progress=seen.append)
    assert summary.frames == 12
    assert [state.frames for state in seen] == list(range(13))
    assert all(state.total is None or state.total > 0 for state in seen)
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode in (0, 8), result.stderr
    assert len(pictures(tmp_path / "out.mp4")) == 12


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("http://127.0.0.1:9/x.mp4", 2),
        ("concat:a.mp4|b.mp4", 2),
        ("lavfi:testsrc", 2),
        ("subfile,,start,0,end,9,,:a.mp4", 3),
        ("data:video/mp4;base64,AAAA", 2),
        ("pipe:0", 2),
        ("testsrc=duration=1", 3),
    ],
)
def test_names_that_are_no_files(dcpose, product, clip, tmp_path, monkeypatch, name, code):
    monkeypatch.chdir(tmp_path)
    for copy in "ab":
        (tmp_path / f"{copy}.mp4").write_bytes(clip.read_bytes())
    result = dcpose.estimate(name, "-o", "out.mp4")
    assert result.returncode == code, result.stderr
    assert product.one_line(result)
    assert product.files_in(tmp_path) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("ending", ["m3u8", "mp4", "txt"])
def test_playlists_open_nothing(dcpose, product, clip, tmp_path, ending):
    """A list that names a local file: it is refused under any name, and the file stays unread."""
    secret = tmp_path / "secret.ts"
    secret.write_bytes(clip.read_bytes())
    text = f"ffconcat version 1.0\nfile {secret}\n" if ending == "txt" else f"#EXTM3U\n#EXTINF:1,\n{secret}\n"
    source = tmp_path / f"list.{ending}"
    source.write_text(text)
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode == 3
    assert "playlist" in product.one_line(result)
    assert product.files_in(tmp_path) == sorted([source.name, secret.name])


def test_bomb_takes_no_memory(clips, dcpose, product, tmp_path):
    """16k x 16k pixels: 800 MB a picture, refused before one is made."""
    source = clips.make("bomb.avi", frames=2, codec="mjpeg", pix_fmt="yuvj420p")
    data = source.read_bytes().replace(b"\x08" + struct.pack(">HH", 48, 64), b"\x08" + struct.pack(">HH", 16384, 16384))
    source.write_bytes(data.replace(struct.pack("<ii", 64, 48), struct.pack("<ii", 16384, 16384)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode == 3
    assert "bomb.avi" in product.one_line(result)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
    assert product.files_in(tmp_path) == ["bomb.avi"]
