"""The videos of a batch: what is finished, what fails, what the manifest says of it."""

from __future__ import annotations

import os
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dcpose_cli import DeviceError, EstimateConfig, InputError, PoseEstimator, UsageError
from dcpose_cli.batch.manifest import read_manifest
from dcpose_cli.batch.plan import finished_header, plan_batch
from dcpose_cli.batch.run import run_batch, worker_devices
from dcpose_cli.batch.workers import processes
from dcpose_cli.engines import ENGINES, Engine

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "product.py")))


@pytest.fixture
def crowd(tiny_folder, monkeypatch):
    """Batches find two people without a detector; the number of estimators that were made."""
    made = []

    def make(config):
        made.append(config)
        return PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd())

    monkeypatch.setattr(PoseEstimator, "from_config", make)
    return made


def run(folder, out, **options):
    config = EstimateConfig(**options)
    outcomes = list(run_batch(plan_batch(folder, out, config=config), config))
    return sorted(outcomes, key=lambda outcome: outcome.job.name)


def test_one_bad_video_of_five(crowd, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    for name in ("1.mp4", "2.mp4", "4.mp4", "sub/5.mp4"):
        PRODUCT.make_clip(folder / name, frames=3 + len(name))
    (folder / "3.mp4").write_bytes((folder / "1.mp4").read_bytes()[:300])
    outcomes = run(folder, out)
    assert [o.summary is not None for o in outcomes] == [True, True, False, True, True]
    assert isinstance(outcomes[2].error, InputError)
    assert len(crowd) == 1
    stems = ("1", "2", "4", "sub/5")
    files = [f"{stem}.{ending}" for stem in stems for ending in ("mp4", "json")]
    assert PRODUCT.files_in(out) == sorted([*files, "manifest.jsonl", "summary.csv"])

    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.suffix in (".mp4", ".json")}
    again = run(folder, out)
    assert [o.skipped for o in again] == [True, True, False, True, True]
    PRODUCT.make_clip(folder / "3.mp4", frames=4)
    again = run(folder, out)
    assert [o.skipped for o in again] == [True, True, False, True, True]
    assert again[2].summary is not None
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_what_counts_as_finished(crowd, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    source, target = PRODUCT.make_clip(folder / "a.mp4"), out / "a.mp4"
    assert not finished_header(source, target)
    [outcome] = run(folder, out, max_frames=3)
    assert outcome.summary.frames == 3
    assert finished_header(source, target)

    whole = target.read_bytes()
    target.write_bytes(whole[:-1])
    assert not finished_header(source, target)  # another MP4 than the JSON speaks of
    target.write_bytes(whole)
    result = target.with_suffix(".json")
    text = result.read_text()
    result.write_text(text[:-20])
    assert not finished_header(source, target)  # a torn JSON
    result.unlink()
    assert not finished_header(source, target)
    result.write_text(text)
    assert finished_header(source, target)
    assert [o.skipped for o in run(folder, out)] == [True]  # other times of change, the same bytes
    shutil.copy(PRODUCT.make_clip(tmp_path / "b.mp4", frames=5), source)
    assert not finished_header(source, target)  # the input has changed
    [outcome] = run(folder, out)
    assert outcome.summary.frames == 5


def test_a_bug_with_one_video_does_not_stop_the_others(crowd, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        PRODUCT.make_clip(folder / f"{name}.mp4", frames=3)
    from dcpose_cli import pipeline

    real = pipeline.estimate

    def estimate(path, *args, **options):
        if Path(path).name == "a.mp4":
            raise ZeroDivisionError("oops")
        return real(path, *args, **options)

    monkeypatch.setattr(pipeline, "estimate", estimate)
    first, second = run(folder, tmp_path / "out")
    assert "oops" in str(first.error)
    assert first.error.exit_code == 1
    assert second.summary is not None


def test_results_of_other_settings_are_told_apart(crowd, tiny_folder, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    PRODUCT.make_clip(folder / "a.mp4")
    run(folder, out, model=str(tiny_folder), max_frames=3)
    same = EstimateConfig(model=str(tiny_folder), max_frames=3, detector="none-such")
    other_length = EstimateConfig(model=str(tiny_folder), detector="none-such")
    other_model = EstimateConfig(max_frames=3, detector="none-such")
    again = EstimateConfig(max_frames=3, overwrite=True)
    found = [plan_batch(folder, out, config=c).jobs[0] for c in (same, other_length, other_model, again)]
    assert [job.done for job in found] == [True, True, True, False]
    assert [job.outdated for job in found] == [False, True, True, False]


def test_results_made_before_a_setting_existed_have_its_earlier_value(crowd, tiny_folder, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    PRODUCT.make_clip(folder / "a.mp4", frames=3)
    run(folder, out, model=str(tiny_folder))
    manifest = out / "manifest.jsonl"
    assert '"flip_test":false,' in manifest.read_text()
    manifest.write_text(manifest.read_text().replace('"flip_test":false,', ""))
    configs = [EstimateConfig(model=str(tiny_folder), detector="none-such", flip_test=flip) for flip in (False, True)]
    assert [plan_batch(folder, out, config=c).jobs[0].outdated for c in configs] == [False, True]


def test_results_of_another_engine_are_outdated_where_one_is_asked_for(crowd, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(ENGINES, "far", Engine(name="far"))
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    PRODUCT.make_clip(folder / "a.mp4", frames=3)
    run(folder, out, model=str(tiny_folder))
    made = EstimateConfig(model=str(tiny_folder), detector="none-such")
    configs = [replace(made, engine=engine) for engine in ("auto", "torch", "far")]
    assert [plan_batch(folder, out, config=c).jobs[0].outdated for c in configs] == [False, False, True]


def test_the_manifest_knows_what_became_of_each(crowd, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    PRODUCT.make_clip(folder / "a.mov", frames=3)
    (folder / "b.mp4").write_bytes(b"no video")
    os.mkfifo(folder / "c.mp4")
    run(folder, out)
    lines = read_manifest(out)
    assert {name: (line.state, line.code) for name, line in lines.items()} == {
        "a.mov": ("done", 0),
        "b.mp4": ("failed", 3),
        "c.mp4": ("skipped", 0),
    }
    done = lines["a.mov"]
    assert (done.output, done.frames, done.tracks) == ("a.mov.mp4", 3, 2)
    assert done.seconds > 0
    for stamp, path in (
        (done.source, folder / "a.mov"),
        (done.video, out / "a.mov.mp4"),
        (done.json, out / "a.mov.json"),
    ):
        assert stamp.fits(path)
    header = finished_header(folder / "a.mov", out / "a.mov.mp4")
    assert done.made_by["model"] == header["model"]["sha256"]
    assert done.made_by["detector"] == "0" * 64
    assert "b.mp4" in lines["b.mp4"].reason
    assert lines["c.mp4"].reason == "a pipe or device"
    assert len((out / "manifest.jsonl").read_bytes().splitlines()) == 3
    run(folder, out)
    assert len((out / "manifest.jsonl").read_bytes().splitlines()) == 3
    assert read_manifest(out)["a.mov"] == done


def test_results_without_a_manifest_are_known_too(crowd, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    PRODUCT.make_clip(folder / "a.mp4", frames=3)
    run(folder, out)
    (out / "manifest.jsonl").unlink()
    assert [outcome.skipped for outcome in run(folder, out)] == [True]


@pytest.fixture
def gpus(monkeypatch):
    """Says how many CUDA devices torch finds."""

    def found(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return found


@pytest.mark.parametrize(
    ("device", "workers", "expected"),
    [
        ("all", None, ["cuda:0", "cuda:1", "cuda:2"]),
        ("all", 5, ["cuda:0", "cuda:1", "cuda:2", "cuda:0", "cuda:1"]),
        ("cuda:2, cuda:0", None, ["cuda:2", "cuda:0"]),
        ("cuda:2,cpu", 3, ["cuda:2", "cpu", "cuda:2"]),
        ("cpu,cpu", None, ["cpu", "cpu"]),
        ("cpu,cuda:1", 1, ["cpu"]),
        ("cuda", None, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:1", None, ["cuda:1"]),
    ],
)
def test_workers_take_devices_in_turn(gpus, device, workers, expected):
    gpus(3)
    assert worker_devices(device, workers) == expected


def test_devices_that_are_not_here(gpus):
    gpus(0)
    with pytest.raises(DeviceError, match="none is here"):
        worker_devices("all", None)
    gpus(1)
    assert worker_devices("all", None) == ["cuda:0"]
    with pytest.raises(DeviceError, match="cuda:1"):
        worker_devices("cuda:0,cuda:1", None)
    with pytest.raises(UsageError, match="unknown device"):
        worker_devices("cpu,gpu", None)


def test_one_worker_has_the_one_device(crowd, tmp_path):
    """Of a list, where it comes down to one: a single video is left, or a single device."""
    (tmp_path / "in").mkdir()
    PRODUCT.make_clip(tmp_path / "in" / "a.mp4", frames=2)
    config = EstimateConfig(device="cpu,cuda:7")
    list(run_batch(plan_batch(tmp_path / "in", tmp_path / "out"), config, runner=processes(["cpu"])))
    assert [made.device for made in crowd] == ["cpu"]
