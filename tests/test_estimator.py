"""The stages wired for a stream of frames."""

from __future__ import annotations

import inspect
import json
import runpy
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dcpose_cli import Detections, EstimateConfig, Frame, PoseEstimator, UsageError, WeightsError, chunks
from dcpose_cli.config import DEFAULTS
from dcpose_cli.results import read_posetrack
from dcpose_cli.sides import repair_results

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "product.py")))


@pytest.fixture(scope="module")
def two(tiny_folder):
    return PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd())


def frames(count, height=48, width=64):
    rng = np.random.default_rng(1)
    base = rng.integers(0, 255, (height, width + count, 3), np.uint8)
    return [Frame(i, i * 10, i * 0.1, np.ascontiguousarray(base[:, i : i + width])) for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 40])
def test_every_frame_comes_back_once_in_order(two, count):
    stream = frames(count)
    found = list(two.analyse(iter(stream), fps=25))
    assert [frame for frame, _ in found] == stream
    for frame, result in found:
        assert (result.index, result.pts, result.time) == (frame.index, frame.pts, frame.time)
        assert [person.track_id for person in result.people] == [0, 1]


def test_results_are_those_of_single_windows(two):
    """Chunks change nothing: the poses are those of `poses` for the same three frames."""
    stream = frames(20)
    for at, (_, result) in enumerate(two.analyse(iter(stream), fps=25)):
        three = [stream[max(0, at - 1)].image, stream[at].image, stream[min(19, at + 1)].image]
        alone = two.poses(*three, [person.bbox for person in result.people])
        np.testing.assert_allclose([person.keypoints for person in result.people], alone, atol=1e-3)


@pytest.mark.parametrize("count", [0, 1, 2, 17, 40])
def test_looking_less_often_changes_nothing_for_who_stands_still(tiny_folder, count):
    # In fp32: a box moved by a rounding moves the peaks of an untrained network's flat heatmaps otherwise.
    often, seldom = (
        PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd(), precision="fp32", detect_every=every)
        for every in (1, 5)
    )
    stream = frames(count)
    found = list(seldom.analyse(iter(stream), fps=25))
    assert [frame for frame, _ in found] == stream
    for (_, ours), (_, theirs) in zip(found, often.analyse(iter(stream), fps=25), strict=True):
        assert [person.track_id for person in ours.people] == [0, 1]
        for a, b in zip(ours.people, theirs.people, strict=True):
            np.testing.assert_allclose(a.bbox, b.bbox, atol=1e-4)
            np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)


def test_flip_test_changes_the_joints_and_is_named_in_the_header(dcpose, clip, tmp_path):
    results = []
    for number, options in enumerate(([], ["--flip-test"], ["--flip-test", "--no-share-crops"])):
        target = tmp_path / f"{number}.json"
        done = dcpose("export", clip, "-o", target, *dcpose.models, "--max-frames", 3, "--precision", "fp32", *options)
        assert done.returncode == 0, done.stderr
        results.append(json.loads(target.read_text()))
    assert [r["dcpose"]["settings"]["flip_test"] for r in results] == [False, True, True]
    plain, flipped, _ = (np.array([a["keypoints"] for a in r["annotations"]]) for r in results)
    assert plain.shape == flipped.shape
    assert np.abs(plain - flipped).max() > 0.5


@pytest.mark.parametrize(
    ("options", "size"), [([], 64), (["--detect-size", "auto"], 64), (["--detect-size", "96"], 96)]
)
def test_the_size_of_the_search_is_named_in_the_header(dcpose, clip, tmp_path, options, size):
    target = tmp_path / "out.json"
    done = dcpose("export", clip, "-o", target, *dcpose.models, "--max-frames", 2, *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(target.read_text())["dcpose"]["settings"]["detect_size"] == size


def test_repaired_legs_are_those_of_the_library_and_named_in_the_header(dcpose, clip, tmp_path):
    """estimate repairs what it writes where it is not told otherwise, smooth a copy of a raw result."""
    raw, repaired, copy = (tmp_path / f"{name}.json" for name in ("raw", "repaired", "copy"))
    for target, options in ((raw, ["--no-fix-swaps"]), (repaired, [])):
        done = dcpose("export", clip, "-o", target, *dcpose.models, "--conf", "0.05", *options)
        assert done.returncode == 0, done.stderr
    done = dcpose("smooth", raw, "-o", copy, "--method", "none", "--fix-swaps")
    assert done.returncode == 0, done.stderr
    headers = [json.loads(path.read_text())["dcpose"] for path in (raw, repaired, copy)]
    assert [header["settings"]["fix_swaps"] for header in headers] == [False, True, False]
    assert headers[2]["smoothing"]["fix_swaps"] is True
    expected = list(repair_results(read_posetrack(raw).frames))
    for path in (repaired, copy):
        found = read_posetrack(path).frames
        assert [len(frame.people) for frame in found] == [len(frame.people) for frame in expected]
        for one, other in zip(found, expected, strict=True):
            for a, b in zip(one.people, other.people, strict=True):
                np.testing.assert_allclose(a.keypoints, b.keypoints, atol=2e-3)
    assert dcpose("smooth", raw, "-o", tmp_path / "none.json", "--method", "none").returncode == 2


@pytest.mark.parametrize("wrong", ["5", "big", "-640", "640.5", "100000"])
def test_a_wrong_size_of_the_search_is_refused(tiny_folder, wrong):
    with pytest.raises(UsageError, match="--detect-size must be auto or a number"):
        PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd(), detect_size=wrong)


