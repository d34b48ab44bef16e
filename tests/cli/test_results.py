"""`dcpose convert`, `evaluate` and the formats and data sets of `export`, as a user runs them."""

from __future__ import annotations

import json
import os
import shutil

import cv2
import numpy as np
import pytest

from dcpose_cli.export.formats import FORMATS


@pytest.fixture(scope="module")
def result(dcpose, clip, tmp_path_factory):
    """The result of the clip; not to be written to."""
    out = tmp_path_factory.mktemp("result") / "clip.json"
    assert dcpose("export", clip, "-o", out, *dcpose.models, "-q").returncode == 0
    return out


@pytest.mark.parametrize("name", FORMATS)
def test_convert(dcpose, product, result, tmp_path, name):
    product.require_package(FORMATS[name])
    out = tmp_path / f"x{FORMATS[name].suffix}"
    done = dcpose("convert", result, "--to", name, "--out", out)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    [line] = done.stderr.splitlines()
    assert "12 frames" in line
    written = product.files_in(tmp_path)
    assert len(written) >= 1
    assert not any(name.endswith(".part") for name in written)
    assert dcpose("convert", result, "--to", name, "--out", out, "--overwrite", "-q").stderr == ""
    assert product.files_in(tmp_path) == written


@pytest.mark.parametrize(("ending", "name"), [(".trc", "trc"), (".JSONL", "jsonl"), (".txt", "mot")])
def test_the_ending_of_the_output_names_the_format(dcpose, product, result, tmp_path, ending, name):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder, options in (("a", []), ("b", ["--format", name])):
        done = dcpose("convert", result, "--out", tmp_path / folder / f"x{ending}", *options)
        assert done.returncode == 0, done.stderr
    names = product.files_in(tmp_path / "a")
    assert names == product.files_in(tmp_path / "b") != []
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("x.csv", ".csv can be csv or deeplabcut-csv; say which with --format"),
        ("x.json", ".json can be posetrack18 or posetrack21 or posetrack17 or coco; say which with --format"),
        ("x.xml", "its ending names no format; say which with --format: posetrack18, "),
        ("folder", "its ending names no format; say which with --format: posetrack18, "),
    ],
)
def test_an_ending_of_several_formats_or_of_none_is_asked_about(dcpose, product, result, tmp_path, out, says):
    done = dcpose("convert", result, "--out", tmp_path / out)
    assert done.returncode == 2
    assert says in product.one_line(done)
    assert product.files_in(tmp_path) == []


def test_export_json_goes_by_the_ending_too(dcpose, product, clip, tmp_path):
    done = dcpose("export-json", clip, "-o", tmp_path / "x.jsonl", *dcpose.models, "--max-frames", 2)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 2
    lines = dcpose("export-json", clip, "-o", "-", *dcpose.models, "--max-frames", 2)
    assert lines.stdout == (tmp_path / "x.jsonl").read_text()
    assert ".csv can be" in product.one_line(dcpose("export-json", clip, "-o", tmp_path / "x.csv", *dcpose.models))


@pytest.mark.parametrize("name", ["posetrack17", "csv", "openpose"])
def test_export_json_in_another_format_is_that_of_convert(dcpose, product, clip, result, tmp_path, name):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    target = f"x{FORMATS[name].suffix}"
    done = dcpose("export", clip, "--format", name, "-o", tmp_path / "a" / target, *dcpose.models)
    assert done.returncode == 0, done.stderr
    assert target in done.stderr
    assert dcpose("convert", result, "--to", name, "-o", tmp_path / "b" / target).returncode == 0
    names = product.files_in(tmp_path / "a")
    assert names == product.files_in(tmp_path / "b")
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


def test_export_json_checks_its_target_first(dcpose, product, clip, tmp_path, monkeypatch):
    monkeypatch.setattr("dcpose_cli.estimator.PoseEstimator.from_config", lambda _: pytest.fail("a model was loaded"))
    (tmp_path / "x_angles.csv").write_text("precious")
    for code, options, says in (
        (2, ["--format", "xml", "-o", tmp_path / "x.xml"], "posetrack18"),
        (2, ["--format", "csv", "-o", tmp_path / "x.json"], ".csv"),
        (4, ["--format", "csv", "-o", tmp_path / "x.csv"], "--overwrite"),
        (4, ["--format", "mot", "-o", tmp_path / "x_angles.csv" / "x.txt"], "not a folder"),
    ):
        done = dcpose("export", clip, *options)
        assert done.returncode == code, done.stderr
        assert says in product.one_line(done)
    assert product.files_in(tmp_path) == ["x_angles.csv"]


