"""Settings that cannot be meant: every command and function says so before anything is loaded or written."""

from __future__ import annotations

from dataclasses import fields

import pytest

from dcpose_cli import DCPoseError, DeviceError, EstimateConfig, PoseEstimator, UsageError, estimate, export_json
from dcpose_cli.batch import plan_batch, run_batch
from dcpose_cli.config import Selection
from dcpose_cli.config_checks import CHECKS, require_config, require_settings
from dcpose_cli.evaluation.compare import compare
from dcpose_cli.frame_folders import export_dataset
from dcpose_cli.streaming import stream

NAN = float("nan")
#: Field -> values that are none, and what the message says of them.
WRONG = {
    "ensemble": [
        (",".join(map(str, range(9))), "--ensemble names 9 models, 8 are the most"),
        ("a, b,a", "--ensemble names a twice"),
    ],
    "device": [("tpu", "unknown device 'tpu'"), ("cuda:x", "unknown device"), ("cpu,cuda:0", "several devices")],
    "engine": [("abacus", "there is no engine 'abacus'; use auto, torch, openvino, onnx")],
    "precision": [("int4", "unknown precision 'int4'")],
    "batch": [(0, "--batch must be at least 1, got 0")],
    "conf": [(1.5, "--conf must lie between 0 and 1, got 1.5"), (NAN, "--conf")],
    "keep_conf": [(-0.1, "--keep-conf must lie between 0 and 1"), (NAN, "--keep-conf"), (0.5, "above --conf 0.4")],
    "tracker": [("nonsense", "there is no tracker 'nonsense'; use dcpose or bytetrack")],
    "track_iou": [(7.0, "--track-iou must lie between 0 and 1, got 7")],
    "track_memory": [(-1.0, "--track-memory must lie between 0 and 3600 seconds")],
    "kpt_thr": [(7.0, "--kpt-thr must be at most 1"), (NAN, "--kpt-thr")],
    "interval": [(0, "--interval must be at least 1")],
    "box_scale": [(0.0, "the box scale must lie between 0.1 and 10")],
    "detect_every": [(0, "--detect-every must be at least 1, got 0")],
    "detect_size": [("31", "--detect-size must be auto or a number"), ("big", "--detect-size")],
    "smooth": [("kalman", "unknown smoothing 'kalman'")],
    "selection": [(Selection(max_people=0), "--max-people must be at least 1")],
    "fps": [("0", "'0' is not a frame rate")],
    "shot_fps": [("fast", "'fast' is not a frame rate")],
    "hwaccel": [("abacus", "no 'abacus' hardware decoder is here")],
    "deinterlace": [("maybe", "unknown --deinterlace 'maybe'")],
    "start": [(-1.0, "start -1.0 is not a time")],
    "end": [(0.0, "end 0.0 is not after the start")],
    "max_frames": [(0, "a limit of 0 frames")],
}
#: Switches, and names of files and folders.
UNCHECKED = {
    *("model", "detector", "fill", "flip_test", "share_crops", "fix_swaps", "audio", "json", "overwrite"),
    *("offline", "allow_network", "resume"),
}
EACH = [(name, value, says) for name, values in WRONG.items() for value, says in values]


def test_every_setting_is_checked_or_free():
    names = {field.name for field in fields(EstimateConfig)}
    assert names == {*WRONG, *UNCHECKED}
    assert {*CHECKS, "start", "end", "max_frames"} == set(WRONG)


@pytest.mark.parametrize(("name", "value", "says"), EACH)
def test_each_is_refused_with_its_option(name, value, says):
    with pytest.raises(DCPoseError, match=says):
        require_config(EstimateConfig(**{name: value}))


def test_the_defaults_and_odd_but_possible_settings_are_not():
    require_config(EstimateConfig())
    require_config(EstimateConfig(ensemble=" a,b, ,"))
    require_config(EstimateConfig(device="cuda:0,cuda:1"), one_device=False)
    require_config(EstimateConfig(device="all"), one_device=False)
    require_config(EstimateConfig(kpt_thr=-1.0, track_memory=0, fps="30000/1001", detect_size="640", batch=1, conf=0))
    for names in ("cuda:0,tpu", "tpu,cpu"):
        with pytest.raises(UsageError, match="unknown device 'tpu'"):
            require_config(EstimateConfig(device=names), one_device=False)


def test_the_least_score_of_a_known_person_is_not_above_that_of_a_new_one():
    """The default goes down with --conf, as `--conf 0.05` alone means it; an own value above --conf is a mistake."""
    assert EstimateConfig(conf=0.05).tracked_conf == 0.05
    assert EstimateConfig(conf=0.4, keep_conf=0.2).tracked_conf == 0.2
    require_config(EstimateConfig(conf=0.05))
    require_config(EstimateConfig(conf=0.4, keep_conf=0.4))
    with pytest.raises(UsageError, match=r"--keep-conf 0\.27 is above --conf 0\.2, .*; raise --conf, or lower"):
        require_config(EstimateConfig(conf=0.2, keep_conf=0.27))
    with pytest.raises(UsageError, match=r"--keep-conf 0\.5 is above --conf 0\.4"):
        require_settings(keep_conf=0.5)


