"""The table of events, and the command."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path

import pytest

from dcpose_cli import OutputError, UsageError
from dcpose_cli.config import Selection
from dcpose_cli.events.table import COLUMNS, write_events
from dcpose_cli.results import PoseTrackWriter

HERE = Path(__file__).parent
walk = runpy.run_path(str(HERE / "test_gait.py"))["walk"]


@pytest.fixture
def result(tmp_path):
    made = walk(fps=25)
    with PoseTrackWriter(tmp_path / "r.json", {"time_base": "1/25", "fps": "25/1", "width": 640, "height": 240}) as out:
        for frame in made.frames:
            out.write(frame)
    return tmp_path / "r.json"


def rows(path):
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert not found or list(found[0]) == list(COLUMNS)
    return found


def test_rows_of_all_events(result, tmp_path):
    summary = write_events(result, tmp_path / "e.csv", signals=["left_ankle"], strikes=True)
    found = rows(tmp_path / "e.csv")
    strikes = [row for row in found if row["event"] == "heel_strike"]
    assert summary.counts == {("heel_strike", "left_ankle"): 5, ("heel_strike", "right_ankle"): 5}
    assert len(strikes) == len(found)  # the ankle stays at one height
    left = [row for row in strikes if row["signal"] == "left_ankle"]
    assert [row["number"] for row in left] == ["1", "2", "3", "4", "5"]
    assert [float(row["time"]) for row in left] == pytest.approx([0.3 + 1.1 * k for k in range(5)], abs=0.03)
    assert [int(row["frame"]) for row in left] == [round(25 * float(row["time"])) for row in left]
    assert {row["track_id"] for row in found} == {"4"}
    slow = write_events(result, tmp_path / "slow.csv", strikes=True, shot_fps="250")
    assert sum(slow.counts.values()) == 0  # ten times as fast: nobody steps like that


def test_repetitions_are_rows_too(result, tmp_path):
    write_events(result, tmp_path / "e.csv", signals=["left_shank_segment", "left_wrist"])
    found = rows(tmp_path / "e.csv")
    assert {row["signal"] for row in found} == {"left_shank_segment"}  # the wrist is at one height
    assert [row["event"] for row in found] == ["repetition"] * 5
    assert all(float(row["start"]) <= float(row["time"]) <= float(row["end"]) for row in found)


def test_what_cannot_be_meant(result, tmp_path):
    for options, says in (
        ({}, "nothing to look for"),
        ({"signals": ["tail"]}, "no angle and no joint"),
        ({"strikes": True, "selection": Selection(tracks=(9,))}, "9"),
    ):
        with pytest.raises(UsageError, match=says):
            write_events(result, tmp_path / "e.csv", **options)
    with pytest.raises(UsageError, match=r"\.csv"):
        write_events(result, tmp_path / "e.json", strikes=True)
    (tmp_path / "e.csv").write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        write_events(result, tmp_path / "e.csv", strikes=True)
    assert (tmp_path / "e.csv").read_text() == "precious"


def test_the_command(dcpose, result, tmp_path):
    done = dcpose("events", result, "--out", tmp_path / "e.csv", "--heel-strikes", "--repetitions", "left_knee")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("e.csv: 5 heel strikes of left_ankle, 5 heel strikes of right_ankle\n")
    none = dcpose("events", result, "--out", tmp_path / "n.csv", "--repetitions", "left_wrist")
    assert none.returncode == 0
    assert "no events were found" in none.stderr
    assert dcpose("events", result, "--out", tmp_path / "x.csv").returncode == 2