def test_a_run_that_fails_leaves_no_folder(dcpose, product, clip, tmp_path, monkeypatch):
    def broken(*_args, **_options):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("dcpose_cli.estimator.PoseEstimator.analyse", broken)
    done = dcpose("export", clip, "--format", "csv", "-o", tmp_path / "x.csv", *dcpose.models)
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_convert_refuses(dcpose, product, result, clip, tmp_path):
    shutil.copy(result, tmp_path / "r.json")
    os.link(tmp_path / "r.json", tmp_path / "same.json")
    before = product.files_in(tmp_path)
    for code, args, says in (
        (3, [tmp_path / "none.json", "--to", "csv", "-o", tmp_path / "x.csv"], "none.json"),
        (3, [clip, "--to", "csv", "-o", tmp_path / "x.csv"], "clip.mp4"),
        (3, [tmp_path, "--to", "csv", "-o", tmp_path / "x.csv"], "no files like NAME_"),
        (2, [result, "--to", "xml", "-o", tmp_path / "x.csv"], "xml"),
        (2, [result, "--to", "csv"], "--out"),
        (2, [tmp_path / "r.json", "--to", "coco", "-o", tmp_path / "same.json", "--overwrite"], "is the input"),
        (2, [result, "--to", "csv", "-o", tmp_path / "x.csv", "--track", "9999"], "9999"),
        (4, [result, "--to", "coco", "-o", tmp_path / "same.json"], "--overwrite"),
        (4, [result, "--to", "coco", "-o", tmp_path / "r.json" / "x.json"], "not a folder"),
        (4, [result, "--to", "coco", "-o", tmp_path / f"{'x' * 260}.json"], "too long"),
    ):
        done = dcpose("convert", *args)
        assert done.returncode == code, done.stderr
        assert says in product.one_line(done)
    assert product.files_in(tmp_path) == before


def test_convert_says_that_times_are_assumed(dcpose, result, tmp_path):
    dcpose("convert", result, "--to", "coco", "-o", tmp_path / "c.json")
    done = dcpose("convert", tmp_path / "c.json", "--to", "csv", "-o", tmp_path / "c.csv", "-q")
    assert done.returncode == 0
    assert "25 frames/s are assumed" in done.stderr
    told = dcpose("convert", tmp_path / "c.json", "--to", "csv", "-o", tmp_path / "d.csv", "-q", "--fps", "30000/1001")
    assert told.stderr == ""
    assert (tmp_path / "d.csv").read_text().splitlines()[-1].split(",")[1].startswith("0.367")