def test_a_precision_that_the_device_lacks():
    with pytest.raises(UsageError, match="fp16 is slow"):
        require_config(EstimateConfig(device="cpu", precision="fp16"))


def test_a_tracker_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "trackers", None)
    with pytest.raises(UsageError, match=r"the tracker bytetrack needs the package trackers; .*dcpose\[trackers\]"):
        require_config(EstimateConfig(tracker="bytetrack"))


NONSENSE = EstimateConfig(tracker="nonsense", overwrite=True)


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    monkeypatch.setattr("dcpose_cli.estimator.open_model", lambda *_: pytest.fail("a model was loaded"))
    monkeypatch.setattr("dcpose_cli.evaluation.compare._run_process", lambda *_: pytest.fail("a model ran"))


@pytest.mark.usefixtures("nothing_is_loaded")
def test_functions_of_the_library_check_first(clip, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(clip.read_bytes())
    out = tmp_path / "out"
    plan = plan_batch(tmp_path / "videos", out)
    for call in (
        lambda: estimate(clip, out / "a.mp4", config=NONSENSE),
        lambda: export_json(clip, out / "a.json", config=NONSENSE),
        lambda: next(stream(clip, config=NONSENSE)),
        lambda: next(run_batch(plan, NONSENSE)),
        lambda: compare(clip, ["auto"], None, config=NONSENSE),
        lambda: export_dataset(tmp_path, tmp_path / "none.json", out, config=NONSENSE),
        lambda: PoseEstimator(tracker="nonsense"),
        lambda: PoseEstimator.from_config(NONSENSE),
    ):
        with pytest.raises(UsageError, match="no tracker 'nonsense'"):
            call()
    assert not out.exists()


COMMANDS = {
    "estimate": lambda clip, tmp: ("estimate", clip, "-o", tmp / "o.mp4"),
    "dry estimate": lambda clip, tmp: ("estimate", clip, "-o", tmp / "o.mp4", "--dry-run"),
    "export": lambda clip, tmp: ("export-json", clip, "-o", tmp / "o.json"),
    "lines": lambda clip, tmp: ("export-json", clip, "-o", "-", "--format", "jsonl"),
    "pictures": lambda clip, tmp: ("export-json", tmp / "in", "--boxes", tmp / "in" / "b.json", "-o", tmp / "o"),
    "batch": lambda clip, tmp: ("batch", tmp / "in", "-o", tmp / "o"),
    "dry batch": lambda clip, tmp: ("batch", tmp / "in", "-o", tmp / "o", "--dry-run"),
    "compare": lambda clip, tmp: ("compare", clip, "--models", "auto", "--json", tmp / "o.json"),
}


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_check_first(dcpose, product, clip, tmp_path, command):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    before = product.files_in(tmp_path)
    for options, says in (
        (("--tracker", "nonsense"), "there is no tracker 'nonsense'"),
        (("--track-iou", "7"), "--track-iou must lie between 0 and 1, got 7"),
        (("--keep-conf", "0.9"), "--keep-conf 0.9 is above --conf 0.4"),
        (("--precision", "int4"), "unknown precision"),
        (("--device", "tpu"), "unknown device"),
    ):
        done = dcpose(*COMMANDS[command](clip, tmp_path), *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert says in product.one_line(done)
    assert product.files_in(tmp_path) == before


def test_a_dry_run_knows_the_models(dcpose, product, clip, tmp_path):
    for options in (("--model", "nonsense"), ("--ensemble", "nonsense")):
        done = dcpose("estimate", clip, "-o", tmp_path / "o.mp4", "--dry-run", *options)
        assert done.returncode == 5
        assert "there is no such model" in product.one_line(done)


def test_a_batch_that_fails_at_its_start_leaves_no_manifest(clip, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(clip.read_bytes())
    out = tmp_path / "out"

    def broken(*_):
        raise DeviceError("out of memory")
        yield

    plan = plan_batch(tmp_path / "videos", out)
    with pytest.raises(DeviceError):
        list(run_batch(plan, EstimateConfig(), runner=broken))
    assert list(out.iterdir()) == []


def test_a_repeated_batch_is_not_outdated_by_a_low_conf(dcpose, clip, tmp_path):
    """The header has the --keep-conf that held, and the plan asks for the same."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    command = ("batch", tmp_path / "in", "-o", tmp_path / "o", "--conf", "0.05", "--max-frames", "2", *dcpose.models)
    assert dcpose(*command, "-q").returncode == 0
    again = dcpose(*command)
    assert again.returncode == 0
    assert "other settings" not in again.stderr
    assert "1 finished before" in again.stderr
