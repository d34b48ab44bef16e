"""Fault tests 1, 3-9 of the command: inputs that are missing, no video, cut or damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest


def make_bad(kind, path, product, clip):
    if kind == "zero bytes":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no video\n" * 50)
    elif kind == "sound only":
        import av

        with av.open(str(path), "w") as out:
            sound = out.add_stream("aac", rate=48000)
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), format="s16", layout="stereo")
            tone.sample_rate = 48000
            out.mux(sound.encode(tone))
            out.mux(sound.encode(None))
    elif kind == "index lost":
        data = clip.read_bytes()
        path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such file"),
        ("zero bytes", "empty"),
        ("text", "not a video"),
        ("sound only", "no video stream"),
        ("index lost", "not a video"),
    ],
)
def test_no_video(dcpose, product, clip, tmp_path, kind, says):
    source = tmp_path / "in.mp4"
    make_bad(kind, source, product, clip)
    before = product.files_in(tmp_path)
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode == 3
    text = product.one_line(result)
    assert "in.mp4" in text
    assert says in text
    assert product.files_in(tmp_path) == before


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tiff", "webp"])
def test_pictures_are_videos_of_one_frame(dcpose, tmp_path, ending):
    import cv2

    cv2.imwrite(str(tmp_path / f"in.{ending}"), np.zeros((48, 64, 3), np.uint8))
    assert dcpose.estimate(tmp_path / f"in.{ending}", "-o", tmp_path / "out.mp4").returncode == 0
    assert json.loads((tmp_path / "out.json").read_text())["dcpose"]["frames"] == 1


@pytest.mark.parametrize("ending", ["wav", "mp3"])
def test_sound_has_no_video_stream(dcpose, product, tmp_path, ending):
    import av

    source = tmp_path / f"in.{ending}"
    with av.open(str(source), "w") as out:
        sound = out.add_stream("pcm_s16le" if ending == "wav" else "mp3", rate=48000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 4608), np.int16), format="s16", layout="stereo")
        tone.sample_rate = 48000
        out.mux(sound.encode(tone))
        out.mux(sound.encode(None))
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode == 3
    assert f"{source}: no video stream" in product.one_line(result)


def test_raw_mjpeg_is_read(dcpose, product, tmp_path):
    import cv2

    source = tmp_path / "in.mjpeg"
    rng = np.random.default_rng(1)
    pictures = (rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(5))
    source.write_bytes(b"".join(cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures))
    assert dcpose.estimate(source, "-o", tmp_path / "out.mp4").returncode == 0
    assert json.loads((tmp_path / "out.json").read_text())["dcpose"]["frames"] == 5


def test_frames_wider_than_the_output_can_be(dcpose, product, tmp_path):
    source = product.make_clip(tmp_path / "in.mkv", frames=2, size=(16640, 16), codec="ffv1")
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode == 3
    assert "16640x16" in product.one_line(result)
    assert product.files_in(tmp_path) == ["in.mkv"]
    assert dcpose("export-json", source, "-o", tmp_path / "out.json").returncode == 0


@pytest.mark.parametrize("how", ["grows", "is replaced"])
def test_input_that_changes_while_it_is_read(product, tiny_folder, tmp_path, how):
    """The run ends with what it read; the result says that no one file is what it was made of."""
    from dcpose_cli import PoseEstimator, estimate

    source = product.make_clip(tmp_path / "in.ts", frames=40)
    other = tmp_path / "other"
    other.write_bytes(source.read_bytes()[188:])

    def change(state):
        if state.frames == 1 and how == "grows":
            with source.open("ab") as file:
                file.write(bytes(188))
        elif state.frames == 1:
            other.replace(source)

    people = PoseEstimator(tiny_folder, "cpu", detector=product.Crowd(1))
    summary = estimate(source, tmp_path / "out.mp4", estimator=people, progress=change)
    assert summary.input_changed
    assert summary.damaged
    assert any("in.ts changed while it was being read" in warning for warning in summary.warnings)
    header = json.loads((tmp_path / "out.json").read_text())["dcpose"]
    assert header["input"] == {"name": "in.ts", "sha256": None, "changed": True}


@pytest.mark.parametrize("container", ["mpegts", "matroska", "flv", "mpeg"])
def test_zeros_in_the_middle_are_lost_frames(dcpose, product, tmp_path, container):
    codec = "mpeg2video" if container == "mpeg" else "libx264"
    source = product.make_clip(tmp_path / "in.bin", frames=100, container=container, codec=codec)
    data = bytearray(source.read_bytes())
    data[len(data) // 3 : len(data) * 5 // 6] = bytes(len(data) * 5 // 6 - len(data) // 3)
    source.write_bytes(data)
    result = dcpose("export-json", source, "-o", tmp_path / "out.json")
    assert result.returncode == 8
    counts = json.loads((tmp_path / "out.json").read_text())["dcpose"]["decode"]
    assert abs(counts["frames"] + counts["errors"] - 100) <= 8
    assert f"{counts['errors']} frames lost" in result.stderr


@pytest.mark.parametrize("container", ["mpegts", "avi", "fragmented"])
def test_cut_in_the_middle(dcpose, product, tmp_path, container):
    """What can be decoded is processed; the loss is said where the container lets us see it."""
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    source = product.make_clip(
        tmp_path / "in.bin",
        frames=30,
        container="mp4" if container == "fragmented" else container,
        options=fragments if container == "fragmented" else {},
    )
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * 0.7)])
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode in (0, 8), result.stderr
    counts = json.loads((tmp_path / "out.json").read_text())["dcpose"]["decode"]
    assert 10 <= counts["frames"] < 30
    hurt = counts["damaged"] + counts["errors"]
    assert ("warning" in result.stderr) == (hurt > 0)
    assert (result.returncode == 8) == (hurt > 0.1 * (counts["frames"] + counts["errors"]))


def test_flipped_bytes_are_counted(dcpose, product, tmp_path):
    source = product.make_clip(tmp_path / "in.ts", frames=40, size=(160, 96), container="mpegts")
    data = bytearray(source.read_bytes())
    for at in np.random.default_rng(1).integers(2000, len(data) - 200, 150):
        data[at] ^= 0x5A
    source.write_bytes(data)
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    header = json.loads((tmp_path / "out.json").read_text())["dcpose"]
    counts = header["decode"]
    assert counts["damaged"] + counts["errors"] > 4
    assert len(header["damaged_frames"]) == counts["damaged"]
    assert result.returncode == 8
    assert f"{counts['errors']} frames lost, {counts['damaged']} of {counts['frames']} frames" in result.stderr
    assert product.files_in(tmp_path) == ["in.ts", "out.json", "out.mp4"]


def test_decoder_that_fails_for_good(dcpose, product, clip, tmp_path, monkeypatch):
    """Every packet after the first few is undecodable: the run ends with what there was."""
    from dcpose_cli.video import decoding

    monkeypatch.setattr(decoding, "MAX_FAILED_PACKETS", 20)
    source = product.make_clip(tmp_path / "in.ts", frames=80, container="mpegts", gop=100)
    data = bytearray(source.read_bytes())
    third = len(data) // 3
    data[third:] = np.random.default_rng(2).integers(0, 255, len(data) - third, np.uint8).tobytes()
    for packet in range(third - third % 188, len(data), 188):
        data[packet] = 0x47
    source.write_bytes(data)
    result = dcpose.estimate(source, "-o", tmp_path / "out.mp4")
    assert result.returncode in (0, 8), result.stderr
    assert 5 < json.loads((tmp_path / "out.json").read_text())["dcpose"]["frames"] < 80


def test_unexpected_error_of_the_decoder_is_raised(dcpose, product, clip, tmp_path, monkeypatch):
    from dcpose_cli.video.decoding import FrameDecoder

    real = FrameDecoder._is_damaged
    seen = []

    def broken(self, frame):
        seen.append(frame)
        if len(seen) > 8:
            raise ZeroDivisionError("inside the decoder's thread")
        return real(self, frame)

    monkeypatch.setattr(FrameDecoder, "_is_damaged", broken)
    result = dcpose.estimate(clip, "-o", tmp_path / "out.mp4")
    assert result.returncode == 1
    assert "inside the decoder's thread" in product.one_line(result)
    assert product.files_in(tmp_path) == []
