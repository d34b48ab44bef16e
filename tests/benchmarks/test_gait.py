"""benchmarks/gait.py: its table for a result that lies on the truth, and for one whose left knee is wrong."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys

import pytest

import dcpose_cli
from dcpose_cli.evaluation.sample_truth import posetrack_ground_truth, read_truth


def rows(text):
    return {cells[0]: cells[1:] for cells in ([c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines())}


@pytest.mark.parametrize("bent", [False, True])
def test_table_of_a_known_result(root, tmp_path, bent):
    truth = posetrack_ground_truth(read_truth(root / "sample_videos/plaza.json"))
    (tmp_path / "true.json").write_text(json.dumps(truth))
    dcpose_cli.convert(tmp_path / "true.json", tmp_path / "true.csv", to="csv", fps=25)
    slot = truth["categories"][0]["keypoints"].index("left_knee")
    for entry in truth["annotations"] if bent else ():
        entry["keypoints"][3 * slot] += 5
    (tmp_path / "found.json").write_text(json.dumps(truth))
    dcpose_cli.convert(tmp_path / "found.json", tmp_path / "found.csv", to="csv", fps=25, track=1)
    table = rows(
        runpy.run_path(str(root / "benchmarks/gait.py"))["as_text"](tmp_path / "found.csv", tmp_path / "true.csv")
    )
    assert table["steps at (s)"] == ["0.52, 1.08, 1.60, 2.16, 2.68"] * 2
    assert table["step time (s)"] == ["0.54"] * 2
    found, true = table["largest knee flexion, left and right (degrees)"]
    assert true == "69, 71"
    assert (found == true) != bent
    left, right = table["mean absolute error of the knee angle, left and right (degrees)"][0].split(", ")
    assert right == "0.0"
    assert (float(left) > 1) == bent


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_guide_has_the_table_that_the_command_prints(root):
    """A degree apart at most, and no frame: processors round differently."""
    printed = subprocess.run(
        [sys.executable, root / "benchmarks/gait.py"], capture_output=True, text=True, check=True
    ).stdout
    page = rows("\n".join(re.findall(r"^\|.*\|$", (root / "docs/guides/gait.md").read_text("utf-8"), re.MULTILINE)))
    assert list(page) == list(rows(printed))
    for name, cells in rows(printed).items():
        for said, found in zip(page[name], cells, strict=True):
            if "degrees" not in name:
                assert said == found, name
            elif found:
                numbers = [float(number) for number in found.split(", ")]
                assert [float(number) for number in said.split(", ")] == pytest.approx(numbers, abs=1), name
