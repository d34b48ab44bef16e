"""Parts of a video on disk: what goes in comes out, in exact numbers, and damage counts as absence."""

from __future__ import annotations

import hashlib
import io
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dcpose_cli import Detections, Frame, FrameResult, OutputError, Person, PoseEstimator, UsageError, chunks
from dcpose_cli.people.appearance import appearances_of
from dcpose_cli.people.association import AssociationTracker as Tracker
from dcpose_cli.segments import SegmentFolder, SegmentLog, segments_folder
from dcpose_cli.segments.values import people_entry, result_of, seen_entry, seen_of, tracks_entry, tracks_of

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "product.py")))
KEY = {"input": {"sha256": "a"}, "model": {"sha256": "b"}, "detector": {"sha256": "c"}, "settings": {"conf": 0.3}}


def frames(count):
    rng = np.random.default_rng(1)
    return [Frame(i, i * 10 - 3, i * 0.1, rng.integers(0, 255, (48, 64, 3), np.uint8), i == 2) for i in range(count)]


def detections(count, seed=0):
    rng = np.random.default_rng(seed)
    return Detections(rng.uniform(0, 20, (count, 4)).astype(np.float32) + 1, rng.random(count, np.float32))


@pytest.fixture
def folder(tmp_path):
    return SegmentFolder(tmp_path / "parts", KEY)


def test_what_was_seen_comes_back_exactly(folder):
    stream = frames(4)
    found = [detections(number, number) for number in (2, 0, 5, 1)]
    folder.write(3, "seen", [seen_entry(frame, people) for frame, people in zip(stream, found, strict=True)])
    kept = folder.read(3, "seen")
    assert [entry.is_of(frame) for entry, frame in zip(kept, stream, strict=True)] == [True] * 4
    assert not kept[0].is_of(stream[1])
    for entry, frame, people in zip(kept, stream, found, strict=True):
        back, looks = seen_of(entry)
        np.testing.assert_array_equal(back.boxes, people.boxes)
        np.testing.assert_array_equal(back.scores, people.scores)
        for look, true in zip(looks, appearances_of(people.boxes, frame.image), strict=True):
            assert (look is None) == (true is None)
            assert look is None or np.array_equal(look, true)


def test_tracks_and_results_come_back_exactly(folder):
    frame, rng = frames(1)[0], np.random.default_rng(5)
    people = tuple(
        Person(track, rng.random(4, np.float32), float(rng.random(1, np.float32)[0]), rng.random((17, 3), np.float32))
        for track in (4, 0)
    )
    result = FrameResult(frame.index, frame.pts, frame.time, people, frame.damaged)
    folder.write(0, "people", [people_entry(result)])
    [entry] = folder.read(0, "people")
    back = result_of(entry, frame)
    assert (back.index, back.pts, back.time, back.damaged) == (0, -3, 0.0, False)
    for one, other in zip(back.people, people, strict=True):
        assert (one.track_id, one.score) == (other.track_id, other.score)
        np.testing.assert_array_equal(one.bbox, other.bbox)
        np.testing.assert_array_equal(one.keypoints, other.keypoints)

    tracked = Tracker(25).follow(detections(3), [None] * 3, (64, 48))
    folder.write(0, "tracks", [tracks_entry(entry, tracked)])
    back = tracks_of(folder.read(0, "tracks")[0])
    np.testing.assert_array_equal(back.boxes, tracked.boxes)
    np.testing.assert_array_equal(back.track_ids, tracked.track_ids)
    assert back.predicted == tracked.predicted


def test_parts_of_something_else_or_damaged_are_not_there(folder, tmp_path):
    entry = seen_entry(frames(1)[0], detections(2))
    folder.write(0, "seen", [entry])
    path = tmp_path / "parts" / "0.seen"
    whole = path.read_bytes()
    assert folder.read(0, "seen")
    assert folder.read(1, "seen") is None
    assert folder.read(0, "people") is None
    assert SegmentFolder(tmp_path / "parts", KEY | {"batch": 2}).read(0, "seen") is None
    for damage in (b"", whole[:-1], whole[:40], b"\0" + whole[1:], whole[:-9] + b"\xff" + whole[-8:], b"x" * 500):
        path.write_bytes(damage)
        assert folder.read(0, "seen") is None


