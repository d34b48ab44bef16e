"""Metres, floor and frame rate: the same options in `convert` and in `export-json`, and the same files."""

from __future__ import annotations

import pytest

from dcpose_cli import UsageError, estimate, export_json
from dcpose_cli.config import Measures
from dcpose_cli.export.formats import require_measures
from dcpose_cli.results import read_posetrack

SCALE = ["--metres-per-pixel", "0.01", "--floor-angle", "2", "--resample-fps", "40", "--largest"]


@pytest.fixture(scope="module")
def people(dcpose, clip, tmp_path_factory):
    """A result of the clip."""
    out = tmp_path_factory.mktemp("people") / "r.json"
    done = dcpose("export-json", clip, "-o", out, *dcpose.models)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("source", ["video", "result"])
@pytest.mark.parametrize(("to", "name"), [("trc", "x.trc"), ("bvh", "x.bvh")])
def test_export_json_writes_what_convert_writes(dcpose, clip, people, tmp_path, source, to, name):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    args = [clip, *dcpose.models] if source == "video" else [people]
    done = dcpose("export-json", *args, "--format", to, "-o", tmp_path / "a" / name, *SCALE)
    assert done.returncode == 0, done.stderr
    assert dcpose("convert", people, "--to", to, "-o", tmp_path / "b" / name, *SCALE).returncode == 0
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert dcpose("convert", people, "--to", to, "-o", tmp_path / "c.trc" if to == "trc" else tmp_path / "c.bvh",
                  "--largest").returncode == 0  # fmt: skip
    assert (tmp_path / f"c.{to}").read_bytes() != (tmp_path / "a" / name).read_bytes()


def test_the_native_json_can_be_resampled(dcpose, clip, product, tmp_path):
    done = dcpose("export-json", clip, "-o", tmp_path / "x.json", *dcpose.models, "--resample-fps", "50")
    assert done.returncode == 0, done.stderr
    result = read_posetrack(tmp_path / "x.json")
    assert result.header["fps"] == "50/1"
    assert [frame.time for frame in result.frames] == pytest.approx([i / 50 for i in range(23)])
    assert product.files_in(tmp_path) == ["x.json"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--format", "csv", "--person-height", "1.8"], "not for the format csv"),
        (["--person-height", "1.8"], "not for the format posetrack18"),
        (["--format", "trc", "--floor-angle", "auto"], "a floor needs metres"),
        (["--format", "trc", "--person-height", "1.8", "--metres-per-pixel", "1"], "exclude each other"),
        (["--format", "trc", "--person-height", "180"], "0.2 to 3"),
        (["--format", "trc", "--person-height", "1.8", "--floor-angle", "steep"], "--floor-angle is auto"),
        (["--format", "trc", "--resample-fps", "many"], "not a frame rate"),
        (["--boxes", "b.json", "--resample-fps", "50"], "measures are for videos"),
        (["--format", "jsonl", "--out", "-", "--resample-fps", "50"], "lines on stdout"),
    ],
)
def test_measures_that_cannot_be_are_found_before_any_work(dcpose, product, clip, tmp_path, monkeypatch, args, says):
    monkeypatch.setattr("dcpose_cli.estimator.PoseEstimator.from_config", lambda _: pytest.fail("a model was loaded"))
    ending = ".trc" if "trc" in args else ".csv" if "csv" in args else ".json"
    out = [] if "--out" in args else ["--out", tmp_path / f"x{ending}"]
    done = dcpose("export-json", clip, *out, *args)
    assert done.returncode == 2, done.stderr
    assert says in product.one_line(done)
    assert product.files_in(tmp_path) == []


def test_the_library_takes_them_too(clip, product, tiny_folder, tmp_path):
    from dcpose_cli import PoseEstimator

    people = PoseEstimator(tiny_folder, "cpu", detector=product.Crowd(count=1))
    measures = Measures(metres_per_pixel=0.01, resample_fps="50")
    export_json(clip, tmp_path / "x.trc", to="trc", measures=measures, estimator=people)
    assert (tmp_path / "x.trc").read_text().splitlines()[2].split("\t")[:5] == ["50", "50", "23", "17", "m"]
    with pytest.raises(UsageError, match="not for the format"):
        export_json(clip, tmp_path / "x.csv", to="csv", measures=measures, estimator=people)
    with pytest.raises(UsageError, match="not a frame rate"):
        require_measures("csv", Measures(resample_fps="0"))
    assert estimate(clip, None, estimator=people, json=tmp_path / "e.json").frames == 12
