"""Batches behind URLs: fetched, done, put back whole, and known again."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from dcpose_cli import EstimateConfig, InputError, OutputError, PoseEstimator, UsageError, estimate
from dcpose_cli.batch.remote import plan_remote
from dcpose_cli.batch.run import run_batch

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "product.py")))
CONFIG = EstimateConfig()


@pytest.fixture
def memory(monkeypatch, tiny_folder, tmp_path):
    """A file system in memory with two videos and a bad one; batches find two people without a detector."""
    monkeypatch.setattr(
        PoseEstimator, "from_config", lambda _: PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd())
    )
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    clip = PRODUCT.make_clip(tmp_path / "clip.mp4", frames=3).read_bytes()
    for name, data in (("a.mp4", clip), ("sub/b.mov", clip), ("bad.mp4", b"no video"), ("notes.txt", b"")):
        fs.pipe_file(f"/in/{name}", data)
    yield fs
    fs.store.clear()


def run(tmp_path, number, **options):
    config = EstimateConfig(**options)
    staging = tmp_path / f"staging{number}"
    staging.mkdir()
    plan = plan_remote("memory://in", "memory://out", staging, config=config)
    return {outcome.job.name: outcome for outcome in run_batch(plan, config)}


def test_videos_are_done_put_and_known_again(memory, tmp_path):
    first = run(tmp_path, 1)
    assert {name: outcome.error is None for name, outcome in first.items()} == {
        "a.mp4": True,
        "bad.mp4": False,
        "sub/b.mov": True,
    }
    names = ["a.json", "a.mp4", "manifest.jsonl", "sub/b.mov.json", "sub/b.mov.mp4", "summary.csv"]
    assert memory.find("/out") == [f"/out/{name}" for name in names]
    people = PoseEstimator.from_config(CONFIG)
    memory.get_file("/in/a.mp4", str(tmp_path / "a.mp4"))
    estimate(tmp_path / "a.mp4", tmp_path / "there.mp4", estimator=people)
    for ending in ("mp4", "json"):
        assert memory.cat_file(f"/out/a.{ending}") == (tmp_path / f"there.{ending}").read_bytes()

    again = run(tmp_path, 2)
    assert {name: outcome.skipped for name, outcome in again.items()} == {
        "a.mp4": True,
        "bad.mp4": False,
        "sub/b.mov": True,
    }
    memory.pipe_file("/in/a.mp4", memory.cat_file("/in/sub/b.mov"))  # changed
    memory.rm_file("/out/sub/b.mov.json")  # lost
    assert not any(outcome.skipped for outcome in run(tmp_path, 3).values())
    assert memory.exists("/out/sub/b.mov.json")


def test_names_that_lead_out_are_left_alone(memory, tmp_path, monkeypatch):
    real = type(memory).find
    monkeypatch.setattr(
        type(memory), "find", lambda self, *a, **k: [*real(self, *a, **k), "/in/../x.mp4", "/etc/y.mp4"]
    )
    (tmp_path / "staging").mkdir()
    plan = plan_remote("memory://in", "memory://out", tmp_path / "staging", config=CONFIG)
    assert [path.name for path, _ in plan.skipped] == ["y.mp4", "x.mp4"]
    assert [job.name for job in plan.jobs] == ["a.mp4", "bad.mp4", "sub/b.mov"]


def test_addresses_that_cannot_be_meant(memory, tmp_path, monkeypatch):
    for folder, out, error in (
        ("memory://none", "memory://out", InputError),
        ("nonsense://x", "memory://out", InputError),
        ("memory://in", "nonsense://x", OutputError),
        ("memory://in", "memory://in", UsageError),
    ):
        with pytest.raises(error):
            plan_remote(folder, out, tmp_path / "staging", config=CONFIG)
    monkeypatch.setattr(type(memory), "put_file", lambda *a, **k: (_ for _ in ()).throw(PermissionError("no")))
    with pytest.raises(OutputError, match="memory://out"):
        run(tmp_path, 4)