def test_evaluate(dcpose, product, root, tmp_path):
    golden = root / "tests" / "data" / "poseval"
    done = dcpose("evaluate", golden / "gt", golden / "pred17", "--json", tmp_path / "s.json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert rows["%"] == ["Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Total"]
    assert rows["AP"] == ["34.1", "27.4", "46.2", "52.6", "24.4", "45.8", "44.5", "38.9"]
    assert len(rows["MOTA"]) == len(rows["PCKh"]) == 8
    assert rows["sequence"] == ["frames", "AP", "PCKh", "OKS-AP", "MOTA", "IDF1"]
    assert rows["000001_mpii_test"][0] == "4"
    assert rows["all"][:2] == ["6", "38.9"]
    expected = json.loads((golden / "expected_ap.json").read_text())["pred17"]
    figures = json.loads((tmp_path / "s.json").read_text())["ap"]
    assert list(figures) == ["head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "total"]
    assert list(figures.values()) == pytest.approx(expected["table_head_shou_elb_wri_hip_knee_ankl_total"], abs=1e-6)
    again = dcpose("evaluate", golden / "gt", golden / "pred17", "--json", tmp_path / "s.json", "--metrics", "ap")
    assert again.returncode == 4
    assert "--overwrite" in product.one_line(again)
    quiet = ["--metrics", "ap", "-q", "--overwrite", "--json", tmp_path / "s.json"]
    silent = dcpose("evaluate", golden / "gt" / "000001_mpii_test.json", golden / "pred18", *quiet)
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
    assert set(json.loads((tmp_path / "s.json").read_text())) == {"frames", "ap", "joints", "sequences"}


def test_evaluate_shows_figures_without_interpolated_people(dcpose, root, tmp_path):
    golden, name = root / "tests" / "data" / "poseval", "000001_mpii_test.json"
    data = json.loads((golden / "pred18" / name).read_text())
    for entry in data["annotations"][::2]:
        entry["interpolated"] = True
    (tmp_path / name).write_text(json.dumps(data))
    done = dcpose("evaluate", golden / "gt" / name, tmp_path / name, "--metrics", "ap,pckh")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert [row[0] for row in rows[:5]] == ["%", "AP", "AP,", "PCKh", "PCKh,"]
    assert rows[1][-1] != rows[2][-1]
    assert [len(row) for row in rows[1:3]] == [9, 10]
    assert "'detected' leaves out interpolated people (filled gaps of a track): " in done.stdout


def test_evaluate_says_why_there_are_no_figures_of_tracking(dcpose, product, root, tmp_path):
    pytest.importorskip("motmetrics", reason="the extra dcpose[evaluate] is not installed")
    golden, name = root / "tests" / "data" / "poseval", "000001_mpii_test.json"
    data = json.loads((golden / "pred18" / name).read_text())
    first = data["annotations"][0]
    data["annotations"].append({**first, "id": first["id"] + 9})
    for case, says in (
        ("shared", f"in frame 1 of its result 2 people have the track id {first['track_id']}; `dcpose edit --separate"),
        ("none", "somebody has no track id"),
    ):
        if case == "none":
            for entry in data["annotations"]:
                entry.pop("track_id")
        (tmp_path / name).write_text(json.dumps(data))
        done = dcpose("evaluate", golden / "gt" / name, tmp_path / name)
        assert done.returncode == 0
        assert "MOTA" not in done.stdout
        assert f"dcpose: warning: no MOTA and IDF1: 000001_mpii_test: {says}" in done.stderr
        asked = dcpose("evaluate", golden / "gt" / name, tmp_path / name, "--metrics", "tracking")
        assert asked.returncode == 2
        assert says in product.one_line(asked)
    asked = dcpose("evaluate", golden / "gt" / name, tmp_path / name, "--metrics", "ap")
    assert (asked.returncode, asked.stderr) == (0, "")


def test_evaluate_wonders_about_another_video(dcpose, root, tmp_path):
    golden = root / "tests" / "data" / "poseval"
    for file in (golden / "pred18").glob("*.json"):
        data = json.loads(file.read_text())
        for person in data["annotations"]:
            person["keypoints"] = [v if k % 3 == 2 else v + 10_000 for k, v in enumerate(person["keypoints"])]
        (tmp_path / file.name).write_text(json.dumps(data))
    done = dcpose("evaluate", golden / "gt", tmp_path, "--metrics", "ap")
    assert done.returncode == 0
    assert "results of the same video?" in done.stderr


def test_evaluate_names_the_clips_when_they_differ(dcpose, root, tmp_path):
    from dcpose_cli.results.format import CATEGORY

    truth = json.loads((root / "sample_videos/plaza.json").read_text())
    images = [{"id": 10_000_010_000 + k, "file_name": f"{k}.jpg", "frame_id": k} for k in range(truth["n_frames"])]
    for name, warns in (("sprint.mp4", True), ("plaza.mov", False)):
        result = {"images": images, "annotations": [], "categories": [CATEGORY], "dcpose": {"input": {"name": name}}}
        (tmp_path / "result.json").write_text(json.dumps(result))
        done = dcpose("evaluate", root / "sample_videos/plaza.json", tmp_path / "result.json", "--metrics", "ap")
        assert done.returncode == 0
        said = "the truth is of plaza.mp4, but the result was made from sprint.mp4"
        assert (said in done.stderr) == warns, done.stderr


def test_evaluate_refuses(dcpose, product, root, result, tmp_path):
    golden = root / "tests" / "data" / "poseval"
    plaza = root / "sample_videos" / "plaza.json"
    for code, args, says in (
        (3, [plaza, result], "12 frames, its ground truth 75"),
        (3, [plaza, tmp_path / "none.json"], "none.json"),
        (3, [tmp_path / "none.json", result], "none.json"),
        (3, [tmp_path, result], "no .json"),
        (3, [golden / "gt", tmp_path], "no result for the clip"),
        (2, [golden / "gt", golden / "pred18", "--metrics", "f1"], "ap, pckh"),
        (2, [plaza, result, "--json", result, "--overwrite"], "is the input"),
        (4, [plaza, result, "--json", result / "x.json"], "not a folder"),
    ):
        done = dcpose("evaluate", *args)
        assert done.returncode == code, done.stderr
        assert says in product.one_line(done)


def test_missing_packages_are_one_line(dcpose, product, root, monkeypatch):
    golden = root / "tests" / "data" / "poseval"
    for name in ("pycocotools", "pycocotools.coco", "pycocotools.cocoeval", "motmetrics"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    done = dcpose("evaluate", golden / "gt", golden / "pred17")
    assert done.returncode == 0
    assert done.stderr == (
        "dcpose: left out: OKS-AP (needs pycocotools), MOTA and IDF1 (need motmetrics); "
        "to have them: pip install 'dcpose[evaluate]'\n"
    )
    asked = dcpose("evaluate", golden / "gt", golden / "pred17", "--metrics", "tracking")
    assert asked.returncode == 2
    assert "pip install 'dcpose[evaluate]'" in product.one_line(asked)


def test_coco_labels_promise_no_figures_of_tracking(dcpose, root, tmp_path, monkeypatch):
    predicted = root / "tests/data/poseval/pred18/000001_mpii_test.json"
    result = json.loads(predicted.read_text())
    [category], images = result["categories"], result["images"]
    people = [{k: v for k, v in entry.items() if k != "track_id"} for entry in result["annotations"]]
    labels = {
        "images": [{"id": image["id"], "file_name": f"clip_{k:06d}.jpg"} for k, image in enumerate(images)],
        "annotations": [{"bbox": [0, 0, 500, 500], **entry} for entry in people],
        "categories": [category],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    for present in (True, False):
        if not present:
            for name in ("pycocotools", "motmetrics"):
                monkeypatch.setitem(__import__("sys").modules, name, None)
        else:
            pytest.importorskip("motmetrics", reason="the extra dcpose[evaluate] is not installed")
        done = dcpose("evaluate", tmp_path / "labels.json", predicted)
        assert done.returncode == 0, done.stderr
        assert "PCK@0.1" in done.stdout
        lacking = "dcpose: left out: OKS-AP (needs pycocotools); to have them: pip install 'dcpose[evaluate]'\n"
        assert done.stderr == ("" if present else lacking)


@pytest.fixture
def frames(tmp_path):
    """Two short videos as PoseTrack18 keeps them, boxes, and ground truth."""
    boxes = []
    (tmp_path / "gt").mkdir()
    for video in ("000001_mpii_test", "000002_bonn_test"):
        folder = tmp_path / "images" / "val" / video
        folder.mkdir(parents=True)
        images = []
        for number in range(3):
            name = f"images/val/{video}/{number:06d}.jpg"
            cv2.imwrite(str(tmp_path / name), np.random.default_rng(number).integers(0, 255, (80, 100, 3), np.uint8))
            images.append({"file_name": name, "id": number, "frame_id": number, "vid_id": video[:6]})
            boxes.append({"image_name": name, "bbox": [10, 10, 40, 60], "score": 0.9, "nframes": 3, "category_id": 1})
        joints = [float(v) for k in range(17) for v in (20 + k, 30 + k, 1)]
        person = {"image_id": 1, "id": 100, "track_id": 0, "category_id": 1, "keypoints": joints}
        person |= {"bbox": [10, 10, 40, 60], "bbox_head": [10, 10, 30, 40]}
        from dcpose_cli.results.posetrack import CATEGORY

        data = {"images": images, "annotations": [person], "categories": [CATEGORY]}
        (tmp_path / "gt" / f"{video}.json").write_text(json.dumps(data))
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    return tmp_path


@pytest.mark.parametrize("style", ["posetrack17", "posetrack18"])
def test_data_set_and_its_scores(dcpose, product, frames, style):
    out = frames / "pred"
    options = ["--boxes", frames / "boxes.json", "--format", style, "-o", out]
    done = dcpose("export", frames, *options, *dcpose.models)
    assert done.returncode == 0, done.stderr
    assert "2 files, 6 frames, 6 poses" in done.stderr
    assert product.files_in(out) == ["000001_mpii_test.json", "000002_bonn_test.json"]
    again = dcpose("export", frames, *options, *dcpose.models)
    assert again.returncode == 4
    assert dcpose("export", frames, *options, "--overwrite", "--gt", frames / "gt", *dcpose.models).returncode == 0
    scored = dcpose("evaluate", frames / "gt", out, "--json", frames / "s.json")
    assert scored.returncode == 0, scored.stderr
    figures = json.loads((frames / "s.json").read_text())
    assert figures["frames"] == 2
    assert figures["sequences"].keys() == {"000001_mpii_test", "000002_bonn_test"}
    assert 0 <= figures["ap"]["total"] <= 100


def test_data_set_refuses(dcpose, product, frames, monkeypatch):
    monkeypatch.setattr("dcpose_cli.estimator.PoseEstimator.from_config", lambda _: pytest.fail("a model was loaded"))
    boxes = ["--boxes", frames / "boxes.json"]
    for code, args, says in (
        (2, [frames, "-o", frames / "out"], ""),
        (2, [frames, "--gt", frames / "gt", "-o", frames / "out"], "--boxes"),
        (2, [frames, *boxes, "--format", "csv", "-o", frames / "out"], "posetrack17"),
        (2, [frames, *boxes, "--start", "1", "-o", frames / "out"], "--start"),
        (3, [frames / "none", *boxes, "-o", frames / "out"], "none"),
        (3, [frames, "--boxes", frames / "none.json", "-o", frames / "out"], "none.json"),
        (4, [frames, *boxes, "-o", frames / "boxes.json"], "folder"),
    ):
        done = dcpose("export", *args)
        assert done.returncode == code, done.stderr
        assert says in product.one_line(done)
    assert not (frames / "out").exists()
