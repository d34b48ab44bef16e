"""The same choice of people in every command that knows people."""

from __future__ import annotations

import json
from collections import Counter

import av
import numpy as np
import pytest

from dcpose_cli import Detections
from dcpose_cli.people.detectors import DETECTORS

PEOPLE = ("convert", "estimate", "evaluate", "export-json", "render", "report", "smooth", "batch")
OPTIONS = ("--track", "--largest", "--longest", "--center", "--roi", "--max-people", "--min-height")


class Row:
    """A detector that finds three people in a row, the second one the largest, the last one gone after six frames."""

    name, sha256 = "row", "0" * 64

    def __init__(self):
        self.calls = 0

    def detect(self, images):
        self.calls += 1
        boxes = [(4, 10, 14, 40), (34, 4, 28, 58), (76, 12, 12, 36)][: 3 if self.calls <= 6 else 2]
        return [Detections(np.array(boxes, np.float32), np.full(len(boxes), 0.9, np.float32)) for _ in images]


@pytest.fixture(scope="module")
def people(dcpose):
    """Options of a command that finds three people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DETECTORS, "row", lambda source, **options: Row())
        yield [*dcpose.models, "--detector", "row:3"]


@pytest.fixture(scope="module")
def made(dcpose, clip, people, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    assert dcpose("export", clip, "-o", folder / "r.json", *people).returncode == 0
    return folder / "r.json"


def tracks(path):
    return Counter(entry["track_id"] for entry in json.loads(path.read_text())["annotations"])


def header(path):
    return json.loads(path.read_text())["dcpose"]


@pytest.mark.parametrize("name", PEOPLE)
def test_every_command_has_them(dcpose, name):
    text = dcpose(name, "--help").stdout
    assert [option for option in OPTIONS if option not in text] == []


def test_convert_and_its_count(dcpose, made, tmp_path):
    all_of = tracks(made)
    assert len(all_of) == 3
    one = min(all_of, key=all_of.get)
    done = dcpose("convert", made, "--to", "posetrack18", "--out", tmp_path / "a.json", "--track", one)
    assert f"12 frames, {all_of[one]} poses" in done.stderr
    assert tracks(tmp_path / "a.json") == {one: all_of[one]}
    assert header(tmp_path / "a.json")["selection"] == {"tracks": [one]}
    assert header(tmp_path / "a.json")["video"] is None
    two = sorted(all_of)[:2]
    options = [part for track in two for part in ("--track", track)]
    assert dcpose("export-json", made, "-o", tmp_path / "b.json", *options).returncode == 0
    assert set(tracks(tmp_path / "b.json")) == set(two)
    assert dcpose("convert", made, "--to", "csv", "--out", tmp_path / "c.csv", "--max-people", "1").returncode == 0
    lines = (tmp_path / "c.csv").read_text().splitlines()[1:]
    assert len({(line.split(",")[0], line.split(",")[2]) for line in lines}) == len(
        {line.split(",")[0] for line in lines}
    )


def test_smooth_render_report_evaluate(dcpose, clip, made, tmp_path):
    assert dcpose("smooth", made, "-o", tmp_path / "s.json", "--longest").returncode == 0
    assert len(tracks(tmp_path / "s.json")) == 1
    assert {"smoothing", "selection"} <= header(tmp_path / "s.json").keys()
    assert dcpose("render", clip, made, "-o", tmp_path / "r.mp4", "--center").returncode == 0
    done = dcpose("report", made, "-o", tmp_path / "r.html", "--video", clip, "--largest")
    assert "1 track" in done.stderr
    done = dcpose("evaluate", made, made, "--track", "999")
    assert (done.returncode, "no track 999" in done.stderr) in ((2, True), (3, False)), done.stderr


@pytest.mark.parametrize("options", [["--largest"], ["--max-people", "1"], ["--roi", "0,0,60,200"], ["--track", "0"]])
def test_estimate_gives_what_convert_gives(dcpose, clip, people, made, tmp_path, options):
    done = dcpose("estimate", clip, "-o", tmp_path / "e.mp4", *people, *options)
    assert done.returncode == 0, done.stderr
    assert dcpose("convert", made, "--to", "posetrack18", "--out", tmp_path / "c.json", *options).returncode == 0
    ours, theirs = (json.loads((tmp_path / name).read_text()) for name in ("e.json", "c.json"))
    assert ours["annotations"] == theirs["annotations"]
    assert ours["images"] == theirs["images"]
    assert ours["dcpose"]["selection"] == theirs["dcpose"]["selection"]
    with av.open(str(tmp_path / "e.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
    # Drawn are the chosen people alone.
    assert dcpose("render", clip, made, "-o", tmp_path / "r.mp4", *options).returncode == 0

    def pictures(path):
        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    assert all((a == b).all() for a, b in zip(pictures(tmp_path / "e.mp4"), pictures(tmp_path / "r.mp4"), strict=True))


def test_estimate_of_nobody_says_so(dcpose, clip, people, tmp_path):
    done = dcpose("estimate", clip, "-o", tmp_path / "e.mp4", *people, "--track", "77")
    assert done.returncode == 0
    assert "is chosen by --track 77" in done.stderr
    assert "--conf" not in done.stderr
    assert tracks(tmp_path / "e.json") == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--largest", "--longest"], "exclude"), (["--max-people", "0"], "--max-people"), (["--roi", "1"], "--roi")],
)
@pytest.mark.parametrize("name", ["estimate", "convert"])
def test_wrong_selections_come_first(dcpose, product, clip, made, tmp_path, name, options, says):
    source = clip if name == "estimate" else made
    more = [] if name == "estimate" else ["--to", "csv"]
    done = dcpose(name, source, "-o", tmp_path / ("x.mp4" if name == "estimate" else "x.csv"), *more, *options)
    assert done.returncode == 2
    assert says in product.one_line(done)
    assert product.files_in(tmp_path) == []


def test_json_lines_on_stdout(dcpose, product, clip, people, tmp_path):
    """The same frames as in a file, one line each; nothing else on stdout, nothing on disk."""
    done = dcpose("export-json", clip, "--format", "jsonl", "-o", "-", *people)
    assert (done.returncode, done.stderr) == (0, "")
    assert dcpose("export-json", clip, "--format", "jsonl", "-o", tmp_path / "x.jsonl", *people).returncode == 0
    assert done.stdout == (tmp_path / "x.jsonl").read_text()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    assert len(lines[0]["people"]) == 3
    one = dcpose("export-json", clip, "--format", "jsonl", "-o", "-", *people, "--track", "1")
    assert all({p["track_id"] for p in json.loads(line)["people"]} == {1} for line in one.stdout.splitlines())
    for options, says in (
        (["--format", "csv"], "only the format jsonl"),
        (["--format", "jsonl", "--largest"], "whole"),
    ):
        wrong = dcpose("export-json", clip, "-o", "-", *options, *people)
        assert wrong.returncode == 2
        assert says in product.one_line(wrong)
    assert product.files_in(tmp_path) == ["x.jsonl"]
