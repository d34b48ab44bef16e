"""Several methods on one clip; the workers run in this process, `dcpose compare` itself is run in tests/cli."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest

from dcpose_cli.config import EstimateConfig
from dcpose_cli.errors import DeviceError, InputError, OutputError, UsageError, WeightsError
from dcpose_cli.evaluation import compare as module
from dcpose_cli.evaluation.compare import compare
from dcpose_cli.evaluation.compare_worker import Recorder, Replay, ReplayingEstimator, run
from dcpose_cli.people.detectors import DETECTORS
from dcpose_cli.types import Detections


class Walker:
    """One person who walks to the right, found in some frames only."""

    name, sha256 = "walker", "f" * 64

    def __init__(self):
        self.frame = 0

    def detect(self, images):
        found = []
        for _ in images:
            box = np.array([[4 + 2 * self.frame, 6, 30, 50]], np.float32)
            found.append(Detections.empty() if self.frame == 5 else Detections(box, np.array([0.9], np.float32)))
            self.frame += 1
        return found


@pytest.fixture
def here(monkeypatch):
    """Workers in this process, with a detector that needs no weights."""
    monkeypatch.setitem(DETECTORS, "yolo", lambda *args, **options: Walker())
    jobs = []

    def alone(video, model, result, settings):
        values = asdict(settings) | {"model": model, "json": None, "overwrite": True}
        people = result.parent / "people.npz"
        jobs.append((model, people.is_file()))
        job = {"video": str(video), "result": str(result), "people": str(people), "config": values}
        return run(json.loads(json.dumps(job)))  # as it travels to a process

    monkeypatch.setattr(module, "_run_process", alone)
    return jobs


@pytest.fixture(scope="module")
def clip(root, tmp_path_factory):
    import runpy

    product = runpy.run_path(str(root / "tests" / "product.py"))
    return product["make_clip"](tmp_path_factory.mktemp("clip") / "clip.mp4", frames=10)


def test_what_was_found_is_found_again(tmp_path):
    images = [np.zeros((8, 8, 3), np.uint8)] * 7
    recorder, walker = Recorder(Walker.name, Walker.sha256), Walker()
    recorder.found = first = [*walker.detect(images[:4]), *walker.detect(images[4:])]
    recorder.save(tmp_path / "people.npz")
    replay = Replay(tmp_path / "people.npz")
    again = [*replay.detect(images[:2]), *replay.detect(images[2:])]
    assert (replay.name, replay.sha256) == (recorder.name, recorder.sha256)
    assert [len(d) for d in again] == [1, 1, 1, 1, 1, 0, 1]
    for ours, theirs in zip(again, first, strict=True):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.scores, theirs.scores)


def test_people_are_detected_once_at_the_size_asked_for(clip, tiny_folder, tmp_path, monkeypatch):
    class Sized(Walker):
        imgsz, sizes = 64, []

        def detect(self, images, size=None):
            self.sizes.append(size)
            return super().detect(images)

    monkeypatch.setitem(DETECTORS, "yolo", lambda *args, **options: Sized())
    config = {"model": str(tiny_folder), "device": "cpu", "detect_size": "96", "overwrite": True}
    job = {"video": str(clip), "result": str(tmp_path / "r.json"), "people": str(tmp_path / "p.npz"), "config": config}
    first = run(job)
    assert 96 in Sized.sizes
    Sized.sizes.clear()
    assert run(job)["people"] == first["people"] > 0
    assert Sized.sizes == []


def test_recorded_boxes_are_those_of_pixels_that_are_not_square(tiny_folder, tmp_path):
    """They are in stored pixels already."""
    recorder, images = Recorder(Walker.name, Walker.sha256), [np.zeros((48, 64, 3), np.uint8)] * 2
    recorder.found = Walker().detect(images)
    recorder.save(tmp_path / "people.npz")
    estimator = ReplayingEstimator(tiny_folder, "cpu", detector=Replay(tmp_path / "people.npz"))
    again = estimator.finder(0, 4 / 3)(images)
    np.testing.assert_array_equal([people.boxes for people in again], [people.boxes for people in recorder.found])


def test_rows_and_video(here, clip, tiny_folder, tmp_path):
    import av

    names = [str(tiny_folder), f"{tiny_folder}:single"]
    said = []
    rows = compare(clip, names, tmp_path / "side.mp4", config=EstimateConfig(device="cpu"), begin=said.append)
    assert said == [*names, ""]
    assert here == [(names[0], False), (names[1], True)]  # the second one sees what the first one's detector found
    assert [(row.model, row.kind, row.frames_seen) for row in rows] == [(names[0], "dcpose", 3), (names[1], "hrnet", 1)]
    assert rows[0].people == rows[1].people >= 9
    assert all(row.found is row.ap is None for row in rows)
    assert all(row.ms > 0 and row.jitter > 0 and row.memory > 50 for row in rows)
    assert rows[0].sha256 == rows[1].sha256
    with av.open(str(tmp_path / "side.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 10
    assert frames[0].shape[0] * frames[0].shape[1] > 2 * 96 * 64
    assert {path.name for path in tmp_path.iterdir()} == {"side.mp4"}


def test_accuracy_against_a_sample(here, root, tiny_folder, tmp_path, monkeypatch):
    """Labels in either format; a truth of another clip is refused."""
    truth = root / "sample_videos" / "portrait.json"
    data = json.loads(truth.read_text())
    data["frames"] = data["frames"][:10]
    (tmp_path / "truth.json").write_text(json.dumps(data))
    import runpy

    clip = runpy.run_path(str(root / "tests" / "product.py"))["make_clip"](tmp_path / "clip.mp4", frames=10)
    (row,) = compare(clip, [str(tiny_folder)], None, truth=tmp_path / "truth.json", config=EstimateConfig(device="cpu"))
    assert 0 <= row.found <= 1
    assert 0 <= row.ap <= 100
    with pytest.raises(InputError, match="wrong pair"):
        compare(clip, [str(tiny_folder)], None, truth=truth, config=EstimateConfig(device="cpu"))


def test_what_cannot_be_is_said_before_anything_runs(here, clip, tiny_folder, tmp_path):
    config = EstimateConfig(device="cpu")
    name = str(tiny_folder)
    with pytest.raises(WeightsError, match="nowhere"):
        compare(clip, [name, "nowhere"], None, config=config)
    for models in ([], [name, name]):
        with pytest.raises(UsageError, match="each once"):
            compare(clip, models, None, config=config)
    with pytest.raises(UsageError, match="whole clips"):
        compare(clip, [name], None, truth=_truth(tmp_path), config=replace(config, max_frames=3))
    with pytest.raises(InputError, match=r"none\.json"):
        compare(clip, [name], None, truth=tmp_path / "none.json", config=config)
    for labels, says in (
        (_labels_without_heads() | {"dcpose": {"input": {}}}, "is a result of dcpose, not ground truth"),
        (_labels_without_heads(), "without a head box"),
    ):
        (tmp_path / "labels.json").write_text(json.dumps(labels))
        with pytest.raises(InputError, match=says):
            compare(clip, [name], None, truth=tmp_path / "labels.json", config=config)
    (tmp_path / "there.mp4").write_bytes(b"mine")
    with pytest.raises(OutputError, match="--overwrite"):
        compare(clip, [name], tmp_path / "there.mp4", config=config)
    copy = shutil.copy(clip, tmp_path / "own.mp4")
    with pytest.raises(UsageError, match="input"):
        compare(copy, [name], copy, config=replace(config, overwrite=True))
    with pytest.raises(DeviceError, match="--device cpu"):
        compare(clip, [name], None, config=EstimateConfig(device="cuda:77"))
    assert here == []


def _truth(folder):
    path = folder / "truth.json"
    path.write_text(json.dumps({"joints": [], "frames": []}))
    return path


def _labels_without_heads():
    """PoseTrack annotations of one person, whose head box nobody drew."""
    from dcpose_cli.skeleton import JOINT_NAMES

    names = list(JOINT_NAMES)
    person = {"id": 1, "image_id": 1, "category_id": 1, "track_id": 0, "keypoints": [8, 8, 1] * len(names)}
    images = [{"id": 1, "file_name": "000001.jpg", "width": 96, "height": 64, "is_labeled": True}]
    category = {"id": 1, "name": "person", "keypoints": names, "skeleton": []}
    return {"images": images, "annotations": [person | {"bbox": [4, 4, 20, 40]}], "categories": [category]}
