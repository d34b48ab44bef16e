"""Pictures read as a video: folders, patterns and single pictures."""

from __future__ import annotations

import json
import os
import shutil
import socket
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from dcpose_cli.batch.manifest import Stamp
from dcpose_cli.batch.plan import plan_batch
from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.sequences import input_hash, sequence_of
from dcpose_cli.video.opening import describe_input, open_file, picture_warnings


def picture(number, size=(64, 48)):
    image = np.full((size[1], size[0], 3), 10 * number % 250, np.uint8)
    image[: size[1] // 2, : size[0] // 2] = (0, 0, 250)
    return image


@pytest.fixture
def shots(tmp_path):
    """A folder of twelve numbered pictures, and things that are none."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in range(1, 13):
        cv2.imwrite(str(folder / f"frame_{number}.png"), picture(number))
    (folder / "notes.txt").write_text("no picture")
    (folder / "._frame_1.png").write_bytes(b"\0\5\x16\7")
    return folder


def brightness(path, **options):
    with open_file(path, **options) as reader:
        return [(f.index, f.time, int(f.image[-1, -1, 0])) for f in reader]


@pytest.mark.parametrize("name", ["", "frame_%d.png", "frame_*.png", "*.png"])
def test_natural_order_and_times(shots, name):
    found = brightness(shots / name, fps=Fraction(10))
    assert found == [(i, pytest.approx(i / 10), 10 * (i + 1)) for i in range(12)]
    info = describe_input(shots / name, fps=Fraction(30000, 1001))
    assert (info.fps, info.time_base, info.frame_count) == (Fraction(30000, 1001), Fraction(1001, 30000), 12)
    assert (info.width, info.height) == (64, 48)
    assert describe_input(shots / name).fps == 25


def test_ranges(shots):
    assert [i for i, *_ in brightness(shots, start=0.08, end=0.2)] == [2, 3, 4]
    assert [i for i, *_ in brightness(shots, max_frames=2)] == [0, 1]
    assert [i for i, *_ in brightness(shots, first=3, last=5)] == [3, 4]
    with pytest.raises(UsageError, match="no frame lies in the range"):
        brightness(shots, start=100)


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [("f%04d.png", [1, 3, 20]), ("f%03d.png", [1, 3, 20]), ("f%d.png", [1, 3, 20, 100]), ("f%06d.png", None)],
)
def test_numbers_of_a_pattern(tmp_path, pattern, numbers):
    for name in ("f0001.png", "f0003.png", "f0020.png", "f100.png", "g0001.png", "f0001.jpg", "f0001.png.bak"):
        (tmp_path / name).write_bytes(b"x")
    if numbers is None:
        with pytest.raises(InputError, match="no picture matches"):
            sequence_of(tmp_path / pattern)
        return
    found = sequence_of(tmp_path / pattern).files
    expected = numbers if pattern != "f%03d.png" else [1, 3, 20, 100]
    assert [int(path.stem[1:]) for path in found] == expected


def test_width_that_no_number_has(tmp_path):
    (tmp_path / "f0001.png").write_bytes(b"x")
    assert sequence_of(tmp_path / "f%099999999999d.png") is None


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(shots, clips):
    odd = shots / "a*%03d.png"
    cv2.imwrite(str(odd), picture(1))
    assert sequence_of(odd).files == (odd,)
    assert sequence_of(clips.make("b*%d.mp4")) is None


def test_single_picture_with_exif(shots, tmp_path):
    ok, data = cv2.imencode(".jpg", picture(3))
    assert ok
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # 90 degrees clockwise
    raw = data.tobytes()
    photo = tmp_path / "photo.JPG"
    photo.write_bytes(raw[:2] + b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned + raw[2:])
    with open_file(photo) as reader:
        [frame] = reader
        assert (reader.info.width, reader.info.height, reader.info.frame_count) == (48, 64, 1)
    assert frame.image.shape == (64, 48, 3)
    assert frame.image[5, 40, 0] > 200  # the red corner went from the left to the right


def test_other_sizes_are_scaled_and_broken_pictures_are_lost(shots):
    cv2.imwrite(str(shots / "frame_4.png"), picture(4, (128, 96)))
    (shots / "frame_7.png").write_bytes(b"broken")
    with open_file(shots) as reader:
        frames = list(reader)
        assert (reader.report.frames, reader.report.errors) == (11, 1)
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert [frame.index for frame in frames] == [i for i in range(12) if i != 6]
    for number in range(1, 13):
        (shots / f"frame_{number}.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"frame_1\.png"):
        describe_input(shots)


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ([1, 2, 3], (0, 0)), ([0, 10, 20], (0, 0)), ([1, 2, 5, 6, 10], (5, 3)), ([10, 20, 40], (1, 30)), ([7], (0, 0)),
    ],
)  # fmt: skip
def test_left_out_numbers_are_said(tmp_path, numbers, missing):
    for number in numbers:
        cv2.imwrite(str(tmp_path / f"take2_{number:03d}.png"), picture(number))
    with open_file(tmp_path, fps=10) as reader:
        assert [frame.time for frame in reader] == pytest.approx([i / 10 for i in range(len(numbers))])
        said = picture_warnings(reader, given=True)
    assert [
        f"{count} missing in the numbers, the first is {first};" in said[0] for count, first in [missing] if count
    ] == ([True] * len(said))
    assert len(said) == (missing[0] > 0)


def test_other_sizes_and_animations_are_said(shots, clips):
    cv2.imwrite(str(shots / "frame_4.png"), picture(4, (128, 96)))
    with open_file(shots) as reader:
        assert len(list(reader)) == 12
        assert "1 of another size, scaled to 64x48" in picture_warnings(reader, given=True)[0]
    moving = clips.make("moving.png", frames=3, codec="apng", pix_fmt="rgb24", container="apng")
    with open_file(moving) as reader:
        assert len(list(reader)) == 1
        assert "moving.png is an animation" in picture_warnings(reader, given=False)[0]
    with open_file(shots / "frame_1.png") as reader:
        assert (len(list(reader)), picture_warnings(reader, given=False)) == (1, [])


def test_what_cannot_be_meant(shots, clips, tmp_path):
    (tmp_path / "empty").mkdir()
    assert sequence_of(tmp_path / "empty") is None
    with pytest.raises(UsageError, match=r"without pictures.*batch"):
        describe_input(tmp_path / "empty")
    clips.make("x.mp4")
    with pytest.raises(UsageError, match=r"matches x\.mp4, which is no picture"):
        describe_input(tmp_path / "*.mp4")
    with pytest.raises(InputError, match="no such file"):
        describe_input(tmp_path / "gone.png")


def test_changes_and_hashes(shots):
    whole = input_hash(shots)
    assert whole == input_hash(shots / "frame_%d.png") != input_hash(shots / "frame_1.png")
    stamp = Stamp.of(shots)
    assert stamp.fits(shots)
    with open_file(shots) as reader:
        frames = iter(reader)
        next(frames)
        assert not reader.input_changed
        cv2.imwrite(str(shots / "frame_3.png"), picture(9))
        os.utime(shots / "frame_3.png", (1, 1))
        assert reader.input_changed
    assert input_hash(shots) != whole
    assert not stamp.fits(shots)


def test_batch_takes_folders_of_numbered_pictures(shots, clips, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(shots, root / "day" / "shots")
    (root / "photos").mkdir()
    for name in ("cat.jpg", "dog.jpg"):
        cv2.imwrite(str(root / "photos" / name), picture(1))
    plan = plan_batch(root, tmp_path / "out")
    assert [(job.name, job.output) for job in plan.jobs] == [("day/shots", "day/shots.mp4")]
    assert [path.name for path in plan.others] == ["notes.txt", "cat.jpg", "dog.jpg"]
    shutil.copy(clips.make("x.mp4"), root / "day" / "shots")
    assert [job.name for job in plan_batch(root, tmp_path / "out").jobs] == ["day/shots/x.mp4"]
    assert [(job.source, job.name) for job in plan_batch(shots, tmp_path / "out").jobs] == [(shots, "shots")]


def test_estimate_and_batch_of_pictures(dcpose, product, shots, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = dcpose.estimate("shots", "--fps", 10, "-o", "a.mp4")
    assert done.returncode == 0, done.stderr
    assert "12 frames" in done.stderr
    assert "warning" not in done.stderr
    header = json.loads(Path("a.json").read_text())["dcpose"]
    assert (header["fps"], header["time_base"], header["pts"]) == ("10/1", "1/10", list(range(12)))
    assert header["input"] == {"name": "shots", "sha256": input_hash(shots)}
    assert "25 frames/s are assumed, set --fps" in dcpose.estimate("shots/frame_%d.png").stderr
    assert dcpose.estimate("shots/frame_3.png", "--json", "p.json").returncode == 0
    assert dcpose("render", "shots", "a.json", "-o", "again.mp4", "--style", "dots").returncode == 0
    done = dcpose("estimate", *(f"shots/frame_{n}.png" for n in (1, 2)), "-o", "b.mp4")
    assert "quotation marks" in product.one_line(done)
    assert dcpose("batch", "shots", "-o", "out", "-q", *dcpose.models).returncode == 0
    again = dcpose("batch", "shots", "-o", "out", *dcpose.models)
    assert "1 finished before" in again.stderr
    assert {name for name in product.files_in(tmp_path) if name.endswith(".mp4")} == {
        *("a.mp4", "again.mp4", "frame_3_pose.mp4", "out/shots.mp4", "shots_pose.mp4"),
    }


@pytest.mark.parametrize("name", ["", "frame_%d.png", "frame_*.png"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "dead link"])
def test_a_picture_that_is_no_file_is_named(shots, name, kind, monkeypatch):
    odd = shots / "frame_13.png"
    monkeypatch.chdir(shots)  # names of sockets are short
    with closing(socket.socket(socket.AF_UNIX)) as server:
        if kind == "pipe":
            os.mkfifo(odd)
        elif kind == "socket":
            server.bind(odd.name)
        else:
            odd.symlink_to("/dev/zero" if kind == "device" else "nowhere")
        says = "No such file" if kind == "dead link" else "this is a pipe or device, not a picture"
        with pytest.raises(InputError, match=rf"frame_13\.png: .*{says}"):
            sequence_of(shots / name)
    odd.unlink()
    odd.mkdir()  # a folder is none of the pictures
    assert len(sequence_of(shots / name).files) == 12


def test_a_batch_names_a_picture_that_is_no_file(dcpose, shots, tmp_path):
    os.mkfifo(shots / "frame_13.png")
    done = dcpose("batch", shots, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 7
    assert "frame_13.png: this is a pipe or device" in done.stderr