def _part(folder, kind, **changes):
    """A part as somebody writes it who knows the key: its digests are right."""
    arrays = {"key": np.array(folder._digest), "frames": np.zeros((1, 4), np.int64), "counts": np.array([1])}
    arrays |= {"boxes": np.ones((1, 4), np.float32), "scores": np.ones(1, np.float32), "ids": np.array([3])}
    arrays |= {"interpolated": np.array([False]), "keypoints": np.zeros((1, 17, 3), np.float32)} | changes
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: value for name, value in arrays.items() if value is not None})
    folder.folder.mkdir(exist_ok=True)
    raw = buffer.getvalue()
    (folder.folder / f"0.{kind}").write_bytes(hashlib.sha256(raw).digest() + raw)


@pytest.mark.parametrize(
    "changes",
    [
        {"boxes": None},
        {"more": np.ones(1)},
        {"boxes": np.ones((1, 5), np.float32)},
        {"boxes": np.full((1, 4), np.nan, np.float32)},
        {"scores": np.array(["a"])},
        {"ids": np.array([0.5])},
        {"keypoints": np.zeros((1, 17), np.float32)},
        {"counts": np.array([2, -1]), "frames": np.zeros((2, 4), np.int64)},
        {"counts": np.array([[1]])},
        {"frames": np.zeros((1, 3), np.int64)},
        {"frames": np.zeros((0, 4), np.int64)},
    ],
    ids=str,
)
def test_parts_whose_arrays_are_no_people_are_not_there(folder, changes):
    _part(folder, "people")
    assert len(folder.read(0, "people")) == 1
    _part(folder, "people", **changes)
    assert folder.read(0, "people") is None


def test_parts_that_unpack_to_much_more_are_not_unpacked(folder, monkeypatch):
    _part(folder, "people", boxes=np.zeros((10_000_000, 4), np.float32))
    monkeypatch.setattr("dcpose_cli.segments.folder._MOST_PART_BYTES", 1 << 20)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    assert folder.read(0, "people") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_keys_that_are_no_files_are_not_waited_for(folder, tmp_path):
    folder.folder.mkdir()
    key = folder.folder / "key.json"
    for make in (lambda: os.mkfifo(key), lambda: key.symlink_to("/dev/zero"), key.mkdir):
        make()
        folder.require_same()
        assert folder.is_same()
        key.rmdir() if key.is_dir() else key.unlink()
    with key.open("wb") as file:
        file.truncate(1 << 40)
    folder.require_same()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": {"sha256": "x"}}, "another pose model"),
        ({"detector": {"sha256": "x"}}, "another detector"),
        ({"input": {"sha256": "x"}}, "its input changed"),
        ({"settings": {"conf": 0.4}}, "settings"),
        ({"batch": 4}, "batch"),
    ],
)
def test_resuming_something_else_is_refused(tmp_path, change, says):
    folder = SegmentFolder(segments_folder(tmp_path / "x.json"), KEY)
    folder.require_same()
    folder.write(0, "seen", [seen_entry(frames(1)[0], detections(1))])
    folder.require_same()
    other = SegmentFolder(segments_folder(tmp_path / "x.json"), KEY | change)
    assert not other.is_same()
    with pytest.raises(UsageError, match=says) as caught:
        other.require_same()
    assert "x.json" in str(caught.value)
    other.clear()
    other.require_same()
    assert folder.read(0, "seen") is None


