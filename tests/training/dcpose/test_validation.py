"""What human labels say of what a network finds."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from dcpose_cli.training.data.config import HoldOutConfig, MeasureConfig
from dcpose_cli.training.data.pack import PoseSample
from dcpose_cli.training.dcpose.train import train
from dcpose_cli.training.dcpose.validation import Found, human_measures
from dcpose_cli.training.recipes import load_recipe

GROUPS = (MeasureConfig(name="indoors", sources=("a", "b")), MeasureConfig(name="sport", sources=("c",)))


def person(moved=(), swapped=(), source="a", human=True, hidden=(), side=100.0):
    """Somebody 100 high whose torso is 30 long, found as labelled but for the slots that are `moved` by (dx, dy) and
    the pairs that are `swapped`; `hidden` slots have no label."""
    truth = np.zeros((17, 3), np.float32)
    truth[:, 2] = 1
    for slot in range(17):
        truth[slot, :2] = 60 - 24 * (slot % 2), 5 * slot
    truth[5, :2], truth[12, :2] = (36, 20), (60, 38)
    points = truth.copy()
    for slot, step in moved:
        points[slot, :2] += step
    for a, b in swapped:
        points[[a, b]] = points[[b, a]]
    truth[list(hidden), 2] = 0
    sample = PoseSample((), truth[None], np.zeros((1, 4), np.float32), (1, 1), human, source, "x")
    return Found(sample, points, truth, side, 1.0)


def test_perfect_people():
    found = human_measures([person(), person(source="c")], GROUPS)
    assert found == {"pck_indoors": 1, "swapped_indoors": 0, "pck_sport": 1, "swapped_sport": 0}


def test_only_people_labelled_by_people_are_measured():
    assert human_measures([person(human=False), person(source="d")], GROUPS) == {}
    assert human_measures([person()], ()) == {}


def test_a_fifth_of_the_torso_counts():
    near, far = person(moved=[(9, (5.9, 0))]), person(moved=[(9, (6.1, 0))])
    assert human_measures([near], GROUPS)["pck_indoors"] == 1
    assert human_measures([far], GROUPS)["pck_indoors"] == pytest.approx(11 / 12)
    nose = person(moved=[(0, (50, 0))])
    assert human_measures([nose], GROUPS)["pck_indoors"] == 1  # limbs only


def test_without_a_torso_a_quarter_of_the_box_counts():
    for step, share in ((4.9, 1.0), (5.1, 10 / 11)):
        found = human_measures([person(moved=[(9, (step, 0))], hidden=[12])], GROUPS)
        assert found["pck_indoors"] == pytest.approx(share)
    assert human_measures([person(moved=[(9, (9.9, 0))], side=200.0)], GROUPS)["pck_indoors"] == 1


def test_swapped_pairs():
    found = human_measures([person(swapped=[(13, 14)]), person(hidden=[13])], GROUPS)
    assert found["swapped_indoors"] == pytest.approx(1 / 7)
    both_legs = human_measures([person(swapped=[(13, 14), (15, 16)])], GROUPS)
    assert both_legs["swapped_indoors"] == pytest.approx(2 / 4)
    assert both_legs["pck_indoors"] == pytest.approx(8 / 12)


def test_both_stages_are_measured_on_single_pictures(tiny_recipe, tools, writer, tmp_path):
    recipe, pack = load_recipe(tiny_recipe), writer()
    for k in range(8):
        pack.add([tools["person"]((8 + k, 8, 36, 64))], source="ab"[k % 2], origin=str(k))
    pack.write()
    data = replace(recipe.data, triplets=(), validate=(HoldOutConfig(source="a", share=1.0),), memory_gib=0.0)
    train(replace(recipe, data=data), tmp_path, tmp_path / "run", threads=1)
    with (tmp_path / "run" / "validation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["stage1", "stage2"]
    for row in rows:
        assert 0 <= float(row["all"]) == float(row["stills"]) <= 1
        assert row["windows"] == row["single"] == ""
    assert (tmp_path / "run" / "worst-stage2.png").is_file()
