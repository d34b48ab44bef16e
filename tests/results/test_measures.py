"""Real time of slow motion, and lengths and angles of pixels that are not square, through every export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dcpose_cli import InputError, UsageError
from dcpose_cli.export.formats import FORMATS, convert
from dcpose_cli.render.results import smooth_result
from dcpose_cli.report.page import write_report
from dcpose_cli.results import read_posetrack
from dcpose_cli.results.measures import pixel_aspect, real_rate, shot_with

PLAYED, SHOT = 25, 240


@pytest.fixture
def slow(real: Path, tmp_path: Path) -> Path:
    """A result that plays at 25 frames per second and was shot with 240."""
    assert convert(real, tmp_path / "slow.json", "posetrack18", shot_fps=SHOT) == [tmp_path / "slow.json"]
    return tmp_path / "slow.json"


def steps(path: Path) -> np.ndarray:
    times = pl.read_csv(path)["time"].unique().sort().to_numpy()
    return np.diff(times)


def test_times_of_slow_motion_in_every_export(real: Path, slow: Path, tmp_path: Path) -> None:
    header = json.loads(slow.read_text())["dcpose"]
    before = json.loads(real.read_text())["dcpose"]
    assert header["shot_fps"] == "240/1"
    assert (header["pts"], header["time_base"], header["fps"]) == (before["pts"], before["time_base"], before["fps"])
    frames = read_posetrack(slow).frames
    first = frames[0]
    assert [f.time - first.time for f in frames] == pytest.approx([(f.index - first.index) / SHOT for f in frames])
    convert(slow, tmp_path / "slow.csv", "csv")
    assert steps(tmp_path / "slow.csv") == pytest.approx(1 / SHOT, abs=2e-6)
    convert(slow, tmp_path / "slow.trc", "trc", track=frames[0].people[0].track_id)
    _, names, values, *_ = (tmp_path / "slow.trc").read_text().splitlines()
    assert dict(zip(names.split("\t"), values.split("\t"), strict=True))["DataRate"] == "240"
    convert(slow, tmp_path / "slow17.json", "posetrack17")
    convert(tmp_path / "slow17.json", tmp_path / "again.csv", "csv")
    assert steps(tmp_path / "again.csv") == pytest.approx(1 / SHOT, abs=2e-6)


@pytest.mark.parametrize("to", [name for name in FORMATS if name != "posetrack18"])
def test_the_rate_given_to_convert_is_that_of_the_result(
    real: Path, slow: Path, tmp_path: Path, to: str, product: Any
) -> None:
    product.require_package(FORMATS[to])
    for name, source, options in (("a", real, {"shot_fps": "240"}), ("b", slow, {})):
        (tmp_path / name).mkdir()
        convert(source, tmp_path / name / f"x{FORMATS[to].suffix}", to, **options)
    made = {n: {p.name: p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()} for n in "ab"}
    if to.startswith("posetrack"):  # the header's keys may have another order
        [a], [b] = (list(map(json.loads, made[name].values())) for name in "ab")
        assert a == b
    # Some libraries write the time of the day or random numbers; xlsx holds the header, whose keys have an order.
    own = ("nwb", "sleap", "rerun", "deeplabcut", "xlsx")
    assert made["a"] == made["b"] or to.startswith("posetrack") or to in own
    assert made["a"].keys() == made["b"].keys()


def test_smoothing_of_slow_motion_works_on_real_time(real: Path, slow: Path, tmp_path: Path) -> None:
    smooth_result(slow, tmp_path / "a.json")
    smooth_result(real, tmp_path / "b.json", shot_fps="240")
    smooth_result(real, tmp_path / "c.json")
    a, b, c = (read_posetrack(tmp_path / f"{name}.json") for name in "abc")
    joints = [np.stack([p.keypoints for f in one.frames for p in f.people]) for one in (a, b, c)]
    np.testing.assert_array_equal(joints[0], joints[1])
    assert np.abs(joints[0] - joints[2]).max() > 0.5
    assert a.frames[1].time - a.frames[0].time == pytest.approx(1 / SHOT)


def test_the_report_plays_at_the_speed_of_the_video(real: Path, slow: Path, tmp_path: Path) -> None:
    pages = [write_report(path, tmp_path / f"{path.stem}.html").page.read_text() for path in (real, slow)]
    data = [page.partition('id="data"')[2].partition("</script>")[0] for page in pages]
    assert data[0] == data[1] != ""


def test_rates_that_cannot_be(real: Path, tmp_path: Path) -> None:
    for rate in ("fast", "0", "-240", "1/0"):
        with pytest.raises(UsageError, match="not a frame rate"):
            shot_with(read_posetrack(real), rate)
    data = json.loads(real.read_text())
    data["dcpose"]["shot_fps"] = "many"
    (tmp_path / "bad.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="shot_fps is 'many'"):
        read_posetrack(tmp_path / "bad.json")


def test_a_result_without_a_rate_gets_it_from_its_frames(real: Path) -> None:
    result = read_posetrack(real)
    result.header["fps"] = None
    slow = shot_with(result, 240)
    assert (slow.header["fps"], real_rate(slow.header)) == ("25/1", pytest.approx(240))


def test_angles_and_metres_of_pixels_that_are_not_square(real: Path, tmp_path: Path) -> None:
    """The same joints in stored pixels of both shapes."""
    data = json.loads(real.read_text())
    assert data["dcpose"]["pixel_aspect"] == "1/1"
    track = data["annotations"][0]["track_id"]
    data["dcpose"] |= {"pixel_aspect": "4/3", "width": round(data["dcpose"]["width"] * 3 / 4)}
    for entry in data["annotations"]:
        entry["keypoints"][::3] = [x * 3 / 4 for x in entry["keypoints"][::3]]
        entry["bbox"] = [value * (3 / 4 if at % 2 == 0 else 1) for at, value in enumerate(entry["bbox"])]
    (tmp_path / "narrow.json").write_text(json.dumps(data))
    for name, source in (("wide", real), ("narrow", tmp_path / "narrow.json")):
        convert(source, tmp_path / f"{name}.csv", "csv")
        convert(source, tmp_path / f"{name}.trc", "trc", track=track, metres_per_pixel=0.01)
        convert(source, tmp_path / f"{name}_px.trc", "trc", track=track)
    wide, narrow = (pl.read_csv(tmp_path / f"{n}_angles.csv")["degrees"].to_numpy() for n in ("wide", "narrow"))
    assert np.nanmax(np.abs(wide - narrow)) < 0.1
    for ending, tolerance in (("", 2e-4), ("_px", 0.02)):
        rows = [np.genfromtxt(tmp_path / f"{n}{ending}.trc", skip_header=6) for n in ("wide", "narrow")]
        np.testing.assert_allclose(*rows, atol=tolerance)


@pytest.mark.parametrize("text", ["0/1", "-4/3", "wide", None, 7e99, "1/0"])
def test_an_aspect_that_cannot_be_counts_as_square(text: object) -> None:
    assert pixel_aspect({"pixel_aspect": text}) == 1
    assert pixel_aspect({}) == 1
    assert pixel_aspect({"pixel_aspect": "4/3"}) == pytest.approx(4 / 3)
