"""The native result file: content, streaming, atomicity, and reading back whatever a file may hold."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpose_cli.errors import InputError, OutputError
from dcpose_cli.results import PoseTrackWriter, read_posetrack
from dcpose_cli.results.foreign import read_result
from dcpose_cli.results.posetrack import SCHEMA_VERSION, annotation_id, image_id
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person

HEADER: dict[str, Any] = {"dcpose": "0", "time_base": "1/25", "width": 64, "height": 48, "fps": "25/1"}


def person(track_id: int = 0, seed: int = 0) -> Person:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(1, 60, (17, 3)).astype(np.float32)
    keypoints[:, 2] = rng.uniform(0.01, 1.1, 17)
    keypoints[[3, 4]] = 0
    return Person(track_id, np.array([1.234, 2.346, 30, 40], np.float32), 0.87654, keypoints)


def frame(index: int, *people: Person, damaged: bool = False) -> FrameResult:
    return FrameResult(index, index * 2, index * 2 / 25, people, damaged)


def write(path: Path, frames: list[FrameResult], **extra: Any) -> dict[str, Any]:
    with PoseTrackWriter(path, HEADER) as writer:
        for result in frames:
            writer.write(result)
        writer.close(extra)
    data: dict[str, Any] = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    return data


def test_layout_is_posetrack18(tmp_path: Path) -> None:
    data = write(tmp_path / "a.json", [frame(0), frame(1, person(4), person(2, 1)), frame(2)], video="ab")
    assert list(data) == ["dcpose", "images", "annotations", "categories"]
    assert [image["id"] for image in data["images"]] == [10000010000, 10000010001, 10000010002]
    assert data["images"][1] == {
        "file_name": "images/val/000001_mpii_dcpose/000001.jpg",
        "id": 10000010001,
        "frame_id": 10000010001,
        "vid_id": "000001",
        "nframes": 3,
        "is_labeled": True,
        "has_no_densepose": True,
    }
    first, second = data["annotations"]
    assert (first["id"], second["id"]) == (1000001000100, 1000001000101)
    assert (first["track_id"], second["track_id"]) == (4, 2)
    assert first["image_id"] == 10000010001
    assert first["category_id"] == 1
    assert len(first["keypoints"]) == 51
    assert len(first["scores"]) == 17
    assert first["keypoints"][9:15] == [0] * 6
    assert first["scores"][3:5] == [0, 0]
    assert set(first["keypoints"][2::3]) == {0, 1}
    assert first["bbox"] == [1.23, 2.35, 30.0, 40.0]
    assert first["score"] == 0.8765
    (category,) = data["categories"]
    assert category["keypoints"] == list(JOINT_NAMES)
    assert category["id"] == 1
    assert {len(pair) for pair in category["skeleton"]} == {2}
    header = data["dcpose"]
    assert (header["format"], header["schema_version"]) == (1, SCHEMA_VERSION)
    assert header["frames"] == 3
    assert header["people"] == 2
    assert header["pts"] == [0, 2, 4]
    assert header["video"] == "ab"
    assert header["width"] == 64


def test_video_is_null_unless_given(tmp_path: Path) -> None:
    assert write(tmp_path / "a.json", [])["dcpose"]["video"] is None


def test_reading_back_gives_what_was_written(tmp_path: Path) -> None:
    frames = [frame(5, person(1), damaged=True), frame(6), frame(9, person(1, 2), person(3, 3))]
    write(tmp_path / "a.json", frames)
    result = read_posetrack(tmp_path / "a.json")
    assert result.header["damaged_frames"] == [5]
    assert [f.index for f in result.frames] == [5, 6, 9]
    assert [f.pts for f in result.frames] == [10, 12, 18]
    assert [f.time for f in result.frames] == pytest.approx([10 / 25, 12 / 25, 18 / 25])
    assert [f.damaged for f in result.frames] == [True, False, False]
    for got, sent in zip(result.frames, frames, strict=True):
        assert [p.track_id for p in got.people] == [p.track_id for p in sent.people]
        for a, b in zip(got.people, sent.people, strict=True):
            np.testing.assert_allclose(a.keypoints[:, :2], b.keypoints[:, :2], atol=0.0051)
            np.testing.assert_allclose(a.keypoints[:, 2], b.keypoints[:, 2], atol=0.000051)
            np.testing.assert_allclose(a.bbox, b.bbox, atol=0.0051)
            assert a.score == pytest.approx(b.score, abs=1e-4)


def test_writing_what_was_read_gives_the_same_bytes(tmp_path: Path) -> None:
    frames = [frame(i, *(person(t, i * 5 + t) for t in range(i % 4))) for i in range(20)]
    write(tmp_path / "a.json", frames)
    write(tmp_path / "b.json", frames)
    result = read_posetrack(tmp_path / "a.json")
    with PoseTrackWriter(tmp_path / "c.json", result.header) as writer:
        for got in result.frames:
            writer.write(got)
    written = (tmp_path / "a.json").read_bytes()
    assert written == (tmp_path / "b.json").read_bytes()
    assert written == (tmp_path / "c.json").read_bytes()


def test_numbers_are_always_finite(tmp_path: Path) -> None:
    odd = person()
    odd.keypoints[5] = (np.nan, 3, 0.5)
    odd.keypoints[6] = (3, np.inf, 0.5)
    odd.keypoints[7] = (3, 3, np.nan)
    odd.keypoints[8] = (-0.0001, 2, 0.5)
    bad = Person(0, np.array([np.nan, 0, np.inf, 1], np.float32), float("nan"), odd.keypoints)
    data = write(tmp_path / "a.json", [frame(0, bad)])
    (entry,) = data["annotations"]
    assert entry["keypoints"][15:24] == [0] * 9
    assert entry["scores"][5:8] == [0, 0, 0]
    assert str(entry["keypoints"][24]) == "0.0"
    assert entry["bbox"] == [0, 0, 0, 1]
    assert entry["score"] == 0
    assert read_posetrack(tmp_path / "a.json").frames[0].people[0].keypoints[9, 2] > 0


def test_a_joint_without_confidence_that_has_a_place_is_kept(tmp_path: Path) -> None:
    one = person()
    one.keypoints[9] = (12, 13, -0.2)
    one.keypoints[10] = (0, 0, 0.4)
    (entry,) = write(tmp_path / "a.json", [frame(0, one)])["annotations"]
    assert entry["keypoints"][27:30] == [12, 13, 1]
    assert entry["scores"][9] == -0.2
    assert entry["keypoints"][30:33] == [0, 0, 1]


def test_ids_past_ten_thousand_frames_and_a_hundred_people(tmp_path: Path) -> None:
    crowd = tuple(person(t) for t in range(150))
    frames = [frame(i) for i in range(9998)] + [frame(i, *crowd) for i in range(9998, 10002)]
    data = write(tmp_path / "a.json", frames)
    ids = [image["id"] for image in data["images"]]
    assert ids == sorted(set(ids))
    assert ids[9999:10001] == [10000019999, 10000020000]
    assert data["images"][10000]["file_name"] == "images/val/000002_mpii_dcpose/000000.jpg"
    assert data["images"][0]["nframes"] == 10000
    assert data["images"][10001]["nframes"] == 2
    people = [entry["id"] for entry in data["annotations"]]
    assert len(people) == len(set(people)) == 600
    assert max(people) < 2**53
    assert [f.index for f in read_posetrack(tmp_path / "a.json").frames] == list(range(10002))


def test_annotation_ids_never_meet() -> None:
    images = [image_id(i) for i in (0, 1, 2, 9999, 10000, 10**6, 10**9)]
    ids = [annotation_id(image, k) for image in images for k in range(1000)]
    assert len(set(ids)) == len(ids)


@pytest.mark.slow
def test_memory_is_flat_in_the_number_of_frames(tmp_path: Path) -> None:
    crowd = tuple(person(t) for t in range(3))

    def peak(count: int) -> int:
        tracemalloc.start()
        with PoseTrackWriter(tmp_path / f"{count}.json", HEADER) as writer:
            for index in range(count):
                writer.write(frame(index, *crowd))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    short, long = peak(300), peak(3000)
    size = (tmp_path / "3000.json").stat().st_size
    assert size > 4_000_000
    # The join copies through a buffer of 1 MiB; beyond it a frame may cost a few dozen bytes.
    assert long - short < 2700 * 100 + (1 << 20)
    assert long < size


def test_an_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    def results() -> Iterator[FrameResult]:
        yield frame(0, person())
        raise RuntimeError("stop")

    def run() -> None:
        with PoseTrackWriter(tmp_path / "a.json", HEADER) as writer:
            for result in results():
                writer.write(result)

    with pytest.raises(RuntimeError, match="stop"):
        run()
    assert list(tmp_path.iterdir()) == []


def test_leaving_the_context_publishes(tmp_path: Path) -> None:
    with PoseTrackWriter(tmp_path / "a.json", HEADER) as writer:
        writer.write(frame(0))
        assert not (tmp_path / "a.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_an_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("mine")
    with pytest.raises(OutputError, match=r"a\.json"):
        PoseTrackWriter(target, HEADER)
    assert target.read_text() == "mine"
    with PoseTrackWriter(target, HEADER, overwrite=True) as writer:
        writer.write(frame(0))
    assert read_posetrack(target).frames[0].index == 0


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    writer = PoseTrackWriter(target, HEADER)
    target.write_text("theirs")
    with pytest.raises(OutputError, match=r"a\.json"):
        writer.close()
    assert target.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_missing_folder_is_made_and_removed_when_nothing_is_written(tmp_path: Path) -> None:
    writer = PoseTrackWriter(tmp_path / "new" / "a.json", HEADER)
    assert (tmp_path / "new").is_dir()
    writer.abort()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not a folder"):
        PoseTrackWriter(tmp_path / "file" / "a.json", HEADER)


def test_disk_full_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    writer = PoseTrackWriter(tmp_path / "a.json", HEADER)
    writer.write(frame(0, person()))
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OutputError, match="disk full"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_mistakes_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        PoseTrackWriter(tmp_path / "a.json", {"fps": float("nan")})
    writer = PoseTrackWriter(tmp_path / "a.json", HEADER)
    writer.write(frame(3))
    with pytest.raises(ValueError, match="not later"):
        writer.write(frame(3))
    writer.abort()
    with pytest.raises(ValueError, match="closed"):
        writer.write(frame(4))
    with pytest.raises(ValueError, match="closed"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Any]:
    return write(tmp_path / "good.json", [frame(0, person(1)), frame(1), frame(2, person(1), person(2))])


def read_data(tmp_path: Path, data: Any) -> Any:
    path = tmp_path / "bad.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return read_posetrack(path)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "7", '"x"', "NaN", '{"dcpose": NaN}', "[" * 100_000, "1" * 10_000, "\ud7ff" * 3),
        '{"dcpose": {"format": 1}}',
    ],
)
def test_files_that_are_not_results(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"bad\.json") as caught:
        read_data(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe\x00\x80{")
    with pytest.raises(InputError, match=r"bad\.json"):
        read_posetrack(tmp_path / "bad.json")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone"):
        read_posetrack(tmp_path / "gone.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_posetrack(tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("dcpose", "format"), 2),
        (("dcpose", "schema_version"), "1"),
        (("dcpose", "schema_version"), -1),
        (("dcpose", "time_base"), "1/0"),
        (("dcpose", "time_base"), 0.04),
        (("dcpose", "time_base"), "-1/25"),
        (("dcpose", "pts"), [0, 1]),
        (("dcpose", "pts"), [0, 1, 2.5]),
        (("dcpose", "pts"), [0, 1, 2**70]),
        (("dcpose", "pts"), [0, 2, 2]),
        (("dcpose", "pts"), [4, 2, 0]),
        (("dcpose", "damaged_frames"), {}),
        (("images", 1, "id"), 10000010000),
        (("images", 1, "id"), True),
        (("images", 1, "file_name"), "images/val/000001_mpii_dcpose/000002.jpg"),
        (("images", 1, "file_name"), "../../etc/passwd"),
        (("images", 1, "file_name"), f"images/val/{'9' * 5000}_mpii_dcpose/000001.jpg"),
        (("images", 1), None),
        (("annotations", 0), []),
        (("annotations", 0, "image_id"), 10000010007),
        (("annotations", 0, "track_id"), "1"),
        (("annotations", 0, "keypoints"), [1.0] * 50),
        (("annotations", 0, "keypoints", 4), None),
        (("annotations", 0, "keypoints", 4), 1e39),
        (("annotations", 0, "keypoints", 4), 10**400),
        (("annotations", 0, "scores"), []),
        (("annotations", 0, "bbox"), [1, 2, 3]),
        (("annotations", 0, "score"), "high"),
        (("categories",), []),
        (("categories", 0, "keypoints", 3), "tail"),
    ],
)
def test_malformed_content_is_refused_with_a_reason(
    tmp_path: Path, good: dict[str, Any], place: tuple[Any, ...], value: Any
) -> None:
    assert len(read_data(tmp_path, good).frames) == 3
    where: Any = good
    for key in place[:-1]:
        where = where[key]
    where[place[-1]] = value
    with pytest.raises(InputError, match="not a result of dcpose") as caught:
        read_data(tmp_path, good)
    assert "\n" not in str(caught.value)


def test_times_that_do_not_ascend_are_named(tmp_path: Path, good: dict[str, Any]) -> None:
    good["dcpose"]["pts"] = [0, 4, 2]
    with pytest.raises(InputError, match=r"time of frame 2 \(0\.08 s\) is not later than that of frame 1 \(0\.16 s\)"):
        read_data(tmp_path, good)


def test_a_header_with_a_number_that_cannot_be_written_is_refused(tmp_path: Path, good: dict[str, Any]) -> None:
    good["dcpose"]["width"] = "WIDTH"
    with pytest.raises(InputError, match="width is inf, not a finite number"):
        read_data(tmp_path, json.dumps(good).replace('"WIDTH"', "1e999"))


def test_results_of_older_and_newer_versions(tmp_path: Path, good: dict[str, Any]) -> None:
    """0.6 wrote no schema version; a newer one than ours is refused in one line that says what to do."""
    before = read_data(tmp_path, good)
    del good["dcpose"]["schema_version"]
    old = read_data(tmp_path, good)
    assert [[p.track_id for p in f.people] for f in old.frames] == [
        [p.track_id for p in f.people] for f in before.frames
    ]
    good["dcpose"]["schema_version"] = SCHEMA_VERSION + 1
    good["images"] = "of another shape"
    for read in (read_posetrack, read_result):
        (tmp_path / "bad.json").write_text(json.dumps(good))
        with pytest.raises(InputError, match=rf"json: has the schema version {SCHEMA_VERSION + 1}.*update dcpose$"):
            read(tmp_path / "bad.json")


def test_mutated_files_are_read_or_refused(tmp_path: Path, good: dict[str, Any]) -> None:
    rng = random.Random(1)
    raw = (tmp_path / "good.json").read_bytes()
    outcomes = {True: 0, False: 0}
    for _ in range(300):
        mutated = bytearray(raw)
        for _ in range(rng.choice((1, 1, 3))):
            mutated[rng.randrange(len(raw))] = rng.choice(b'0123456789.,:"[]{}-eNl\xff')
        (tmp_path / "m.json").write_bytes(mutated)
        try:
            result = read_posetrack(tmp_path / "m.json")
        except InputError:
            outcomes[False] += 1
            continue
        outcomes[True] += 1
        values = [p.keypoints for f in result.frames for p in f.people]
        assert all(np.isfinite(value).all() for value in values)
    assert min(outcomes.values()) > 10
