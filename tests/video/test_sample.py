"""The frames from which automatic choices are made."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from dcpose_cli import InputError
from dcpose_cli.video.probe import probe
from dcpose_cli.video.reader import VideoReader
from dcpose_cli.video.sample import FRAMES, VideoSample

make_clip = runpy.run_path(str(Path(__file__).parents[1] / "product.py"))["make_clip"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=40)


def frames_of(path, **options):
    with VideoReader(path, **options) as reader:
        return [frame.image for frame in reader]


def test_three_frames_of_the_first_second(clip):
    sample = VideoSample.of(clip, probe(clip))
    assert (sample.width, sample.height, sample.pixel_aspect) == (96, 64, 1)
    found, frames = list(sample.read()), frames_of(clip)
    assert len(found) == FRAMES
    for image, number in zip(found, (0, 9, 17), strict=True):
        assert np.array_equal(image.rgb(), frames[number])


def test_the_range_of_the_analysis_counts(clip):
    found = list(VideoSample.of(clip, probe(clip), start=0.4, max_frames=10).read())
    frames = frames_of(clip, start=0.4, max_frames=10)
    assert np.array_equal(found[0].rgb(), frames[0])
    assert len(found) == 2


def test_what_cannot_be_read_is_an_input_error(tmp_path):
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(InputError):
        list(VideoSample(tmp_path / "no.mp4", 96, 64).read())


def test_what_is_known_of_the_video_is_not_found_out_again(clip, monkeypatch):
    with VideoReader(clip) as reader:
        sample = VideoSample.of(clip, reader.info, probed=reader.probed)
    monkeypatch.setattr("dcpose_cli.video.reader.probe_fully", lambda *_, **__: pytest.fail("looked at again"))
    found, frames = list(sample.read()), frames_of(clip, probed=sample.probed)
    assert len(found) == FRAMES
    for image, number in zip(found, (0, 9, 17), strict=True):
        assert np.array_equal(image.rgb(), frames[number])


def test_the_first_frame_is_not_decoded_again(clip, monkeypatch):
    with VideoReader(clip) as reader:
        whole, late = (VideoSample.of(clip, reader.info, start=at, probed=reader.probed) for at in (None, 0.4))
        first = next(iter(reader)).image
        assert reader.probed.first is None
    assert np.array_equal(next(late.read()).rgb(), frames_of(clip, start=0.4)[0])
    monkeypatch.setattr("dcpose_cli.video.sample.open_file", lambda *_, **__: pytest.fail("opened again"))
    assert np.array_equal(next(whole.read()).rgb(), first)