def test_a_detector_of_one_size_has_no_other(tiny_folder):
    estimator = PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd())
    assert estimator.resolve().detect_size == 0
    with pytest.raises(UsageError, match="has one size only"):
        PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd(), detect_size=640).resolve()


def test_an_automatic_size_is_chosen_once_and_stored(tiny_folder):
    """From the sample of the video; what is stored for its parts holds."""

    class Sized(PRODUCT.Crowd):
        imgsz = 384

        def __init__(self):
            super().__init__()
            self.sizes = []

        def detect(self, images, size=None):
            self.sizes.append(size)
            found = super().detect(images)
            keep = 2 if size and size >= 640 and images[0].shape[1] > 100 else 0
            return [Detections(people.boxes[:keep], people.scores[:keep]) for people in found]

    class Sample:
        width, height, pixel_aspect = 1280, 720, 1.0

        def read(self):
            return [np.zeros((720, 1280, 3), np.uint8)]

    sized = Sized()
    estimator = PoseEstimator(tiny_folder, "cpu", detector=sized)
    chosen = estimator.resolve(sample=Sample())
    assert chosen.detect_size == 640
    assert estimator.resolve().detect_size == 384
    assert estimator.resolve(chosen, sample=None).detect_size == 640
    sized.sizes.clear()
    estimator.finder(960)([np.zeros((720, 1280, 3), np.uint8)])
    assert sized.sizes == [384, 960]


def test_the_detector_sees_people_undistorted(tiny_folder):
    """Its boxes are in stored pixels; the automatic size is chosen in the proportions of the display, too."""

    class Seeing(PRODUCT.Crowd):
        imgsz = 384

        def __init__(self):
            super().__init__(count=1)
            self.seen = set()

        def detect(self, images, size=None):
            self.seen |= {(image.shape[1], image.shape[0]) for image in images}
            return [Detections(np.array([[16, 8, 32, 36]], np.float32), np.ones(1, np.float32)) for _ in images]

    class Sample:
        width, height, pixel_aspect = 960, 720, 4 / 3

        def read(self):
            return [np.zeros((720, 960, 3), np.uint8)]

    detector = Seeing()
    estimator = PoseEstimator(tiny_folder, "cpu", detector=detector)
    for _, result in estimator.analyse(frames(3), fps=25, pixel_aspect=4 / 3):
        np.testing.assert_allclose(result.people[0].bbox, [16 * 64 / 85, 8, 32 * 64 / 85, 36], rtol=1e-5)
    assert detector.seen == {(85, 48)}
    detector.seen.clear()
    estimator.resolve(sample=Sample())
    assert (1280, 720) in detector.seen


def test_shared_crops_of_who_stands_still_are_exact_and_fewer(tiny_folder):
    # In fp32, as above.
    own, shared = (
        PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd(), precision="fp32", share_crops=share)
        for share in (False, True)
    )
    stream = frames(40)
    pairs = zip(own.analyse(iter(stream), fps=25), shared.analyse(iter(stream), fps=25), strict=True)
    for (_, a), (_, b) in pairs:
        for mine, theirs in zip(a.people, b.people, strict=True):
            np.testing.assert_allclose(mine.keypoints, theirs.keypoints, atol=1e-3)
    assert own.network.encoded == 2 * 3 * 40
    assert shared.network.encoded == 2 * (17 + 18 + 9)  # chunks of 16, 16 and 8 frames, and their neighbours


def test_people_whose_joints_do_not_fit_are_looked_for_again(tiny_folder, monkeypatch):
    """A box that was only interpolated, and whose joints say no, is replaced by a detected one."""
    crowd = PRODUCT.Crowd(1)
    people = PoseEstimator(tiny_folder, "cpu", detector=crowd, detect_every=4)
    real, boxes = people.network.poses, []

    def poses(frames, windows, given, margins, *rest):
        out = real(frames, windows, given, margins, *rest)
        boxes.append(given.copy())
        out[..., 2] = 0.8
        out[..., :2] = given[:, None, :2] + given[:, None, 2:] / 2
        if len(boxes) == 1:
            out[2, :, 2] = 0.1  # the third frame, which nobody looked at
        return out

    monkeypatch.setattr(people.network, "poses", poses)
    results = [result for _, result in people.analyse(iter(frames(5)), fps=25)]
    assert crowd.calls == 2  # what is due of the chunk, and frame 2 by itself
    assert [len(given) for given in boxes] == [5, 1]
    assert results[2].people[0].keypoints[0, 2] == pytest.approx(0.8)