def test_a_link_is_not_followed_and_foreign_files_stay(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis.docx").write_text("precious")
    folder = SegmentFolder(segments_folder(tmp_path / "x.json"), KEY)
    folder.folder.symlink_to(tmp_path / "victim")
    with pytest.raises(OutputError, match="is a symbolic link"):
        folder.lock()
    folder.folder.unlink()
    folder.folder.mkdir()
    (folder.folder / "notes.txt").write_text("precious")
    assert folder.lock()
    folder.write(0, "seen", [])
    folder.remove()
    assert [path.name for path in folder.folder.iterdir()] == ["notes.txt"]
    assert [path.name for path in (tmp_path / "victim").iterdir()] == ["thesis.docx"]


def test_folder_comes_and_goes(tmp_path):
    folder = SegmentFolder(segments_folder(tmp_path / "x.json"), KEY)
    assert folder.lock()
    folder.release()
    assert list(tmp_path.iterdir()) == []
    assert folder.lock()
    folder.write(0, "seen", [])
    folder.release()
    assert [path.name for path in tmp_path.iterdir()] == [".x.json.segments.part"]
    folder.remove()
    assert list(tmp_path.iterdir()) == []
    assert len(segments_folder(tmp_path / f"{'ü' * 125}.json").name) < 255
    folder = SegmentFolder(segments_folder(tmp_path / "new" / "x.json"), KEY)
    assert folder.lock()
    folder.remove()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        SegmentFolder(tmp_path / "file" / "parts", KEY).lock()


def test_half_a_segment_is_not_kept(folder):
    stream = frames(6)
    log = SegmentLog(folder, "seen")
    log.record(0, [seen_entry(frame, detections(1)) for frame in stream[:2]])
    log.record(0, [seen_entry(frame, detections(1)) for frame in stream[2:4]])
    assert not folder.has(0, "seen")
    log.record(1, [seen_entry(frame, detections(1)) for frame in stream[4:]])
    assert folder.has(0, "seen")
    assert not folder.has(1, "seen")
    again = SegmentLog(folder, "seen")
    assert len(again.recall(0, stream[1:3])) == 2
    assert again.recall(0, stream[3:5]) is None
    assert again.recall(1, stream[4:]) is None


def test_results_put_together_from_parts_are_those_of_a_straight_run(tiny_folder, tmp_path, monkeypatch):
    """Whatever is there already: nothing, some of the first stage, some of both, or everything."""
    monkeypatch.setattr(chunks, "SEGMENT_CHUNKS", 1)
    stream = frames(40)
    made = PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd(3), interval=2)
    straight = [people_entry(result) for _, result in made.analyse(iter(stream), fps=25)]

    def analyse(**options):
        people = PoseEstimator(tiny_folder, "cpu", detector=PRODUCT.Crowd(3), interval=2)
        found = [people_entry(r) for _, r in people.analyse(iter(stream), fps=25, segments=folder, **options)]
        for one, other in zip(found, straight, strict=True):
            assert (one.index, one.pts, one.damaged) == (other.index, other.pts, other.damaged)
            for name, values in other.values.items():
                np.testing.assert_array_equal(one.values[name], values)
        return people.detector.calls

    folder = SegmentFolder(tmp_path / "parts", KEY)
    assert analyse() == 3
    assert analyse() == 0
    (tmp_path / "parts" / "1.people").unlink()
    assert analyse() == 0
    (tmp_path / "parts" / "0.seen").unlink()
    (tmp_path / "parts" / "2.people").unlink()
    assert analyse() == 1


def test_an_open_lock_does_not_keep_an_unused_folder_where_open_files_cannot_be_removed(tmp_path, monkeypatch):
    """As on Windows: the lock is closed first, and then the folder goes."""
    from dcpose_cli.segments import folder as module

    kept = SegmentFolder(tmp_path / "parts", {})
    assert kept.lock()
    kept.write(0, "seen", [])
    real, handle = Path.unlink, kept._lock

    def unlink(path, missing_ok=False):
        if path.name == "lock":
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(handle)
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(module, "_OPEN_FILES_CAN_GO", False)
    monkeypatch.setattr(Path, "unlink", unlink)
    kept.remove()
    assert not kept.folder.exists()
