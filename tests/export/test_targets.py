"""Targets of conversions, for every format: what is never replaced, what is refused, and what a failure leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpose_cli.errors import OutputError, UsageError
from dcpose_cli.export.formats import FORMATS, convert
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


@pytest.mark.parametrize("name", FORMATS)
def test_outputs_are_never_replaced_unasked(tmp_path: Path, name: str, product: Any) -> None:
    product.require_package(FORMATS[name])
    with PoseTrackWriter(tmp_path / "r.json", {"time_base": "1/25", "height": 60}) as writer:
        somebody = Person(0, np.array([10, 10, 20, 30], np.float32), 0.5, np.full((17, 3), 0.5, np.float32))
        writer.write(FrameResult(0, 0, 0.0, (somebody,)))
    out = tmp_path / f"x{FORMATS[name].suffix}"
    first = convert(tmp_path / "r.json", out, name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) >= 2
    with pytest.raises(OutputError, match="--overwrite"):
        convert(tmp_path / "r.json", out, name)
    assert convert(tmp_path / "r.json", out, name, overwrite=True) == first
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    if name in ("nwb", "rerun", "deeplabcut"):  # their libraries write random numbers and the time of the day
        assert after.keys() == before.keys()
    else:
        assert after == before
    if name in ("csv", "parquet"):  # one of the other tables is reason enough
        for removed, left in ((out, "x_angles"), (first[1], "x_quality")):
            removed.unlink()
            with pytest.raises(OutputError, match=left):
                convert(tmp_path / "r.json", out, name)


def test_a_folder_of_something_else_is_not_replaced(real: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years")
    with pytest.raises(OutputError, match=r"thesis\.txt"):
        convert(real, tmp_path / "precious", "openpose", overwrite=True)
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years"
    (tmp_path / "empty").mkdir()
    convert(real, tmp_path / "empty", "openpose")
    assert len(list((tmp_path / "empty").iterdir())) == 6
    with pytest.raises(OutputError, match="no folder"):
        convert(real, tmp_path / "empty" / "empty_000000000010_keypoints.json", "openpose", overwrite=True)


def test_wrong_uses(real: Path, tmp_path: Path) -> None:
    for options, says in (
        ({"to": "xml"}, "posetrack18, posetrack21"),
        ({"to": "csv"}, r"\.csv"),
        ({"to": "posetrack18", "metres_per_pixel": 1.0}, "trc"),
        ({"to": "posetrack18", "fps": "fast"}, "frame rate"),
        ({"to": "posetrack18", "fps": "0"}, "frame rate"),
        ({"to": "posetrack18", "fps": "1/0"}, "frame rate"),
    ):
        with pytest.raises(UsageError, match=says):
            convert(real, tmp_path / "x.json", **options)
    for metres in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="positive"):
            convert(real, tmp_path / "x.trc", "trc", metres_per_pixel=metres)
    with pytest.raises(UsageError, match="is the input"):
        convert(real, real, "posetrack18", overwrite=True)
    with pytest.raises(OutputError, match="not a folder"):
        convert(real, real / "x.csv", "csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_disk_full_leaves_nothing(
    real: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, product: Any
) -> None:
    product.require_package(FORMATS[name])

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    for place in ("write_lists", "write_list"):
        for module in ("results.serialization", "export.posetrack17", "export.posetrack21", "export.coco"):
            monkeypatch.setattr(f"dcpose_cli.{module}.{place}", full, raising=False)
    monkeypatch.setattr("polars.DataFrame.write_csv", full)
    monkeypatch.setattr("polars.DataFrame.write_parquet", full)
    monkeypatch.setattr("pathlib.Path.write_text", full)
    for place in ("trc._cells", "jsonl.line_of", "deeplabcut.csv.writer", "bvh.motion_of", "xlsx.ZipFile.writestr"):
        monkeypatch.setattr(f"dcpose_cli.export.{place}", full)
    monkeypatch.setattr("shutil.copyfile", full)
    monkeypatch.setattr("dcpose_cli.export.mot.written", full)
    monkeypatch.setattr("dcpose_cli.results.posetrack.PoseTrackWriter._join", full)
    with pytest.raises(OutputError, match="disk full"):
        convert(real, tmp_path / f"x{FORMATS[name].suffix}", name)
    assert list(tmp_path.iterdir()) == []


def test_an_older_folder_survives_a_failed_replacement(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(real, tmp_path / "poses", "openpose")
    before = {path.name: path.read_bytes() for path in (tmp_path / "poses").iterdir()}
    rename, refused = Path.rename, []

    def refuse(self: Path, target: Path) -> Path:
        if target == tmp_path / "poses" and not refused:
            refused.append(target)
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr("dcpose_cli.export._outputs.exchange", lambda first, second: False)  # as on Windows
    with pytest.raises(OutputError, match="Input/output error"):
        convert(real, tmp_path / "poses", "openpose", overwrite=True, kpt_thr=0.6)
    assert {path.name: path.read_bytes() for path in (tmp_path / "poses").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["poses"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("to", ["deeplabcut", "deeplabcut-csv", "sleap", "nwb", "trc", "c3d"])
def test_a_place_for_every_track_in_every_frame_has_an_end(tmp_path: Path, to: str) -> None:
    """Three megabytes, with a new track in every frame, would be laid out as gigabytes."""
    needs = FORMATS[to].needs
    if needs is not None:
        pytest.importorskip(needs[0], reason=f"needs dcpose[{needs[1]}]")
    with PoseTrackWriter(tmp_path / "a.json", {"time_base": "1/25", "fps": "25/1"}) as out:
        for index in range(2500):
            person = Person(index, np.array([1, 2, 30, 40], np.float32), 0.8, np.ones((17, 3), np.float32))
            out.write(FrameResult(index, index, index / 25, (person,)))
    with pytest.raises(
        UsageError, match=r"2,500 tracks in each of 2,500 frames is too much; choose tracks with --track"
    ):
        convert(tmp_path / "a.json", tmp_path / f"x{FORMATS[to].suffix}", to)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
