"""The simulation of large batches, against what can be worked out by hand."""

from __future__ import annotations

import runpy
from dataclasses import replace

import pytest


@pytest.fixture(scope="module")
def scale(root):
    return runpy.run_path(str(root / "benchmarks" / "scale.py"))


def calm(scale, **options):
    """A cluster that loses nothing, has no slow workers and reads at once."""
    return scale["Cluster"](**{"mtbf": 1e12, "slow": 0.0, "store": 1e18} | options)


def test_one_worker_does_one_video_after_the_other(scale):
    costs = replace(scale["CPU"], task=0.0, submit=0.0, line=0.0)
    totals = scale["simulate"](50, costs, calm(scale, workers=1))
    assert totals.end == pytest.approx(totals.useful)
    assert totals.work == pytest.approx(totals.useful)
    assert totals.tasks == 50
    assert totals.lost == 0


def test_a_long_video_in_parts_is_decoded_once_per_part_and_done_sooner(scale):
    costs, hour = scale["CPU"], 3600.0
    stages = scale["stages_of"](hour, costs, calm(scale, workers=100), hour)
    assert [len(stage) for stage in stages] == [1, 8, 1, 8, 1]
    seconds = [sum(seconds for seconds, _ in stage) for stage in stages]
    assert seconds[1] == pytest.approx(hour * (costs.detect + costs.decode * 4.5))
    assert seconds[3] == pytest.approx(hour * (costs.pose + costs.decode * 4.5))
    assert sum(max(seconds for seconds, _ in stage) for stage in stages) < 0.5 * hour * costs.whole


def test_lost_workers_cost_what_they_had_begun(scale):
    steady = scale["simulate"](300, scale["CPU"], calm(scale, workers=20))
    shaken = scale["simulate"](300, scale["CPU"], calm(scale, workers=20, mtbf=2.0))
    assert shaken.lost > 5
    assert shaken.work > steady.work
    assert shaken.tasks == steady.tasks + shaken.lost


def test_the_driver_is_the_limit_where_videos_are_tiny(scale):
    costs = replace(scale["CPU"], detect=0, pose=0, decode=0, encode=0, track=0, task=0, read=0, submit=0.01, line=0.04)
    totals = scale["simulate"](200, costs, calm(scale, workers=50, parts=1))
    assert totals.end == pytest.approx(200 * (0.01 + 0.01 + 0.04))
    assert totals.driver == pytest.approx(totals.end)
