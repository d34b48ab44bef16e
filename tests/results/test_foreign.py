"""Reading back: round trips of what a format can hold, files of other tools, and files that are damaged."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.export.formats import convert
from dcpose_cli.results import PoseTrackResult, PoseTrackWriter
from dcpose_cli.results.foreign import read_result
from dcpose_cli.skeleton import EAR_SLOTS, LABELLED_SLOTS


def assert_same_people(got: PoseTrackResult, sent: PoseTrackResult, slots: Any = tuple(range(17))) -> None:
    for a, b in zip(got.frames, sent.frames, strict=True):
        assert [p.track_id for p in a.people] == [p.track_id for p in b.people]
        for one, other in zip(a.people, b.people, strict=True):
            np.testing.assert_array_equal(one.keypoints[list(slots)], other.keypoints[list(slots)])
            np.testing.assert_array_equal(one.bbox, other.bbox)
            assert one.score == pytest.approx(other.score)


@pytest.mark.parametrize("style", ["posetrack18", "posetrack21", "posetrack17"])
def test_posetrack_and_back(real: Path, result: PoseTrackResult, tmp_path: Path, style: str) -> None:
    convert(real, tmp_path / "x.json", style)
    got = read_result(tmp_path / "x.json")
    # An annolist has no place for ears; all else comes back, times and frame numbers too.
    assert_same_people(got, result, LABELLED_SLOTS if style == "posetrack17" else range(17))
    assert [(f.index, f.pts, f.time) for f in got.frames] == [(f.index, f.pts, f.time) for f in result.frames]
    assert not got.assumed_fps
    convert(tmp_path / "x.json", tmp_path / "back.json", "posetrack18")
    if style != "posetrack17":
        assert (tmp_path / "back.json").read_bytes() == real.read_bytes()


def test_coco_and_back(real: Path, result: PoseTrackResult, tmp_path: Path) -> None:
    convert(real, tmp_path / "x.json", "coco")
    got = read_result(tmp_path / "x.json")
    peopled = [frame for frame in result.frames if frame.people]
    assert_same_people(got, PoseTrackResult({}, peopled))
    assert [frame.index for frame in got.frames] == [frame.index for frame in peopled]
    assert got.assumed_fps
    assert got.frames[0].time == got.frames[0].index / 25


def test_coco_keeps_people_without_joints(result: PoseTrackResult, tmp_path: Path) -> None:
    """Somebody in a gap of the track whom others hide has a box only; without one, nothing says where they are."""
    frame = next(frame for frame in result.frames if frame.people)
    hidden = replace(frame.people[0], keypoints=np.zeros((17, 3), np.float32))
    with PoseTrackWriter(tmp_path / "in.json", result.header) as writer:
        writer.write(replace(frame, index=0, people=(hidden,)))
    convert(tmp_path / "in.json", tmp_path / "x.json", "coco")
    assert_same_people(read_result(tmp_path / "x.json"), PoseTrackResult({}, [replace(frame, people=(hidden,))]))
    data = json.loads((tmp_path / "x.json").read_text())
    del data[0]["bbox"]
    (tmp_path / "x.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="read: a person has neither keypoints nor a box"):
        read_result(tmp_path / "x.json")


def without_header(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text())
    del data["dcpose"]
    return data


@pytest.mark.parametrize("style", ["posetrack18", "posetrack17"])
def test_files_of_other_tools(real: Path, result: PoseTrackResult, tmp_path: Path, style: str) -> None:
    convert(real, tmp_path / "x.json", style)
    data = without_header(tmp_path / "x.json")
    for image in data.get("images", []):
        image["file_name"] = image["file_name"].replace("mpii_dcpose", "mpii_test")
    for frame in data.get("annolist", []):
        frame["image"]["name"] = frame["image"]["name"].replace("mpii_dcpose", "mpii_test")
    (tmp_path / "y.json").write_text(json.dumps(data))
    from fractions import Fraction

    got = read_result(tmp_path / "y.json", Fraction(50))
    assert_same_people(got, result, LABELLED_SLOTS if style == "posetrack17" else range(17))
    assert [(f.index, f.time) for f in got.frames] == [(i, i / 50) for i in range(6)]
    convert(tmp_path / "y.json", tmp_path / "z.json", "posetrack18", fps=50)
    assert_same_people(read_result(tmp_path / "z.json"), got)


def test_golden_annolist_and_posetrack18_are_the_same_people(root: Path) -> None:
    folder = root / "tests" / "data" / "poseval"
    for name in ("000001_mpii_test.json", "000002_mpiinew_test.json"):
        old, new = (read_result(folder / style / name) for style in ("pred17", "pred18"))
        assert len(old.frames) == len(new.frames) > 3
        assert sum(len(frame.people) for frame in old.frames) > 5
        for a, b in zip(old.frames, new.frames, strict=True):
            for one, other in zip(a.people, b.people, strict=True):
                np.testing.assert_array_equal(
                    one.keypoints[list(LABELLED_SLOTS)], other.keypoints[list(LABELLED_SLOTS)]
                )
                assert not one.keypoints[list(EAR_SLOTS)].any()


def test_ground_truth_can_be_read(root: Path) -> None:
    result = read_result(root / "tests" / "data" / "poseval" / "gt" / "000001_mpii_test.json")
    people = [person for frame in result.frames for person in frame.people]
    assert len(people) > 5
    assert {float(score) for person in people for score in person.keypoints[:, 2]} == {0.0, 1.0}


def test_the_dummy_of_an_empty_frame_is_nobody(tmp_path: Path, root: Path) -> None:
    example = json.loads((root / "tests" / "data" / "dcpose" / "annorect_example.json").read_text())
    frames = [
        {"image": {"name": f"{i}.jpg"}, "annorect": example[k]} for i, k in enumerate(("one_person", "empty_frame"))
    ]
    (tmp_path / "x.json").write_text(json.dumps({"annolist": frames}))
    first, second = read_result(tmp_path / "x.json").frames
    assert len(first.people) == 1
    assert second.people == ()
    assert first.people[0].score == 0.9


POINT = (
    '{"annolist": [{"image": {"name": "a"}, "annorect": '
    '[{"annopoints": [{"point": [{"id": [ID], "x": 1, "y": 1}]}]}]}]}'
)


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "{",
            "3",
            "null",
            '"x"',
            "{}",
            "[1]",
            "[[]]",
            "[{}]",
            '{"dcpose": 1}',
            '{"annolist": 3}',
            '{"annolist": [{}]}',
        ),
        *('[{"image_id": 1}]', '[{"image_id": 1, "keypoints": [1, 2, 3]}]', '[{"image_id": true, "keypoints": []}]'),
        *('{"images": [], "annotations": [], "categories": []}', '{"images": 1, "annotations": 2, "categories": [{}]}'),
        POINT.replace("ID", "15"),
        POINT.replace("ID", "-1"),
        '{"annolist": [], "dcpose": {"time_base": "1/25"}}',
        '{"annolist": [], "dcpose": []}',
        "[" * 100_000,
        '[{"image_id": 1, "keypoints": [1e999' + ", 1" * 50 + "]}]",
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=r"x\.json"):
        read_result(tmp_path / "x.json")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_result(tmp_path / "x.json")


def test_no_end_of_memory_by_a_large_number(tmp_path: Path) -> None:
    """Frame numbers are only numbers: nothing is made for the frames between."""
    entry = {"image_id": 10**18, "keypoints": [1.0] * 51}
    (tmp_path / "x.json").write_text(json.dumps([entry, entry | {"image_id": 10**10 + 10**4}]))
    assert len(read_result(tmp_path / "x.json").frames) == 2


ODD = [None, True, -1, 0, 1e308, -(10**30), 10**400, "x", "", [], {}, [1], {"a": 1}, 0.5, 2**63]


def mutated(data: Any, rng: random.Random) -> Any:
    """One place of nested JSON changed, removed or doubled."""
    data = json.loads(json.dumps(data))
    holder, key = None, None
    node = data
    while isinstance(node, dict | list) and node and (holder is None or rng.random() < 0.85):
        holder, key = node, rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        node = holder[key]
    if rng.random() < 0.2:
        del holder[key]
    elif isinstance(holder, list) and rng.random() < 0.2:
        holder.insert(key, node)
    else:
        holder[key] = rng.choice(ODD)
    return data


@pytest.mark.parametrize("style", ["posetrack18", "posetrack21", "posetrack17", "coco"])
def test_mutated_files_are_read_or_refused(real: Path, tmp_path: Path, style: str) -> None:
    convert(real, tmp_path / "x.json", style)
    data = json.loads((tmp_path / "x.json").read_text())
    if isinstance(data, dict):
        for key in ("images", "annotations", "annolist"):
            if key in data:
                data[key] = data[key][:3]
        if "annotations" in data:
            data["annotations"] = [e for e in data["annotations"] if e["image_id"] in {i["id"] for i in data["images"]}]
        data["dcpose"]["pts"] = data["dcpose"]["pts"][:3]
    (tmp_path / "good.json").write_text(json.dumps(data))
    assert len(read_result(tmp_path / "good.json").frames) >= 3
    rng = random.Random(37)
    refused: list[str] = []
    for _ in range(120):
        changed = mutated(data, rng)
        if isinstance(changed, dict) and rng.random() < 0.3:
            changed.pop("dcpose", None)
        (tmp_path / "bad.json").write_text(json.dumps(changed))
        try:
            got = read_result(tmp_path / "bad.json")
        except InputError as error:
            refused.append(str(error))
        else:
            people = [person for frame in got.frames for person in frame.people]
            assert all(np.isfinite(person.keypoints).all() for person in people)
            assert all(person.keypoints.shape == (len(got.joints), 3) for person in people)
            assert {person.joints for person in people} <= {got.joints}
    assert 25 < len(refused) < 120
    assert all("bad.json" in text and "\n" not in text for text in refused)
