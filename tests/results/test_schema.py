"""The schema of a result's header: every key has its type and range, keys of later versions are left alone."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.evaluation.poseval_files import read_frames
from dcpose_cli.results import PoseTrackWriter
from dcpose_cli.results.foreign import read_result
from dcpose_cli.results.reader import read_posetrack
from dcpose_cli.types import MOST_PEOPLE, FrameResult, Person

#: As 0.6 wrote it, one key of every kind.
HEADER = {
    "dcpose": "0.6.0",
    "input": {"name": "walk\n1.mp4", "sha256": "0" * 64},
    "model": {"name": "dcpose-s", "sha256": "1" * 64, "ensemble": [{"name": "b", "sha256": "2" * 64}]},
    "detector": {"name": "person-n", "sha256": None},
    "libraries": {"av": "18.1.0", "torch": None},
    "fps": "30000/1001",
    "time_base": "1/30000",
    "width": 64,
    "height": 48,
    "settings": {"conf": 0.3, "interval": 1, "device": "cpu", "start": None, "end": 2, "max_frames": None},
    "decode": {"frames": 2, "damaged": 0, "errors": 0},
}


@pytest.fixture
def good(tmp_path):
    person = Person(0, np.array([1, 2, 30, 40], np.float32), 0.8, np.ones((17, 3), np.float32))
    with PoseTrackWriter(tmp_path / "good.json", HEADER) as writer:
        for index in range(2):
            writer.write(FrameResult(index, index * 1001, index / 29.97, (person,)))
    return json.loads((tmp_path / "good.json").read_text())


def read(folder, data):
    (folder / "x.json").write_text(data if isinstance(data, str) else json.dumps(data))
    return read_posetrack(folder / "x.json")


def test_what_the_writer_wrote_is_read_unchanged(tmp_path, good):
    result = read(tmp_path, good)
    assert {key: result.header[key] for key in HEADER} == HEADER


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("dcpose",), 6),
        (("dcpose",), "x" * 2_000),
        (("dcpose",), "0.6\x1b[2J"),
        (("input",), "walk.mp4"),
        (("input", "name"), ["walk.mp4"]),
        (("input", "name"), "a" * 5_000),
        (("input", "sha256"), 0),
        (("input", "changed"), "yes"),
        (("model", "name"), 1),
        (("model", "ensemble"), {"name": "b"}),
        (("model", "ensemble", 0, "sha256"), "\0"),
        (("detector", "name"), "x" * 10_000_000),
        (("libraries",), ["av"]),
        (("libraries", "av"), 18),
        (("libraries",), {str(number): "1" for number in range(1_000)}),
        (("fps",), 29.97),
        (("fps",), "0/1"),
        (("fps",), "9" * 60 + "/1"),
        (("width",), 0),
        (("width",), 64.0),
        (("height",), True),
        (("height",), 10**9),
        (("settings",), []),
        (("settings", "start"), -1),
        (("settings", "end"), "2"),
        (("settings", "max_frames"), 0),
        (("settings", "interval"), 1.5),
        (("settings", "conf"), 10**30),
        (("settings", "x" * 20_000), 1),
        (("decode", "errors"), -1),
        (("smoothing",), True),
        (("smoothing",), {"method": 1}),
        (("edits",), [{"script": 5}]),
        (("edits",), {"script": ["delete 0"]}),
        (("video",), {}),
        (("frames",), -1),
        (("people",), "2"),
        (("pts", 0), True),
        (("damaged_frames",), [0.5]),
        (("later",), [1] * 1_000_001),
        (("later",), json.loads("[" * 60 + "]" * 60)),
    ],
)
def test_a_wrong_value_is_refused_in_one_short_line(tmp_path, good, place, value):
    node = good["dcpose"]
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(InputError, match=str(place[0])) as caught:
        read(tmp_path, good)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "9" * 400])
def test_numbers_that_cannot_be_written_again(tmp_path, good, number):
    good["dcpose"]["settings"]["later"] = "HERE"
    with pytest.raises(InputError):
        read(tmp_path, json.dumps(good).replace('"HERE"', number))


def test_keys_of_later_versions_are_left_alone(tmp_path, good):
    good["dcpose"] |= {"later": {"a": [1, 2.5, None, "x"]}}
    good["dcpose"]["input"]["later"] = good["dcpose"]["decode"]["later"] = [True]
    header = read(tmp_path, good).header
    assert header["later"] == {"a": [1, 2.5, None, "x"]}
    assert header["input"]["later"] == [True]


def test_frames_with_more_people_than_any_picture(tmp_path, good):
    """Work and memory grow with the square of the people of a frame."""
    good["annotations"] = [good["annotations"][0] | {"id": n, "track_id": n} for n in range(MOST_PEOPLE + 1)]
    with pytest.raises(InputError, match="2001 people, 2,000 are the most"):
        read(tmp_path, good)
    del good["annotations"][0]
    assert len(read(tmp_path, good).frames[0].people) == MOST_PEOPLE
    (tmp_path / "frames").mkdir()
    somebody = {"pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}
    (tmp_path / "frames" / "a_000000000000_keypoints.json").write_text(json.dumps({"people": [somebody] * 2001}))
    with pytest.raises(InputError, match="2001 people"):
        read_result(tmp_path / "frames")
    good = {"annolist": [{"image": [{"name": "a.jpg"}], "annorect": [{"annopoints": []}] * 2001}]}
    (tmp_path / "x.json").write_text(json.dumps(good))
    with pytest.raises(InputError, match="2001 people"):
        read_frames(tmp_path / "x.json")


def test_counts_are_counted_again(tmp_path, good):
    """A result from which somebody took people can be read."""
    del good["annotations"][0]
    result = read(tmp_path, good)
    assert [len(frame.people) for frame in result.frames] == [0, 1]
    assert result.header["people"] == 2


def test_a_header_in_an_annolist_goes_through_the_same_schema(tmp_path):
    header = HEADER | {"pts": [0], "damaged_frames": []}
    for change, fits in (({}, True), ({"width": "64"}, False), ({"pts": [0, 1]}, False)):
        (tmp_path / "x.json").write_text(
            json.dumps({"annolist": [{"image": {"name": "a.jpg"}}], "dcpose": header | change})
        )
        if fits:
            assert len(read_result(tmp_path / "x.json").frames) == 1
        else:
            with pytest.raises(InputError, match=next(iter(change))):
                read_result(tmp_path / "x.json")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "zeros", "too large", "name"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    path = tmp_path / ("\0" if kind == "name" else "x.json")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind in ("zeros", "too large"):
        path.touch()
        os.truncate(path, 1 << 30 if kind == "zeros" else 1 << 40)
    with pytest.raises(InputError, match="cannot be read"):
        read_posetrack(path)
