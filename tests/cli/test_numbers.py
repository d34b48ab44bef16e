"""Numbers that Python reads and nobody means: inf, nan and negative ones as the value of an option."""

from __future__ import annotations

import pytest

from dcpose_cli import convert
from dcpose_cli.errors import UsageError
from dcpose_cli.evaluation.evaluate import evaluate
from dcpose_cli.render.redraw import RenderConfig, render

#: Option -> values that are refused, besides inf, -inf and nan.
VIDEO = {
    "--start": ["-1"],
    "--end": ["-1", "0"],
    "--max-frames": ["-1", "0"],
    "--fps": ["-1", "0", "1/0", "1e300", "1e999999999", "9" * 5000],
    "--shot-fps": ["-1", "0", "1/0", "1e999999999"],
    "--conf": ["-1", "1.5"],
    "--keep-conf": ["-1", "1.5"],
    "--track-iou": ["-1", "1.5"],
    "--track-memory": ["-1", "1e300"],
    "--kpt-thr": [],
    "--min-height": ["-1", "0"],
    "--batch": ["-1", "0"],
    "--interval": ["-1", "0"],
    "--detect-every": ["-1", "0"],
    "--detect-size": ["-1", "0", "²", "9" * 5000],
    "--max-people": ["-1", "0", "9" * 5000],
    "--roi": ["0,0,inf,10", "nan,0,10,10", "0,0,-1,10"],
    "--track": ["9" * 5000],
}
RESULT = {
    "smooth": {"--shot-fps": ["-1", "0"], "--min-height": ["-1", "0"]},
    "smooth --method butterworth": {"--cutoff": ["-1", "0"], "--order": ["-1", "0"]},
    "smooth --method median": {"--window": ["-1", "0"]},
    "render": {"--kpt-thr": [], "--trails": ["-1", "1e300"]},
    "convert --to trc": {
        "--kpt-thr": [],
        "--metres-per-pixel": ["-1", "0"],
        "--person-height": ["-1", "0"],
        "--floor-angle": [],
        "--resample-fps": ["-1", "0", "1e-999999999"],
        "--fps": ["-1", "0"],
        "--shot-fps": ["-1", "0"],
    },
    "evaluate": {"--kpt-thr": [], "--min-height": ["-1", "0"]},
}


def refused(values):
    return [*values, "inf", "-inf", "nan"]


@pytest.mark.parametrize("option", VIDEO)
def test_videos(dcpose, product, clip, tmp_path, option):
    for value in refused(VIDEO[option]):
        result = dcpose.estimate(clip, "-o", tmp_path / "x.mp4", f"{option}={value}")
        assert result.returncode == 2, (value, result.stderr)
        product.one_line(result)
    assert product.files_in(tmp_path) == []


@pytest.mark.parametrize("command", RESULT)
def test_results(dcpose, product, clip, native, real, tmp_path, command):
    name, *method = command.split()
    out = {"render": "x.mp4", "convert": "x.trc"}.get(name, "x.json")
    given = (clip, real) if name == "render" else (real, real) if name == "evaluate" else (real,)
    target = () if name == "evaluate" else ("-o", tmp_path / out)
    for option, values in RESULT[command].items():
        for value in refused(values):
            result = dcpose(name, *given, *target, *method, f"{option}={value}")
            assert result.returncode == 2, (option, value, result.stderr)
            product.one_line(result)
    assert product.files_in(tmp_path) == []


@pytest.mark.parametrize("setting", ["conf", "end", "kpt-thr", "track-memory"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_files_of_settings(dcpose, product, clip, tmp_path, setting, value):
    (tmp_path / "s.toml").write_text(f"{setting} = {value}\n")
    result = dcpose.estimate(clip, "-o", tmp_path / "x.mp4", "--config", tmp_path / "s.toml")
    assert result.returncode == 2
    assert f"--{setting} must be a number" in product.one_line(result)


@pytest.mark.parametrize("options", [("--threads", "-1"), ("--threads", "0"), ("--workers", "-1"), ("--stages", "inf")])
def test_trainings(dcpose, product, posetrack_root, tiny_model, tmp_path, options):
    stage = "[stage1]\nepochs = 1\nbatch = 2\n"
    data = '[data]\nformat = "coco"\ntrain = "coco_train.json"\nval = "coco_val.json"\n'
    (tmp_path / "r.toml").write_text(f'name = "own"\n{data}{stage}{tiny_model}')
    places = ("--out", tmp_path / "model", "--work", tmp_path / "work", "--device", "cpu")
    result = dcpose("train", tmp_path / "r.toml", "--data", posetrack_root, *places, *options)
    assert result.returncode == 2, result.stderr
    assert options[0] in product.one_line(result)
    assert product.files_in(tmp_path) == ["r.toml"]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_the_library(clip, real, tmp_path, value):
    with pytest.raises(UsageError, match="--kpt-thr"):
        convert(real, tmp_path / "x.json", "posetrack18", kpt_thr=value)
    with pytest.raises(UsageError, match="--kpt-thr"):
        evaluate(real, real, kpt_thr=value)
    with pytest.raises(UsageError, match="--kpt-thr"):
        render(clip, real, tmp_path / "x.mp4", config=RenderConfig(kpt_thr=value))
    assert list(tmp_path.iterdir()) == []
