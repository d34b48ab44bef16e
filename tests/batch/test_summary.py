"""summary.csv: one row per input, also of resumed batches and of results that an older version made."""

from __future__ import annotations

import csv
import json
import os
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcpose_cli import EstimateConfig, OutputError, PoseEstimator
from dcpose_cli.batch.manifest import Line, parse, read_manifest
from dcpose_cli.batch.plan import plan_batch
from dcpose_cli.batch.run import run_batch
from dcpose_cli.batch.summary import COLUMNS, SUMMARY_NAME, write_summary
from dcpose_cli.results import read_posetrack
from dcpose_cli.results.quality import Figures, figures_of

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "product.py")))


@pytest.fixture
def folders(tiny_folder, monkeypatch, tmp_path):
    """Inputs: two videos, one that is none, and a pipe; and the folder of the results."""
    monkeypatch.setattr(
        PoseEstimator, "from_config", lambda config: PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd())
    )
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    PRODUCT.make_clip(folder / "a.mp4", frames=5)
    PRODUCT.make_clip(folder / "sub" / "b.mov", frames=3)
    (folder / "bad.mp4").write_bytes(b"no video")
    os.mkfifo(folder / "pipe.mp4")
    return folder, tmp_path / "out"


def run(folder, out, **options):
    config = EstimateConfig(**options)
    return list(run_batch(plan_batch(folder, out, config=config), config))


def rows(out):
    with (out / SUMMARY_NAME).open(newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == list(COLUMNS)
    return {row["video"]: row for row in found}


def test_every_input_has_a_row(folders):
    folder, out = folders
    run(folder, out)
    found = rows(out)
    assert {name: (row["state"], row["exit_code"]) for name, row in found.items()} == {
        "a.mp4": ("done", "0"),
        "bad.mp4": ("failed", "3"),
        "pipe.mp4": ("skipped", ""),
        "sub/b.mov": ("done", "0"),
    }
    assert "not a video" in found["bad.mp4"]["reason"]
    assert found["pipe.mp4"]["reason"] == "a pipe or device"
    assert found["bad.mp4"]["coverage"] == found["bad.mp4"]["people"] == ""
    for name, result in (("a.mp4", "a.mp4"), ("sub/b.mov", "sub/b.mov.mp4")):
        row = found[name]
        figures = figures_of(read_posetrack((out / result).with_suffix(".json")).frames)
        assert row["result"] == result
        assert (int(row["people"]), int(row["frames"])) == (figures.people, figures.frames) == (2, figures.frames)
        assert float(row["coverage"]) == figures.coverage == 1
        assert float(row["mean_confidence"]) == pytest.approx(figures.confidence, abs=2e-4)
        assert (int(row["gaps"]), float(row["interpolated_share"])) == (0, 0)
        assert int(row["doubtful_seconds"]) == figures.doubtful_seconds


def test_resumed_batches_have_all_rows(folders):
    folder, out = folders
    run(folder, out)
    first = rows(out)
    stamp = (out / SUMMARY_NAME).stat().st_mtime_ns
    assert sum(outcome.skipped for outcome in run(folder, out)) == 2
    assert (out / SUMMARY_NAME).stat().st_mtime_ns == stamp  # nothing new
    PRODUCT.make_clip(folder / "c.mp4", frames=2)
    run(folder, out)
    again = rows(out)
    assert again.pop("c.mp4")["frames"] == "2"
    assert again == first


@pytest.mark.parametrize("lost", ["figures", "manifest"])
def test_results_of_older_versions_are_counted_from_their_files(folders, lost):
    folder, out = folders
    run(folder, out)
    expected = {name: row for name, row in rows(out).items() if row["state"] == "done"}
    manifest = out / "manifest.jsonl"
    if lost == "figures":
        lines = [json.loads(line) for line in manifest.read_text().splitlines()]
        assert any(line.pop("figures") for line in lines)
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        manifest.unlink()
    (out / SUMMARY_NAME).unlink()
    assert sum(outcome.skipped for outcome in run(folder, out)) == 2
    assert {name: row for name, row in rows(out).items() if row["state"] == "done"} == expected
    assert sum(outcome.skipped for outcome in run(folder, out)) == 2


def test_an_interrupted_batch_has_the_rows_of_what_it_did(folders):
    folder, out = folders
    config = EstimateConfig()
    outcomes = run_batch(plan_batch(folder, out, config=config), config)
    assert next(outcomes).summary is not None
    outcomes.close()
    assert set(rows(out)) == {"a.mp4", "pipe.mp4"}


def test_a_file_of_others_is_not_replaced(folders):
    folder, out = folders
    out.mkdir()
    (out / SUMMARY_NAME).write_text("my,own,table\n")
    with pytest.raises(OutputError, match=r"is not a summary of dcpose.*rename it"):
        run(folder, out)
    assert PRODUCT.files_in(out) == [SUMMARY_NAME]
    assert (out / SUMMARY_NAME).read_text() == "my,own,table\n"
    (out / SUMMARY_NAME).unlink()
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir):
        make(out / SUMMARY_NAME)
        with pytest.raises(OutputError, match=r"no file.*rename it"):
            run(folder, out)
        (out / SUMMARY_NAME).rmdir() if (out / SUMMARY_NAME).is_dir() else (out / SUMMARY_NAME).unlink()


def test_figures_travel_through_the_manifest(tmp_path):
    figures = Figures(frames=10, people=2, coverage=0.9, confidence=0.5, gaps=3, interpolated=0.1, doubtful_seconds=4)
    line = Line(input="a,b\n.mp4", state="done", output="a.mp4", frames=10, tracks=2, code=8, reason="12 %")
    line = replace(line, figures=figures)
    assert parse(line.text().encode()) == line
    assert write_summary(tmp_path, {line.input: line})
    (row,) = rows(tmp_path).values()
    assert row["video"] == repr("a,b\n.mp4")  # a name with a line end, written out
    assert [row[name] for name in COLUMNS[2:10]] == ["8", "2", "10", "0.9000", "0.5000", "3", "0.1000", "4"]
    assert not write_summary(tmp_path, {line.input: line})


def test_the_manifest_of_an_older_version_is_read(folders):
    folder, out = folders
    run(folder, out)
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    (old,) = (line for line in lines if line["input"] == "a.mp4")
    del old["figures"]
    assert parse(json.dumps(old).encode()) == replace(read_manifest(out)["a.mp4"], figures=None)
