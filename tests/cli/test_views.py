"""`dcpose smooth` and `render` as a user runs them."""

from __future__ import annotations

import json

import av
import pytest


@pytest.fixture(scope="module")
def made(dcpose, clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    assert dcpose("export", clip, "-o", folder / "r.json", *dcpose.models).returncode == 0
    return folder / "r.json"


def test_smooth(dcpose, made, tmp_path):
    result = dcpose("smooth", made, "-o", tmp_path / "s.json", "--method", "one-euro")
    assert (result.returncode, result.stdout) == (0, "")
    assert "12 frames" in result.stderr
    assert json.loads((tmp_path / "s.json").read_text())["dcpose"]["smoothing"]["method"] == "one-euro"
    assert dcpose("smooth", made, "-o", tmp_path / "t.json", "--method", "magic").returncode == 2


def test_render(dcpose, clip, made, tmp_path):
    options = ["--style", "dots", "--trails", "0.5", "--blur-faces", "--smooth", "gaussian", "--largest"]
    result = dcpose("render", clip, made, "-o", tmp_path / "out.mp4", *options)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12


def test_render_heatmaps(dcpose, clip, made, tmp_path):
    track = json.loads(made.read_text())["annotations"][0]["track_id"]
    options = ["--show", "heatmaps", "--track", track, "--joint", "nose", "--model", dcpose.models[1]]
    result = dcpose("render", clip, made, "-o", tmp_path / "out.mp4", *options)
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].width == 5 * 288


def test_report(dcpose, product, clip, made, tmp_path):
    result = dcpose("report", made, "-o", tmp_path / "page.html", "--video", clip)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert "12 frames" in result.stderr
    assert dcpose("report", made, "-o", tmp_path / "page.html", "--video", clip).returncode == 4
    result = dcpose("report", made, "-o", tmp_path / "e.html", "--video", clip, "--embed", "-q")
    assert (result.returncode, result.stderr) == (0, "")
    assert product.files_in(tmp_path) == ["e.html", "page.html"]
    result = dcpose("report", made, "--overwrite")
    assert "--video" in result.stderr.splitlines()[0]
    assert made.with_suffix(".html").is_file()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--roi", "1,2,3"], "--roi"),
        (["--style", "oil"], "limbs"),
        (["--track", "999"], "no track 999"),
        (["--joint", "nose"], "--show heatmaps"),
        (["--show", "stars"], "heatmaps"),
        (["--show", "heatmaps", "--track", "0"], "--joint"),
        (["--show", "heatmaps", "--track", "0", "--joint", "tail"], "left_wrist"),
    ],
)
def test_wrong_options(dcpose, product, clip, made, tmp_path, options, says):
    result = dcpose("render", clip, made, "-o", tmp_path / "x.mp4", *options)
    assert result.returncode == 2, result.stderr
    assert says in product.one_line(result)
    assert product.files_in(tmp_path) == []


def test_a_file_that_is_no_result(dcpose, product, clip, tmp_path):
    (tmp_path / "no.json").write_text("{}")
    assert dcpose("render", clip, tmp_path / "no.json", "-o", tmp_path / "x.mp4").returncode == 3
    assert dcpose("smooth", tmp_path / "no.json", "-o", tmp_path / "x.json").returncode == 3


def test_edit(dcpose, made, tmp_path):
    track = json.loads(made.read_text())["annotations"][0]["track_id"]
    (tmp_path / "edits.txt").write_text(f"split {track} at 4 as 77\n")
    options = ["--script", tmp_path / "edits.txt", "--delete", "77 from 6", "--save-script", tmp_path / "all.txt"]
    done = dcpose("edit", made, "-o", tmp_path / "e.json", *options)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "2 edits; 12 frames" in done.stderr
    data = json.loads((tmp_path / "e.json").read_text())
    assert data["dcpose"]["edits"][0]["script"] == [f"split {track} at 4 as 77", "delete 77 from 6"]
    assert {entry["image_id"] - 10**10 - 10**4 for entry in data["annotations"] if entry["track_id"] == 77} == {4, 5}
    again = dcpose("edit", made, "-o", tmp_path / "f.json", "--script", tmp_path / "all.txt", "-q")
    assert (again.returncode, again.stderr) == (0, "")
    assert (tmp_path / "f.json").read_bytes() == (tmp_path / "e.json").read_bytes()
    for options, code in ((["--delete", "9999"], 2), ([], 2), (["--script", tmp_path / "none.txt"], 3)):
        assert dcpose("edit", made, "-o", tmp_path / "g.json", *options).returncode == code
    assert not (tmp_path / "g.json").exists()


def test_smooth_by_other_filters(dcpose, made, tmp_path):
    done = dcpose("smooth", made, "-o", tmp_path / "m.json", "--method", "median", "--window", "3")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "m.json").read_text())["dcpose"]["smoothing"]["window"] == 3
    done = dcpose("smooth", made, "-o", tmp_path / "b.json", "--method", "butterworth", "--cutoff", "12.5")
    assert done.returncode == 0
    assert "nothing could be smoothed" in done.stderr
    assert dcpose("smooth", made, "-o", tmp_path / "c.json", "--method", "butterworth", "--order", "3").returncode == 2
