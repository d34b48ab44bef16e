"""Files that users sent, from the first command to the last: variable frame rates, time lapse, pictures."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dcpose_cli import PoseEstimator, estimate, export_json, read_posetrack
from dcpose_cli.config import Measures
from dcpose_cli.export.angles import ANGLES, joint_angles
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.video.probe import probe

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("product.py"))))


@pytest.fixture
def people(tiny_folder):
    """Finds one person at the same place of every frame."""
    return PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd(count=1))


@pytest.fixture
def cases(shared):
    return shared / "cases" / "users"


def trc(path):
    """Rate of the header, and times of the rows."""
    lines = path.read_text().splitlines()
    return float(lines[2].split("\t")[0]), [float(line.split("\t")[1]) for line in lines[6:]]


@pytest.mark.shared
def test_two_recordings_of_the_same_irregular_frames_have_one_rate(cases, people, tmp_path):
    """48 frames, 40 to 160 ms apart, in WebM and in MP4, whose containers say other rates."""
    found = {}
    for name in ("rec.webm", "vfr.mp4"):
        out = tmp_path / f"{name}.trc"
        summary = export_json(cases / "trc-variable-rate" / name, out, to="trc", estimator=people)
        (warning,) = summary.warnings
        assert "frames come 40.0 to 160.0 ms apart" in warning
        assert "--resample-fps makes the times regular" in warning
        found[name] = trc(out)
    assert found["rec.webm"] == found["vfr.mp4"]
    rate, times = found["rec.webm"]
    assert len(times) == 48
    assert rate == pytest.approx(47 / (times[-1] - times[0]), rel=1e-4)


@pytest.mark.shared
def test_the_same_recording_at_a_fixed_rate(cases, people, tmp_path):
    video, measures = cases / "trc-variable-rate" / "vfr.mp4", Measures(resample_fps="50")
    summary = export_json(video, tmp_path / "a.trc", to="trc", measures=measures, estimator=people)
    assert summary.warnings == ()
    rate, times = trc(tmp_path / "a.trc")
    assert rate == 50
    assert np.diff(times) == pytest.approx(0.02)


@pytest.mark.shared
def test_a_time_lapse_cannot_be_smoothed_and_that_is_said(cases, dcpose, people, tmp_path):
    """One frame per second: no joint moves, and the last line does not say that some did."""
    export_json(cases / "smooth-low-rate" / "tl.mp4", tmp_path / "t.json", estimator=people)
    done = dcpose("smooth", tmp_path / "t.json", "--out", tmp_path / "s.json")
    assert done.returncode == 0, done.stderr
    assert "nothing could be smoothed: frames are up to 1.00 s apart" in done.stderr
    assert done.stderr.endswith("s.json: 15 frames, no joint was smoothed\n")
    before, after = (read_posetrack(tmp_path / name).frames for name in ("t.json", "s.json"))
    assert len(before) == 15
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.people[0].keypoints, other.people[0].keypoints)


def test_what_is_smoothed_is_said_too(clip, dcpose, people, tmp_path):
    export_json(clip, tmp_path / "t.json", estimator=people)
    done = dcpose("smooth", tmp_path / "t.json", "--out", tmp_path / "s.json")
    assert done.stderr.endswith("s.json: 12 frames, smoothed (gaussian)\n")


@pytest.mark.shared
@pytest.mark.parametrize("source", ["seq", "seq/frame_%04d.png", "photo.jpg"])
def test_pictures_are_a_video(cases, people, tmp_path, source):
    shutil.copytree(cases / "image-sequence", tmp_path / "in")
    frames = 1 if source == "photo.jpg" else 5
    summary = estimate(tmp_path / "in" / source, tmp_path / "a.mp4", estimator=people, fps="10")
    assert summary.frames == frames
    result = read_posetrack(tmp_path / "a.json")
    assert [frame.time for frame in result.frames] == pytest.approx([k / 10 for k in range(frames)])
    picture = cv2.imread(str(tmp_path / "in" / ("photo.jpg" if frames == 1 else "seq/frame_0001.png")))
    info = probe(tmp_path / "a.mp4")
    assert (info.height, info.width) == picture.shape[:2]
    assert (result.header["width"], result.header["height"]) == (info.width, info.height)


@pytest.mark.shared
def test_a_folder_of_pictures_is_a_video_of_a_batch(cases, dcpose, tmp_path):
    shutil.copytree(cases / "image-sequence", tmp_path / "in")
    done = dcpose("batch", tmp_path / "in" / "seq", "-o", tmp_path / "b", "--fps", "10", *dcpose.models)
    assert done.returncode == 0, done.stderr
    assert PRODUCT.files_in(tmp_path / "b") == ["manifest.jsonl", "seq.json", "seq.mp4", "summary.csv"]
    assert len(read_posetrack(tmp_path / "b" / "seq.json").frames) == 5


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_runner_in_pixels_of_both_shapes_has_the_same_joints_and_angles(cases, precision):
    """The same second with square pixels and with pixels 4:3, each estimated afresh, on all 25 frames.

    With the detector on the stored pixels the left elbow was 6 degrees off. Angles are compared where both limbs are
    seen from aside: the left forearm points at the camera and is 7 pixels long in most frames, so that the angle turns
    by 4 degrees for half a pixel of the wrist.
    """
    estimator, found = PoseEstimator(device="cpu", precision=precision), []
    for name in ("square.mp4", "anamorphic.mp4"):
        video = cases / "non-square-pixels" / name
        people = [result.people[0] for result in estimator.video(video)]
        square = np.array([float(probe(video).sample_aspect_ratio), 1, 1], np.float32)
        found.append(np.stack([person.keypoints for person in people]) * square)
    height = np.array([person.bbox[3] for person in people])
    apart = np.linalg.norm(found[0][..., :2] - found[1][..., :2], axis=2) / height[:, None]
    assert np.median(apart, axis=0).max() < 0.01
    degrees = np.abs(joint_angles(found[0])[0] - joint_angles(found[1])[0])
    limbs = np.array([[limbs_of(points, name).min() for name in ANGLES] for points in found[0]])
    medians = dict(zip(ANGLES, np.median(degrees, axis=0), strict=True))
    foreshortened = [name for k, name in enumerate(ANGLES) if np.median(limbs[:, k] / height) < 0.1]
    assert foreshortened == ["left_elbow"]
    assert max(value for name, value in medians.items() if name not in foreshortened) < 2, medians


def limbs_of(points, angle):
    """Lengths of the two limbs of an angle, pixels."""
    first, corner, last = (points[JOINT_NAMES.index(joint), :2] for joint in ANGLES[angle])
    return np.array([np.linalg.norm(first - corner), np.linalg.norm(last - corner)])
