"""Results with a track id twice in a frame: what refuses them says what mends them, and that mends them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dcpose_cli import InputError, UsageError, read_posetrack
from dcpose_cli.edits import edit_result, parse
from dcpose_cli.export.formats import FORMATS, convert
from dcpose_cli.filters import ALL_METHODS
from dcpose_cli.render.redraw import RenderConfig, render
from dcpose_cli.render.results import smooth_result
from dcpose_cli.report import write_report
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.types import FrameResult, Person


def person(track, x):
    points = np.full((17, 3), 0.5, np.float32)
    points[:, :2] = np.array([x, 40]) + np.arange(17)[:, None]
    return Person(track, np.array([x, 20, 30, 60], np.float32), 0.9, points)


def frames_of(*rows):
    """Rows of (track, x) -> frames 1/25 s apart."""
    return [FrameResult(i, i, i / 25, tuple(person(*p) for p in row)) for i, row in enumerate(rows)]


#: Track 3 walks; a second person has its id from frame 2 to 5. Track 7 stands apart.
BROKEN = frames_of(
    *([(3, 100 + i), (7, 600)] for i in range(2)),
    *([(3, 300 - i), (3, 100 + i), (7, 600)] for i in range(2, 6)),
    *([(7, 600), (3, 100 + i)] for i in range(6, 8)),
)


def places(frames):
    """Track id -> x of its boxes."""
    out: dict[int, list[float]] = {}
    for frame in frames:
        for p in frame.people:
            out.setdefault(p.track_id, []).append(float(p.bbox[0]))
    return out


@pytest.fixture
def broken(tmp_path):
    return write(tmp_path / "old.json", BROKEN)


def write(path, frames):
    header = {"time_base": "1/25", "fps": "25/1", "width": 800, "height": 600, "dcpose": "0.6.0"}
    with PoseTrackWriter(path, header) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.mark.parametrize("line", ["separate 3", "separate all"])
def test_who_goes_on_keeps_the_id(line):
    now = parse(line, BROKEN).apply(BROKEN)
    assert places(now) == {
        3: [100 + i for i in range(8)],
        7: [600] * 8,
        8: [300 - i for i in range(2, 6)],
    }
    assert [f.index for f in now] == [f.index for f in BROKEN]


def test_a_new_id_goes_on_alone_and_is_not_taken_up_again_much_later():
    both = [[(0, 10), (0, 400)]] * 3
    now = frames_of(*both, *[[(0, 402)]] * 3, *[[]] * 40, [(0, 400)])
    assert places(parse("separate 0", now).apply(now)) == {0: [10] * 3 + [400], 1: [400] * 3 + [402] * 3}


def test_several_ids_and_three_people():
    now = frames_of(*[[(1, 10), (1, 200), (1, 400), (2, 10), (2, 300)]] * 2)
    found = places(parse("separate all", now).apply(now))
    assert found == {1: [10, 10], 2: [10, 10], 3: [200, 200], 4: [400, 400], 5: [300, 300]}
    assert places(parse("separate 2", now).apply(now))[1] == [10, 200, 400] * 2


@pytest.mark.parametrize(
    ("line", "says"),
    [("separate", "separate TRACK"), ("separate 3 3", "separate TRACK"), ("separate 7", "nowhere twice")],
)
def test_what_does_not_fit(line, says):
    with pytest.raises(UsageError, match=says):
        parse(line, BROKEN).apply(BROKEN)


def test_what_is_distinct_stays():
    assert parse("separate all", BROKEN[:2]).apply(BROKEN[:2]) == BROKEN[:2]


SAYS = r"old\.json: frame 2 has 2 people with the track id 3; .*dcpose edit --separate all"


@pytest.mark.parametrize("to", [name for name, kind in FORMATS.items() if not kind.needs])
def test_conversions_refuse_and_the_remedy_helps(broken, tmp_path, to):
    out = tmp_path / f"x{FORMATS[to].suffix}"
    with pytest.raises(InputError, match=SAYS):
        convert(broken, out, to)
    assert not out.exists()
    edit_result(broken, tmp_path / "mended.json", ["separate all"])
    assert convert(tmp_path / "mended.json", out, to)


def test_people_who_can_be_told_apart_are_converted(broken, tmp_path):
    assert convert(broken, tmp_path / "x.csv", "csv", track=7)


@pytest.mark.parametrize("method", ALL_METHODS[1:])
def test_smoothing_refuses(broken, tmp_path, method):
    with pytest.raises(InputError, match=SAYS):
        smooth_result(broken, tmp_path / "x.json", method=method)


def test_resampling_and_the_page_refuse(broken, tmp_path):
    with pytest.raises(InputError, match=SAYS):
        convert(broken, tmp_path / "x.csv", "csv", resample_fps=50)
    with pytest.raises(InputError, match=SAYS):
        write_report(broken, tmp_path / "x.html")


@pytest.mark.parametrize("options", [{"trails": 1.0}, {"smooth": "gaussian"}])
def test_drawings_that_follow_tracks_refuse(broken, clip, tmp_path, options):
    with pytest.raises(InputError, match=SAYS):
        render(clip, broken, tmp_path / "x.mp4", config=RenderConfig(**options))
    assert not (tmp_path / "x.mp4").exists()


def test_files_of_other_tools_are_mended_too(broken, dcpose, product, tmp_path):
    """PoseTrack18 without our header: no times, and not distinct either."""
    data = json.loads(broken.read_text())
    del data["dcpose"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(data))
    refused = dcpose("convert", other, "--format", "csv", "-o", tmp_path / "x.csv", "--fps", "50")
    assert refused.returncode == 3
    assert "other.json: frame 2 has 2 people with the track id 3; `dcpose edit --separate all`" in refused.stderr
    done = dcpose("edit", other, "--separate", "all", "-o", tmp_path / "a.json")
    assert done.returncode == 0
    assert "other.json has no times; 25 frames/s are assumed, set --fps" in done.stderr
    timed = dcpose("edit", other, "--separate", "all", "-o", tmp_path / "b.json", "--fps", "50", "-q")
    assert (timed.returncode, timed.stderr) == (0, "")
    assert sorted(places(read_posetrack(tmp_path / "b.json").frames)) == [3, 7, 8]
    assert read_posetrack(tmp_path / "b.json").frames[5].time == 0.1


def test_ids_below_zero(tmp_path):
    write(tmp_path / "r.json", frames_of([(0, 1), (-1, 50)]))
    with pytest.raises(
        InputError, match=r"r\.json: frame 0 has the track id -1, below 0; `dcpose edit --separate all`"
    ):
        convert(tmp_path / "r.json", tmp_path / "x.csv", "csv")
    edit_result(tmp_path / "r.json", tmp_path / "mended.json", ["separate all"])
    assert places(read_posetrack(tmp_path / "mended.json").frames) == {0: [1], 1: [50]}
    assert convert(tmp_path / "mended.json", tmp_path / "x.csv", "csv")


def test_the_command(dcpose, product, broken, tmp_path):
    refused = dcpose("convert", broken, "--format", "csv", "-o", tmp_path / "x.csv")
    assert refused.returncode == 3
    assert "old.json: frame 2 has 2 people with the track id 3" in product.one_line(refused)
    assert dcpose("edit", broken, "--separate", "all", "-o", tmp_path / "mended.json").returncode == 0
    assert dcpose("convert", tmp_path / "mended.json", "--format", "csv", "-o", tmp_path / "x.csv").returncode == 0
    assert sorted(places(read_posetrack(tmp_path / "mended.json").frames)) == [3, 7, 8]
