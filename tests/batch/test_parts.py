"""A video made in parts, in any order and by several, is the one made in one go."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dcpose_cli import EstimateConfig, PoseEstimator, chunks, estimate, read_posetrack
from dcpose_cli.batch.parts import Parts

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "product.py")))


@pytest.fixture
def make(tiny_folder, tmp_path, monkeypatch):
    """Estimators with a wandering crowd, short segments, and a clip of 4 of them."""
    monkeypatch.setattr(chunks, "SEGMENT_CHUNKS", 1)
    PRODUCT.make_clip(tmp_path / "in.mp4", frames=62, gop=30, audio=True)
    return lambda **options: PoseEstimator(tiny_folder, "cpu", detector=Wanderers(), interval=2, **options)


class Wanderers:
    """Finds three people who walk, one of whom is missed now and then."""

    name = "wanderers"
    sha256 = "1" * 64

    def __init__(self):
        self.seen = 0

    def detect(self, images):
        import numpy as np

        from dcpose_cli import Detections

        out = []
        for image in images:
            self.seen += 1
            phase = float(image[::7, ::5].mean())
            boxes = [[20 + phase % 7, 10, 20, 40], [50 - phase % 5, 12, 18, 38], [5, 5 + phase % 3, 15, 30]]
            count = 2 if int(phase * 1000) % 4 == 0 else 3
            out.append(Detections(np.array(boxes[:count], np.float32), np.full(count, 0.9, np.float32)))
        return out


def outputs(folder):
    return {name: (folder / name).read_bytes() for name in PRODUCT.files_in(folder)}


@pytest.mark.parametrize(
    "options", [{}, pytest.param({"detect_every": 3, "share_crops": True}, marks=pytest.mark.slow)], ids=["all", "some"]
)
def test_parts_make_the_same_bytes(make, tmp_path, options):
    """With fewer looks and shared crops too: both begin anew with each chunk."""
    config = EstimateConfig(**options)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    estimate(tmp_path / "in.mp4", tmp_path / "a" / "x.mp4", config=config, estimator=make(**options))

    def part():
        return Parts.of(tmp_path / "in.mp4", tmp_path / "b" / "x.json", make(**options), config)

    first = part()
    assert chunks.segment_frames(first.info.width, first.info.height) == 16
    first.prepare()
    part().detect(2, None)
    part().detect(0, 2)
    part().track()
    for first_segment, end in ((2, None), (1, 2), (0, 1)):
        part().pose(first_segment, end)
    for again in (part(), part()):  # what a second machine finds done it leaves
        again.detect(0, 2)
        again.pose(0, 1)
        assert again.estimator.detector.seen == 0
    last = make(**options)
    estimate(tmp_path / "in.mp4", tmp_path / "b" / "x.mp4", config=config, estimator=last, resume=True)
    assert last.detector.seen == 0
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")


@pytest.mark.slow
def test_what_is_missing_is_made(make, tmp_path):
    """A machine was lost with its parts, another left damaged ones, a third worked with other settings."""
    config = EstimateConfig()
    for name in "ab":
        (tmp_path / name).mkdir()
    estimate(tmp_path / "in.mp4", tmp_path / "a" / "x.mp4", config=config, estimator=make())
    part = Parts.of(tmp_path / "in.mp4", tmp_path / "b" / "x.json", make(), config)
    other = Parts.of(tmp_path / "in.mp4", tmp_path / "b" / "x.json", make(), EstimateConfig(end=2.3))
    part.detect(0, 3)
    part.folder._path(1, "seen").write_bytes(b"torn")
    part.track()
    part.pose(0, 1)
    other.detect(3, 4)
    last = make()
    estimate(tmp_path / "in.mp4", tmp_path / "b" / "x.mp4", config=config, estimator=last, resume=None)
    assert 0 < last.detector.seen <= 62
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")


def make_cut(path, *, frames, cut):
    """A clip of moving texture; with frame `cut` a brighter scene begins."""
    texture = np.random.default_rng(7).integers(0, 90, (64, 96 + 4 * frames, 3), np.uint8)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "18"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for index in range(frames):
            image = texture[:, index * 4 : index * 4 + 96] + np.uint8(160 if index >= cut else 0)
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))))
        out.mux(video.encode(None))
    return path


def test_nobody_keeps_an_identity_across_a_cut_between_two_parts(make, tmp_path):
    """The cut is seen by the part that begins with it, and identities are those of a straight run."""
    clip = make_cut(tmp_path / "cut.mp4", frames=40, cut=16)
    estimate(clip, json=tmp_path / "a.json", estimator=make())
    frames = read_posetrack(tmp_path / "a.json").frames
    before, after = (
        {person.track_id for frame in frames if (frame.index >= 16) == late for person in frame.people}
        for late in (False, True)
    )
    assert before
    assert after
    assert not before & after
    parts = Parts.of(clip, tmp_path / "b.json", make(), EstimateConfig())
    parts.prepare()
    parts.detect(1, None)
    parts.detect(0, 1)
    parts.track()
    for first, end in ((1, None), (0, 1)):
        parts.pose(first, end)
    last = make()
    estimate(clip, json=tmp_path / "b.json", estimator=last, resume=True)
    assert last.detector.seen == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
