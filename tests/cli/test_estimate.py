"""`dcpose estimate` and `export` as a user runs them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import av
import pytest

from dcpose_cli.cli.commands import report_summary
from dcpose_cli.people.download import is_stock
from dcpose_cli.types import DecodeReport, EstimateSummary
from dcpose_cli.video import hwaccel


def read(path):
    return json.loads(path.read_text())


def pts_of(path):
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(video=0)]


@pytest.fixture
def refuses(dcpose, product, monkeypatch):
    """Runs a command that must fail before a model is loaded; gives its message."""

    def loads(*_args, **_options):
        raise AssertionError("a model was loaded")

    def check(code, *args):
        monkeypatch.setattr("dcpose_cli.estimator.PoseEstimator.from_config", loads)
        result = dcpose(*args)
        assert result.returncode == code, result.stderr
        return product.one_line(result)

    return check


def test_video_and_json(dcpose, product, clip, tmp_path):
    result = dcpose.estimate(clip, "-o", tmp_path / "out.mp4")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    [line] = result.stderr.splitlines()
    assert "out.mp4" in line
    assert "12 frames" in line
    assert product.files_in(tmp_path) == ["out.json", "out.mp4"]
    data = read(tmp_path / "out.json")
    assert data["dcpose"]["video"] == hashlib.sha256((tmp_path / "out.mp4").read_bytes()).hexdigest()
    assert data["dcpose"]["input"] == {"name": "clip.mp4", "sha256": hashlib.sha256(clip.read_bytes()).hexdigest()}
    assert len(data["annotations"]) >= 12
    assert pts_of(tmp_path / "out.mp4") == pts_of(clip)


def test_quiet_says_nothing_and_another_json_name(dcpose, product, clip, tmp_path):
    result = dcpose.estimate(clip, "-o", tmp_path / "a.mkv", "--json", tmp_path / "b.json", "-q", "--max-frames", 3)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert product.files_in(tmp_path) == ["a.mkv", "b.json"]
    assert read(tmp_path / "b.json")["dcpose"]["frames"] == 3


def test_export_json_is_the_json_of_estimate(dcpose, product, clip, tmp_path):
    assert dcpose.estimate(clip, "-o", tmp_path / "a.mp4").returncode == 0
    assert dcpose("export", clip, "-o", tmp_path / "b.json", *dcpose.models).returncode == 0
    one, other = read(tmp_path / "a.json"), read(tmp_path / "b.json")
    assert one["dcpose"].pop("video")
    assert other["dcpose"].pop("video") is None
    assert one == other


def test_several_inputs_into_a_folder(dcpose, product, clip, tmp_path):
    shutil.copy(clip, tmp_path / "one.mp4")
    shutil.copy(clip, tmp_path / "two.mp4")
    inputs = [tmp_path / "one.mp4", tmp_path / "nothing.mp4", tmp_path / "two.mp4"]
    planned = dcpose("estimate", *inputs, "-o", tmp_path / "out", "--dry-run")
    assert planned.returncode == 7
    assert "one.mp4 -> " in planned.stderr
    assert not (tmp_path / "out").exists()
    result = dcpose.estimate(*inputs, "-o", tmp_path / "out", "--max-frames", 2)
    assert result.returncode == 7
    assert "no such file" in result.stderr
    names = ["one_pose.json", "one_pose.mp4", "two_pose.json", "two_pose.mp4"]
    assert product.files_in(tmp_path / "out") == names


def test_dry_run_writes_nothing(dcpose, product, clip, tmp_path):
    result = dcpose("estimate", clip, "-o", tmp_path / "out.mp4", "--dry-run")
    assert result.returncode == 0
    assert result.stderr == f"{clip} -> {tmp_path / 'out.mp4'}, {tmp_path / 'out.json'}\n"
    named = dcpose("estimate", clip, "-o", tmp_path / "out.mp4", "--json", tmp_path / "other.json", "--dry-run")
    assert named.stderr == f"{clip} -> {tmp_path / 'out.mp4'}, {tmp_path / 'other.json'}\n"
    assert product.files_in(tmp_path) == []


def test_default_output_is_in_the_working_folder(dcpose, product, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dcpose.estimate(clip, "--max-frames", 1).returncode == 0
    assert product.files_in(tmp_path) == ["clip_pose.json", "clip_pose.mp4"]


def test_long_names_stay_apart(dcpose, product, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{'A' * 240}_{side}.mp4" for side in ("left", "right")]
    for name in names:
        shutil.copy(clip, name)
    planned = dcpose("estimate", *names, "-o", "out", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    one, other = (line.partition(" -> ")[2] for line in planned.stderr.splitlines())
    assert one != other
    for name in names:
        assert dcpose.estimate(name, "--max-frames", 1).returncode == 0
    assert len(product.files_in(tmp_path)) == 6


def test_names_that_begin_with_a_dash(dcpose, product, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "-name.mp4")
    done = dcpose("estimate", *dcpose.models, "--max-frames", 1, "--", "-name.mp4")
    assert done.returncode == 0, done.stderr
    assert product.files_in(tmp_path) == ["-name.mp4", "-name_pose.json", "-name_pose.mp4"]
    monkeypatch.setattr("sys.argv", ["dcpose", "estimate", "-name.mp4"])
    assert "put -- before names" in product.one_line(dcpose("estimate", "-name.mp4"))


@pytest.mark.parametrize("text", ["0.2", "00:00:00.2", "0:0.2", "0:00,2"])
def test_times_as_users_write_them(dcpose, product, clip, tmp_path, text):
    done = dcpose.estimate(clip, "-o", tmp_path / "x.mp4", "--start", text, "--end", "0:00:00.28")
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "x.json")["dcpose"]["frames"] == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--start", "soon"], "not a time"),
        (["--end", "1:2:3:4"], "not a time"),
        (["--bogus"], "--bogus"),
        (["--interval", "two"], "--interval"),
        (["--conf", "1.5", "-o", "x.mp4"], "--conf"),
        (["--interval", "0", "-o", "x.mp4"], "--interval"),
        (["--batch", "0", "-o", "x.mp4"], "--batch"),
        (["--device", "abacus", "-o", "x.mp4"], "abacus"),
        (["--precision", "fp8", "-o", "x.mp4"], "fp8"),
        (["--start", "-1", "-o", "x.mp4"], "start"),
        (["--max-frames", "0", "-o", "x.mp4"], "limit"),
        (["-o", "x.avi"], ".mp4"),
        (["-o", "x.mp4", "--json", "x.mp4"], "one file"),
    ],
)
def test_wrong_options(dcpose, product, clip, tmp_path, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    result = dcpose("estimate", clip, "--model", dcpose.models[1], "--detector", dcpose.models[3], *options)
    assert result.returncode == 2, result.stderr
    assert says in product.one_line(result)
    assert product.files_in(tmp_path) == []


def test_missing_argument_and_unknown_command(dcpose, product):
    for args, says in ((["estimate"], "VIDEO"), (["estimat"], "estimat")):
        result = dcpose(*args)
        assert result.returncode == 2
        assert says in product.one_line(result)


def test_folder_points_to_batch(refuses, tmp_path):
    assert "dcpose batch" in refuses(2, "estimate", tmp_path, "-o", tmp_path / "x.mp4")


def test_missing_output_folders_are_made(dcpose, product, clip, tmp_path):
    for options in (
        ["-o", tmp_path / "new" / "folder" / "x.mp4"],
        ["-o", tmp_path / "y.mp4", "--json", tmp_path / "other" / "x.json"],
        ["-o", tmp_path / "third", "--resume"],
    ):
        done = dcpose.estimate(clip, *options, "--max-frames", 1)
        assert done.returncode == 0, done.stderr
    assert product.files_in(tmp_path) == [
        *("new/folder/x.json", "new/folder/x.mp4", "other/x.json"),
        *("third/clip_pose.json", "third/clip_pose.mp4", "y.mp4"),
    ]


@pytest.mark.parametrize("name", ["none/x.mp4", "none", "none/deep/x.mp4"])
def test_missing_output_folders_are_made_after_all_other_checks(dcpose, clip, tmp_path, name):
    for code, source, options in (
        (3, tmp_path / "gone.mp4", []),
        (2, clip, ["--interval", 0]),
        (2, clip, ["--start", 100]),
        (2, clip, ["--start", 100, "--resume"]),
        (2, clip, ["--smooth", "much"]),
    ):
        done = dcpose.estimate(source, "-o", tmp_path / name, *options)
        assert done.returncode == code, done.stderr
        assert list(tmp_path.iterdir()) == []


def test_output_folder_that_is_a_file(refuses, clip, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "file: not a folder" in refuses(4, "estimate", clip, "-o", tmp_path / "file" / "new" / "x.mp4")


def test_name_too_long(refuses, clip, tmp_path):
    assert "too long" in refuses(4, "estimate", clip, "-o", tmp_path / f"{'x' * 260}.mp4")


@pytest.mark.parametrize("name", ["x.mp4", "x.json"])
def test_existing_output_is_left_alone(refuses, clip, tmp_path, product, name):
    (tmp_path / name).write_bytes(b"precious")
    assert "--overwrite" in refuses(4, "estimate", clip, "-o", tmp_path / "x.mp4")
    assert (tmp_path / name).read_bytes() == b"precious"
    assert product.files_in(tmp_path) == [name]


@pytest.mark.parametrize("kind", ["same", "soft", "hard"])
def test_output_is_the_input(refuses, clip, tmp_path, kind):
    source = tmp_path / "in.mp4"
    shutil.copy(clip, source)
    target = source if kind == "same" else tmp_path / "out.mp4"
    if kind == "soft":
        target.symlink_to(source)
    elif kind == "hard":
        os.link(source, target)
    assert "is the input" in refuses(2, "estimate", source, "-o", target, "--overwrite")
    assert source.read_bytes() == clip.read_bytes()


def test_absent_cuda(dcpose, product, clip, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    result = dcpose("estimate", clip, "-o", tmp_path / "x.mp4", "--device", "cuda")
    assert result.returncode == 6
    assert "--device cpu" in product.one_line(result)
    assert product.files_in(tmp_path) == []


def test_json_that_cannot_follow_its_video(dcpose, product, clip, tmp_path, monkeypatch):
    from dcpose_cli.results import PoseTrackWriter

    def full(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PoseTrackWriter, "_join", full)
    result = dcpose.estimate(clip, "-o", tmp_path / "out.mp4", "--max-frames", 2)
    assert result.returncode == 4
    assert "out.json: disk full" in product.one_line(result)
    assert product.files_in(tmp_path) == []


def test_a_bug_is_one_line_and_a_traceback_with_debug(dcpose, product, clip, tmp_path, monkeypatch):
    def broken(*_args, **_options):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("dcpose_cli.estimator.PoseEstimator.analyse", broken)
    result = dcpose.estimate(clip, "-o", tmp_path / "x.mp4")
    assert result.returncode == 1
    assert "oops" in product.one_line(result)
    result = dcpose.estimate(clip, "-o", tmp_path / "x.mp4", "--debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "in broken" in result.stderr
    assert product.files_in(tmp_path) == []


@pytest.mark.parametrize("name", ["-", "pipe:0"])
@pytest.mark.parametrize("network", [(), ("--allow-network",)])
def test_pipes_are_refused(refuses, tmp_path, monkeypatch, name, network):
    monkeypatch.chdir(tmp_path)
    for args in (("estimate", name), ("estimate", name, "-o", "x.mp4"), ("export", name, "-o", "x.json")):
        assert f"dcpose: {name}: videos are not read from a pipe; write" in refuses(2, *args, *network)
    assert list(tmp_path.iterdir()) == []


def test_hardware_decoders_that_are_not_here(refuses, clip, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(clip.read_bytes())
    for args in (
        ("estimate", clip, "-o", tmp_path / "a.mp4"),
        ("export", clip, "-o", tmp_path / "a.json"),
        ("batch", folder, "-o", tmp_path / "out"),
    ):
        assert "no 'abacus' hardware decoder is here" in refuses(6, *args, "--hwaccel", "abacus")
    assert "--ray" in refuses(2, "batch", folder, "-o", tmp_path / "out", "--hwaccel", "auto", "--ray", "auto")
    pictures = ("export", folder, "--boxes", tmp_path / "boxes.json", "-o", tmp_path / "out")
    assert "--hwaccel is for videos" in refuses(2, *pictures, "--hwaccel", "auto")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_hardware_decoding_that_fails_is_silent_but_for_debug(dcpose, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(hwaccel, "hwdevices_available", lambda: ["cuda"])
    monkeypatch.setattr(hwaccel, "_is_here", lambda device: True)

    def fails(*_args):
        raise RuntimeError("the driver is too old")

    monkeypatch.setattr(hwaccel, "open_hardware", fails)
    assert dcpose.estimate(clip, "-o", tmp_path / "a.mp4", "-q").stderr == ""
    assert dcpose.estimate(clip, "-o", tmp_path / "b.mp4", "-q", "--hwaccel", "auto").stderr == ""
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    options = ("-q", "--overwrite", "--max-frames", 2, "--hwaccel")
    told = dcpose.estimate(clip, "-o", tmp_path / "b.mp4", *options, "auto", "--debug").stderr
    assert told.startswith("dcpose: debug: cuda cannot decode")
    assert "the driver is too old" in told
    told = dcpose.estimate(clip, "-o", tmp_path / "b.mp4", *options, "cuda").stderr
    assert told.startswith("dcpose: warning: ")
    assert told.endswith("was decoded by software: cuda cannot decode it\n")


def test_the_last_line_says_what_decoded(capsys):
    summary = EstimateSummary(Path("a"), None, Path("a.json"), 3, 3, 1, DecodeReport(3), 1.0, hwaccel="vaapi")
    assert report_summary(summary, quiet=False) == 0
    assert capsys.readouterr().err.endswith("3 frames, 1 track (1.0 s, 3.0 frames/s, decoded by vaapi)\n")


def test_whom_nobody_finds_is_told_of_a_detector_that_there_is(capsys):
    summary = EstimateSummary(Path("a"), None, Path("a.json"), 3, 0, 0, DecodeReport(3), 1.0)
    assert report_summary(summary, quiet=True) == 0
    said = capsys.readouterr().err
    assert "nobody was found in a; try --conf 0.1, or another detector, such as --detector yolov8n.pt " in said
    assert is_stock(said.partition("--detector ")[2].split()[0])