def test_few_frames_are_held(two, monkeypatch):
    """Memory does not depend on the length: what is taken ahead of the output is bounded."""
    taken = 0

    def source():
        nonlocal taken
        for frame in frames(100):
            taken += 1
            yield frame

    for number, _ in enumerate(two.analyse(source(), fps=25)):
        # Chunks under way, and the second of frames in which gaps of tracks are filled.
        assert taken - number <= 3 * chunks.CHUNK_FRAMES + chunks.DETECTED_AHEAD + 25 + 2
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 48 * 64 * 2)
    taken = 0
    for number, _ in enumerate(two.analyse(source(), fps=25)):
        # Five chunks of two, of which two wait for the network, and the frame behind them.
        assert taken - number <= 5 * 2 + 1 + 25 + 2


def test_people_are_looked_for_while_the_network_is_at_work(tiny_folder, monkeypatch):
    third, crowd = threading.Event(), PRODUCT.Crowd(1)
    people = PoseEstimator(tiny_folder, "cpu", detector=crowd)
    real_detect, real_poses, overlapped = crowd.detect, people.network.poses, []

    def detect(images):
        found = real_detect(images)
        if crowd.calls == 3:
            third.set()
        return found

    def poses(*given):
        overlapped.append(third.wait(20))  # the first chunk waits for the detector to be at the third
        return real_poses(*given)

    monkeypatch.setattr(crowd, "detect", detect)
    monkeypatch.setattr(people.network, "poses", poses)
    assert len(list(people.analyse(iter(frames(48)), fps=25))) == 48
    assert overlapped == [True] * 3


def test_what_the_frames_raise_is_raised_and_the_thread_ends(two):
    def source():
        yield from frames(20)
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        list(two.analyse(source(), fps=25))
    left = two.analyse(iter(frames(60)), fps=25)
    next(left)
    left.close()
    assert not [t for t in threading.enumerate() if t.name == "dcpose-read"]


def test_a_live_stream_is_looked_at_in_the_thread_that_asks(two):
    seen = []

    def source():
        for frame in frames(5):
            seen.append(threading.current_thread())
            yield frame

    assert len(list(two.analyse(source(), fps=25, together=1))) == 5
    assert set(seen) == {threading.current_thread()}


def test_video(two, tmp_path):
    path = PRODUCT.make_clip(tmp_path / "in.mp4")
    assert [result.index for result in two.video(path)] == list(range(12))
    assert [result.index for result in two.video(path, start=0.2, max_frames=2)] == [5, 6]


def test_poses_of_given_boxes(two):
    a, b, c = (frame.image for frame in frames(3))
    assert two.poses(a, b, c, [[4, 4, 30, 40]], margin=(2, 1)).shape == (1, 17, 3)
    assert two.poses(a, b, c, []).shape == (0, 17, 3)
    nan = float("nan")
    for boxes in ([[1, 2, 3]], [[0, 0, 0, 5]], [[nan, 0, 5, 5]], [1, 2, 3, 4], np.zeros((2, 8))):
        with pytest.raises(UsageError, match="boxes"):
            two.poses(a, b, c, boxes)
    with pytest.raises(UsageError, match="one size"):
        two.poses(a[:-1], b, c, [[4, 4, 30, 40]])
    with pytest.raises(UsageError, match="uint8"):
        two.poses(a.astype(np.float32), b, c, [[4, 4, 30, 40]])
    with pytest.raises(UsageError, match="margin"):
        two.poses(a, b, c, [[4, 4, 30, 40]], margin=(0, 1))


@pytest.mark.parametrize(
    "wrong", [{"conf": -0.1}, {"conf": float("nan")}, {"interval": 0}, {"box_scale": 0.0}, {"batch": -1}]
)
def test_settings_that_cannot_be_meant(tiny_folder, wrong):
    with pytest.raises(UsageError):
        PoseEstimator(tiny_folder, "cpu", **wrong)


def test_from_config_and_loading_the_detector_at_once(tiny_folder, tmp_path):
    config = EstimateConfig(model=str(tiny_folder), device="cpu", detector=str(tmp_path), batch=3, interval=2)
    people = PoseEstimator.from_config(config)
    assert (people.network.batch, people.interval) == (3, 2)
    with pytest.raises(WeightsError, match="detector"):
        people.load()


def test_its_parameters_and_their_defaults_are_those_of_the_settings():
    """EstimateConfig is the one source of defaults."""
    parameters = inspect.signature(PoseEstimator).parameters
    assert {name: p.default for name, p in parameters.items()} == {name: getattr(DEFAULTS, name) for name in parameters}
