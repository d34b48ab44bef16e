"""benchmarks/engines.py: what it times, and what it says of engines that are not here."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import engines

from dcpose_cli import PoseEstimator
from dcpose_cli.engines import ENGINES, Engine


def test_every_engine_is_timed_on_the_same_work(tiny_folder, product, clip):
    options = engines.parse([str(clip), "--model", str(tiny_folder), "--only", "torch:fp32", "--rounds", "1"])
    assert options.only == ["torch:auto", "torch:fp32"]
    estimators = {
        name: PoseEstimator(tiny_folder, "cpu", detector=product.Crowd(), precision=name.partition(":")[2])
        for name in options.only
    }
    found = engines.times(options, estimators)
    assert list(found) == ["detector", "pose, 2 people", "whole"]
    assert {name for names in found.values() for name in names} == set(options.only)
    assert min(found["pose, 2 people"].values()) > 0
    text = engines.as_text(
        {"date": "today", "machine": "this", "clip": clip.name, "milliseconds": found, "missing": {"far:fp32": "why"}}
    )
    assert "(1.00)" in text
    assert "left out: far:fp32: why" in text


def test_engines_that_are_not_here_are_left_out(tiny_folder, monkeypatch):
    monkeypatch.setitem(ENGINES, "far", Engine(name="far", packages=("no_such_package",), extra="far"))
    options = engines.parse(["--model", str(tiny_folder), "--only", "far:fp32"])
    monkeypatch.setattr(PoseEstimator, "load", lambda self: self)
    loaded, missing = engines.load(options)
    assert list(loaded) == ["torch:auto"]
    assert list(missing) == ["far:fp32"]
    assert "needs no_such_package" in missing["far:fp32"]
