"""Edits: what each does to a result, scripts in both forms, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dcpose_cli import InputError, OutputError, UsageError, read_posetrack
from dcpose_cli.edits import edit_result, parse, read_script
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.skeleton import FLIP_ORDER, JOINT_NAMES
from dcpose_cli.types import FrameResult, Person


def person(track, frame):
    points = np.zeros((17, 3), np.float32)
    points[:, 0] = 10 * track + frame + np.arange(17)
    points[:, 1] = 50
    points[:, 2] = 0.5
    return Person(track, np.array([10 * track, 20, 30, 60], np.float32), 0.9, points)


def frames():
    """Frames 100 to 109, a quarter of a second apart. Track 0 is everywhere, 1 in 100 to 104, 2 from 103 on."""
    out = []
    for k in range(10):
        people = [person(0, k)] + ([person(1, k)] if k < 5 else []) + ([person(2, k)] if k >= 3 else [])
        out.append(FrameResult(100 + k, k, k / 4, tuple(people), k == 2))
    return out


@pytest.fixture
def result(tmp_path):
    with PoseTrackWriter(tmp_path / "in.json", {"time_base": "1/4", "video": "ab", "width": 99}) as writer:
        for frame in frames():
            writer.write(frame)
    return tmp_path / "in.json"


def after(*lines):
    now = frames()
    for line in lines:
        now = parse(line, now).apply(now)
    return now


def ids(now):
    return {f.index: [p.track_id for p in f.people] for f in now}


def test_merge_keeps_the_one_named_first():
    assert ids(after("merge 1 2")) == {i: [0, 1] for i in range(100, 110)}
    kept = after("merge 2 1")[4].people[1]  # frame 104: both are there
    assert kept.track_id == 2
    assert kept.keypoints[0, 0] == 24
    assert ids(after("merge 0 1 2")) == {i: [0] for i in range(100, 110)}


def test_split():
    now = ids(after("split 0 at 105"))
    assert (now[104], now[105], now[109]) == ([0, 1, 2], [3, 2], [3, 2])
    assert ids(after("split 0 at 1.25s as 9"))[105] == [9, 2]
    assert ids(after("split 0 at 1.49s as 9"))[105] == [9, 2]


def test_delete():
    assert ids(after("delete 0"))[100] == [1]
    now = ids(after("delete 2 from 104 to 106"))
    assert [2 in now[i] for i in range(103, 108)] == [True, False, False, False, True]


def test_swap_ids():
    now = ids(after("swap-ids 1 2 from 104"))
    assert (now[103], now[104], now[105]) == ([0, 1, 2], [0, 2, 1], [0, 1])
    assert ids(after("swap-ids 0 2", "swap-ids 2 0")) == ids(frames())


def test_swap_sides():
    now, raw = after("swap-sides 0 from 102 to 103"), frames()
    for k in (1, 4):
        np.testing.assert_array_equal(now[k].people[0].keypoints, raw[k].people[0].keypoints)
    for k in (2, 3):
        np.testing.assert_array_equal(now[k].people[0].keypoints, raw[k].people[0].keypoints[list(FLIP_ORDER)])
        np.testing.assert_array_equal(now[k].people[1].keypoints, raw[k].people[1].keypoints)


def test_move():
    now, raw = after("move 1 left_wrist at 101 to 410.5 -2"), frames()
    slot = JOINT_NAMES.index("left_wrist")
    np.testing.assert_array_equal(now[1].people[1].keypoints[slot], np.array([410.5, -2, 1], np.float32))
    others = [s for s in range(17) if s != slot]
    np.testing.assert_array_equal(now[1].people[1].keypoints[others], raw[1].people[1].keypoints[others])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "unknown edit"),
        ("join 1 2", "use merge, split"),
        ("merge 1", "merge TRACK TRACK"),
        ("merge 1 1", "merge TRACK TRACK"),
        ("merge 1 8", "no track 8; there are 0, 1, 2"),
        ("split 0 at", "split TRACK at FRAME"),
        ("split 0 at 105 as 2", "there already"),
        ("split 1 at 107", "not there from frame 107 on"),
        ("split 0 at -1s", "begins after"),
        ("split 0 at nans", "split TRACK at FRAME"),
        ("delete 0 from 105 to 103", "delete TRACK"),
        ("delete 1 from 106 to 107", "not there in frames 106 to 107"),
        ("swap-ids 1 1", "swap-ids TRACK TRACK"),
        ("swap-ids 0 1 from 9999", "track 1 is not there from frame 9999 on"),
        ("swap-sides x", "swap-sides TRACK"),
        ("move 0 tail at 101 to 1 2", "unknown joint 'tail'"),
        ("move 0 nose at 101 to 1e9 2", "move TRACK JOINT"),
        ("move 1 nose at 107 to 1 2", "not there in frame 107"),
    ],
)
def test_what_does_not_fit(line, says):
    with pytest.raises(UsageError, match=says):
        after(line)


def test_a_result_and_its_script(result, tmp_path):
    text = "# by hand\nmerge 1 2   # the same child\n\nswap-sides 0 from 105\n"
    (tmp_path / "edits.txt").write_text(text)
    lines = read_script(tmp_path / "edits.txt")
    assert lines == ["merge 1 2", "swap-sides 0 from 105"]
    (tmp_path / "edits.json").write_text(json.dumps(lines))
    assert read_script(tmp_path / "edits.json") == lines
    raw = result.read_bytes()
    summary = edit_result(result, tmp_path / "out.json", lines)
    assert result.read_bytes() == raw
    assert (summary.frames, summary.people, summary.tracks) == (10, 20, 2)
    done = read_posetrack(tmp_path / "out.json")
    assert ids(done.frames) == ids(after("merge 1 2"))
    assert done.header["damaged_frames"] == [102]
    assert done.header["pts"] == list(range(10))
    assert done.header["video"] is None
    assert [entry["script"] for entry in done.header["edits"]] == [lines]
    edit_result(tmp_path / "out.json", tmp_path / "again.json", ["delete 1"])
    history = read_posetrack(tmp_path / "again.json").header["edits"]
    assert [entry["script"] for entry in history] == [lines, ["delete 1"]]
    # What is in the header makes the result again.
    edit_result(result, tmp_path / "replayed.json", [line for entry in history for line in entry["script"]])
    again, replayed = (read_posetrack(tmp_path / f"{name}.json") for name in ("again", "replayed"))
    assert ids(again.frames) == ids(replayed.frames)


def test_refusals_leave_nothing(result, tmp_path):
    with pytest.raises(UsageError, match=r"edit 2 \(delete 7\): there is no track 7"):
        edit_result(result, tmp_path / "out.json", ["delete 0", "delete 7"])
    with pytest.raises(UsageError, match="nothing to edit"):
        edit_result(result, tmp_path / "out.json", [])
    with pytest.raises(UsageError, match="more than 5000 edits"):
        edit_result(result, tmp_path / "out.json", ["swap-sides 0"] * 5001)
    with pytest.raises(UsageError, match="is the input"):
        edit_result(result, result, ["delete 0"], overwrite=True)
    assert not (tmp_path / "out.json").exists()
    (tmp_path / "out.json").write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        edit_result(result, tmp_path / "out.json", ["delete 0"])


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'{"edits": 3}', b"[1]", b"[", b'{"edits": ["a"'])
def test_scripts_that_are_none(tmp_path, content):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(InputError):
        read_script(tmp_path / "s")
    with pytest.raises(InputError, match="No such file"):
        read_script(tmp_path / "none")


def test_a_merge_counts_the_poses_it_leaves_out(dcpose, result, tmp_path):
    """Tracks 0 and 1 are both in the frames 100 to 104: nobody is left out without a word."""
    done = edit_result(result, tmp_path / "a.json", ["merge 0 1", "delete 2"])
    assert (done.dropped, done.people) == (5, 10)
    ran = dcpose("edit", result, "-o", tmp_path / "b.json", "--merge", "0 1")
    assert ran.returncode == 0
    assert "warning: 5 poses were left out" in ran.stderr
    assert edit_result(result, tmp_path / "c.json", ["delete 1"]).dropped == 0
