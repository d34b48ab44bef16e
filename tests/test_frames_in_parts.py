"""Large frames, which are converted where they are looked at, give the results of whole ones."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dcpose_cli import Frame, PoseEstimator, estimate, export_json, read_posetrack
from dcpose_cli.pixels import ArrayPixels
from dcpose_cli.video import VideoReader, planes
from dcpose_cli.video.planes import PlanePixels

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "product.py")))


class Pair(PRODUCT.Crowd):
    """Two people; the frames are not looked at."""

    takes_pixels = True


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return PRODUCT.make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=6, size=(1280, 800))


def arrays_only(monkeypatch):
    """From now on frames are converted as they are decoded."""
    monkeypatch.setattr(planes, "LARGE", 10**9)


@pytest.fixture(scope="module")
def clip_422(clip):
    """The clip with more colour samples, which is looked at in RGB alone."""
    path = clip.with_name("clip_422.mkv")
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 800, "yuv422p"
        for frame in source.decode(video=0):
            out.mux(stream.encode(frame.reformat(format="yuv422p")))
        out.mux(stream.encode(None))
    return path


def test_joints_are_those_of_whole_frames(tiny_folder, clip_422, tmp_path, monkeypatch):
    clip, two = clip_422, PoseEstimator(tiny_folder, "cpu", detector=Pair())
    export_json(clip, tmp_path / "parts.json", estimator=two)
    arrays_only(monkeypatch)
    export_json(clip, tmp_path / "whole.json", estimator=two)
    assert (tmp_path / "parts.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert sum(len(frame.people) for frame in read_posetrack(tmp_path / "parts.json").frames) == 12


class Looking(Pair):
    """The same people; it takes the frames in RGB, before anybody else."""

    takes_pixels = False


def test_joints_do_not_depend_on_who_looked_first(tiny_folder, clip, tmp_path):
    for name, detector in (("planes", Pair()), ("rgb", Looking())):
        export_json(clip, tmp_path / f"{name}.json", estimator=PoseEstimator(tiny_folder, "cpu", detector=detector))
    planes, rgb = (read_posetrack(tmp_path / f"{name}.json").frames for name in ("planes", "rgb"))
    for mine, theirs in zip(planes, rgb, strict=True):
        for one, other in zip(mine.people, theirs.people, strict=True):
            np.testing.assert_array_equal(one.keypoints, other.keypoints)


def test_nothing_is_converted_but_what_is_drawn_on(tiny_folder, clip, tmp_path, monkeypatch):
    parts, converted = [], PlanePixels._converted
    monkeypatch.setattr(PlanePixels, "_converted", lambda pixels, part: parts.append(part) or converted(pixels, part))
    one = PoseEstimator(tiny_folder, "cpu", detector=Pair(1))
    export_json(clip, tmp_path / "out.json", estimator=one)
    assert parts == []
    one.network.box_scale = 0.3
    estimate(clip, tmp_path / "drawn.mp4", estimator=one)
    assert len(parts) >= 6


def test_the_annotated_video_shows_the_same(tiny_folder, clip, tmp_path, monkeypatch):
    one = PoseEstimator(tiny_folder, "cpu", detector=Pair(1))
    one.network.box_scale = 0.3
    estimate(clip, tmp_path / "parts.mp4", estimator=one)
    arrays_only(monkeypatch)
    estimate(clip, tmp_path / "whole.mp4", estimator=one)
    with VideoReader(tmp_path / "parts.mp4") as parts, VideoReader(tmp_path / "whole.mp4") as whole:
        pairs = list(zip(parts, whole, strict=True))
    assert len(pairs) == 6
    for mine, theirs in pairs:
        assert np.abs(mine.image.astype(int) - theirs.image).mean() < 3


def test_what_is_not_looked_at_is_not_converted(clip, monkeypatch):
    with VideoReader(clip) as reader:
        frames = list(reader)
    assert all(isinstance(frame.pixels, PlanePixels) for frame in frames)
    part = frames[2].pixels.region((100, 200, 180, 290))
    arrays_only(monkeypatch)
    with VideoReader(clip) as reader:
        whole = list(reader)
    assert all(isinstance(frame.pixels, ArrayPixels) for frame in whole)
    assert part.base.shape[0] < 200
    np.testing.assert_array_equal(part, whole[2].image[200:290, 100:180])
    np.testing.assert_array_equal(frames[2].image, whole[2].image)


def test_a_frame_is_made_of_an_image_or_of_pixels():
    image = np.zeros((4, 6, 3), np.uint8)
    assert Frame(0, 0, 0.0, image).image is image
    assert Frame(0, 0, 0.0, image=image, cut=True).cut
    pixels = ArrayPixels(image)
    assert Frame(0, 0, 0.0, pixels=pixels).pixels is pixels
    with pytest.raises(TypeError, match="of pixels or of an image"):
        Frame(0, 0, 0.0)
