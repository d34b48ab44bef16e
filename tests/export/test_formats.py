"""Every format of a real result, opened by the reader its own field uses and compared with the native JSON."""

from __future__ import annotations

import contextlib
import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcpose_cli.errors import InputError, OutputError, UsageError
from dcpose_cli.evaluation.poseval_files import EVAL_JOINTS, read_frames
from dcpose_cli.export.formats import FORMATS, Options, convert, write_result
from dcpose_cli.export.openpose import BODY_25
from dcpose_cli.results import PoseTrackResult
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person

NAMES = list(JOINT_NAMES)


def keypoints(entry: dict[str, Any]) -> np.ndarray:
    """(17, 3) of a native annotation: x, y, confidence; NaN where absent."""
    points = np.array(entry["keypoints"], float).reshape(17, 3)
    points[points[:, 2] == 0] = np.nan
    return np.column_stack([points[:, :2], entry["scores"]])


def image_ids(native: dict[str, Any]) -> dict[int, int]:
    """Image id -> frame index in the video."""
    return {image["id"]: image["id"] - 10000010000 for image in native["images"]}


def times(native: dict[str, Any]) -> dict[int, float]:
    """Frame index -> seconds."""
    numerator, _, denominator = native["dcpose"]["time_base"].partition("/")
    seconds = int(numerator) / int(denominator)
    indexes = [image["id"] - 10000010000 for image in native["images"]]
    return dict(zip(indexes, (tick * seconds for tick in native["dcpose"]["pts"]), strict=True))


def test_the_result_is_worth_testing(native: dict[str, Any]) -> None:
    assert native["dcpose"]["frames"] == 6
    assert len(native["annotations"]) >= 6
    assert native["images"][0]["id"] == 10000010010  # it begins at 0.4 s
    assert len({entry["track_id"] for entry in native["annotations"]}) >= 2


def test_posetrack18_is_the_native_file(real: Path, tmp_path: Path) -> None:
    assert convert(real, tmp_path / "x.json", "posetrack18") == [tmp_path / "x.json"]
    assert (tmp_path / "x.json").read_bytes() == real.read_bytes()


def test_posetrack21(real: Path, native: dict[str, Any], tmp_path: Path) -> None:
    convert(real, tmp_path / "x.json", "posetrack21")
    data = json.loads((tmp_path / "x.json").read_text())
    assert data["categories"][0]["keypoints"] == NAMES
    assert [image["id"] for image in data["images"]] == [image["id"] for image in native["images"]]
    peopled = {entry["image_id"] for entry in native["annotations"]}
    assert [image["has_labeled_person"] for image in data["images"]] == [i["id"] in peopled for i in native["images"]]
    for got, sent in zip(data["annotations"], native["annotations"], strict=True):
        assert got == sent | {"person_id": sent["track_id"]}


@pytest.mark.parametrize("style", ["posetrack17", "posetrack18", "posetrack21"])
def test_posetrack_styles_as_poseval_reads_them(real: Path, native: dict[str, Any], tmp_path: Path, style: str) -> None:
    convert(real, tmp_path / "x.json", style)
    frames = read_frames(tmp_path / "x.json")
    assert len(frames) == len(native["images"])
    slots = [NAMES.index(name) for name in EVAL_JOINTS]
    for image, frame in zip(native["images"], frames, strict=True):
        entries = [entry for entry in native["annotations"] if entry["image_id"] == image["id"]]
        for entry, person in zip(entries, frame.people, strict=True):
            expected = keypoints(entry)[slots]
            np.testing.assert_array_equal(person.points, expected[:, :2])
            there = ~np.isnan(expected[:, 0])
            np.testing.assert_array_equal(person.scores[there], expected[there, 2])
            assert person.track_id == entry["track_id"]
            assert person.score == entry["score"]
            assert list(person.bbox or ()) == entry["bbox"]


def test_coco_through_pycocotools(real: Path, native: dict[str, Any], tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    convert(real, tmp_path / "x.json", "coco")
    truth = COCO()
    truth.dataset = {"images": native["images"], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        loaded = truth.loadRes(str(tmp_path / "x.json"))
    got = loaded.loadAnns(loaded.getAnnIds())
    for entry, sent in zip(got, native["annotations"], strict=True):
        expected = np.nan_to_num(keypoints(sent))
        points = np.array(entry["keypoints"]).reshape(17, 3)
        np.testing.assert_array_equal(points[[1, 2]], np.zeros((2, 3)))  # the eyes
        same = [0, *range(3, 17)]
        np.testing.assert_array_equal(points[same], expected[same])
        for name in ("head_bottom", "head_top"):
            np.testing.assert_array_equal(entry.get(name, [0, 0, 0]), expected[NAMES.index(name)])
        assert (entry["image_id"], entry["track_id"]) == (sent["image_id"], sent["track_id"])
        assert (entry["score"], entry["bbox"]) == (sent["score"], sent["bbox"])


def test_openpose_folder(real: Path, native: dict[str, Any], tmp_path: Path) -> None:
    assert convert(real, tmp_path / "poses", "openpose") == [tmp_path / "poses"]
    files = sorted((tmp_path / "poses").iterdir())
    assert [file.name for file in files] == [f"poses_{index:012d}_keypoints.json" for index in range(10, 16)]
    body = {name: place for place, (name, _) in enumerate(BODY_25)}
    assert len(body) == 25
    for (image, _), file in zip(image_ids(native).items(), files, strict=True):
        data = json.loads(file.read_text())
        assert data["version"] == 1.3
        entries = [entry for entry in native["annotations"] if entry["image_id"] == image]
        for person, entry in zip(data["people"], entries, strict=True):
            expected = np.nan_to_num(keypoints(entry))
            points = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
            assert person["person_id"] == [entry["track_id"]]
            for ours, theirs in (("nose", "Nose"), ("left_wrist", "LWrist"), ("right_ankle", "RAnkle")):
                np.testing.assert_array_equal(points[body[theirs]], expected[NAMES.index(ours)])
            for ours, theirs in (("shoulder", "Neck"), ("hip", "MidHip")):
                pair = expected[[NAMES.index(f"left_{ours}"), NAMES.index(f"right_{ours}")]]
                if pair.any(axis=1).all():
                    np.testing.assert_allclose(points[body[theirs], :2], pair[:, :2].mean(axis=0), atol=0.006)
                    assert points[body[theirs], 2] == pair[:, 2].min()
            assert not points[[body["LEye"], body["RHeel"]]].any()


def test_trc_through_its_reader(real: Path, native: dict[str, Any], tmp_path: Path) -> None:
    from trc import TRCData

    tracks = sorted({entry["track_id"] for entry in native["annotations"]})
    files = convert(real, tmp_path / "x.trc", "trc")
    assert files == [tmp_path / f"x_track{track}.trc" for track in tracks]
    seconds, frames = times(native), image_ids(native)
    for track, file in zip(tracks, files, strict=True):
        data = TRCData()
        data.load(str(file))
        entries = {frames[e["image_id"]]: keypoints(e) for e in native["annotations"] if e["track_id"] == track}
        shown = list(range(min(entries), max(entries) + 1))
        assert data["Frame#"] == [index + 1 for index in shown]
        assert data["Time"] == pytest.approx([seconds[index] for index in shown], abs=1e-6)
        assert (data["DataRate"], data["NumFrames"], data["Units"]) == (25.0, len(shown), "px")
        assert set(data["Markers"]) >= set(NAMES) - {"left_ear", "right_ear"}
        for row, index in enumerate(shown):
            for marker in data["Markers"]:
                x, y, z = data[marker][row]
                sent = entries.get(index, np.full((17, 3), np.nan))[NAMES.index(marker)]
                np.testing.assert_array_equal([x, y], sent[:2])
                assert np.isnan(z) if np.isnan(x) else z == 0


def test_trc_of_one_track_in_metres_with_y_up(real: Path, native: dict[str, Any], tmp_path: Path) -> None:
    from trc import TRCData

    track = native["annotations"][0]["track_id"]
    assert convert(real, tmp_path / "x.trc", "trc", track=track, metres_per_pixel=0.01) == [tmp_path / "x.trc"]
    data = TRCData()
    data.load(str(tmp_path / "x.trc"))
    x, y, _ = keypoints(native["annotations"][0])[NAMES.index("left_hip")]
    assert data["left_hip"][0] == pytest.approx([x * 0.01, (360 - 0.5 - y) * 0.01, 0], abs=1e-6)
    assert data["Units"] == "m"


@pytest.mark.filterwarnings("ignore:Operation with tuple is deprecated")  # in the reader itself
def test_mot_through_motmetrics(real: Path, native: dict[str, Any], tmp_path: Path) -> None:
    import motmetrics

    convert(real, tmp_path / "x.txt", "mot")
    table = motmetrics.io.loadtxt(str(tmp_path / "x.txt"), fmt="mot15-2D", min_confidence=-1)
    assert len(table) == len(native["annotations"])
    for entry in native["annotations"]:
        row = table.loc[(image_ids(native)[entry["image_id"]] + 1, entry["track_id"] + 1)]
        assert row[["X", "Y", "Width", "Height"]].tolist() == pytest.approx(entry["bbox"], abs=1e-9)
        assert row["Confidence"] == pytest.approx(entry["score"])


def test_threshold_and_track(real: Path, native: dict[str, Any], tmp_path: Path) -> None:
    track = native["annotations"][0]["track_id"]
    convert(real, tmp_path / "x.json", "posetrack18", kpt_thr=0.6, track=track)
    data = json.loads((tmp_path / "x.json").read_text())
    sent = [entry for entry in native["annotations"] if entry["track_id"] == track]
    assert [entry["track_id"] for entry in data["annotations"]] == [track] * len(sent)
    assert len(data["images"]) == 6
    removed = 0
    for got, entry in zip(data["annotations"], sent, strict=True):
        for slot, score in enumerate(entry["scores"]):
            keep = score >= 0.6
            removed += not keep
            assert got["keypoints"][3 * slot : 3 * slot + 3] == (
                entry["keypoints"][3 * slot : 3 * slot + 3] if keep else [0, 0, 0]
            )
    assert removed
    with pytest.raises(UsageError, match="no track 999"):
        convert(real, tmp_path / "y.json", "posetrack18", track=999)


def person(track_id: int, x: float = 10.0) -> Person:
    points = np.full((17, 3), 0.5, np.float32)
    points[:, :2] = x + np.arange(17)[:, None]
    return Person(track_id, np.array([x, x, 20, 30], np.float32), 0.5, points)


def made(*frames: FrameResult) -> PoseTrackResult:
    header = {"format": 1, "time_base": "1/25", "fps": "25/1", "pts": [f.pts for f in frames], "damaged_frames": []}
    return PoseTrackResult(header, list(frames))


def frame(index: int, *people: Person) -> FrameResult:
    return FrameResult(index, index, index / 25, people)


def test_frame_numbers_past_a_sequence(tmp_path: Path) -> None:
    long = made(*(frame(index, person(3)) for index in (0, 9998, 9999, 10000, 25000)))
    write_result(long, tmp_path / "a.json", "posetrack17", Options())
    annolist = json.loads((tmp_path / "a.json").read_text())["annolist"]
    assert [entry["imgnum"] for entry in annolist] == [[1], [9999], [1], [2], [5003]]
    assert annolist[4]["image"]["name"] == "images/val/000003_mpii_dcpose/00005003.jpg"
    write_result(long, tmp_path / "b.json", "posetrack21", Options())
    images = json.loads((tmp_path / "b.json").read_text())["images"]
    assert [image["id"] for image in images] == [10000010000, 10000019998, 10000019999, 10000020000, 10000035000]
    for name, kind in (("a", "posetrack17"), ("b", "posetrack21")):
        convert(tmp_path / f"{name}.json", tmp_path / f"{kind}.json", "posetrack18")
        ids = [image["id"] for image in json.loads((tmp_path / f"{kind}.json").read_text())["images"]]
        assert ids == [image["id"] for image in images]


@pytest.mark.parametrize("kind", ["posetrack17", "posetrack18", "posetrack21"])
def test_track_ids_beyond_the_format_are_numbered_by_sequence(tmp_path: Path, kind: str) -> None:
    long = made(
        frame(0, person(5), person(999)), frame(10000, person(1000), person(7)), frame(10001, person(7), person(2000))
    )
    write_result(long, tmp_path / "a.json", kind, Options())
    ids = [[person.track_id for person in frame.people] for frame in read_frames(tmp_path / "a.json")]
    assert ids == [[5, 999], [0, 1], [1, 2]]
    write_result(long, tmp_path / "a.txt", "mot", Options())  # a format without a limit keeps them
    assert "10002,2001," in (tmp_path / "a.txt").read_text()


def test_nobody(tmp_path: Path) -> None:
    empty = made(frame(0), frame(1))
    for name, kind in FORMATS.items():
        out = tmp_path / f"{name}{kind.suffix}"
        if kind.needs is not None and find_spec(kind.needs[0]) is None:
            continue
        if name in ("trc", "c3d", "bvh"):
            with pytest.raises(OutputError, match="nobody"):
                write_result(empty, out, name, Options())
        else:
            assert write_result(empty, out, name, Options())[0] == out
    assert (tmp_path / "csv.csv").read_text() == "frame,time,track_id,person,joint,x,y,score\n"
    assert json.loads((tmp_path / "coco.json").read_text()) == []


def test_people_who_share_an_id_are_refused(tmp_path: Path) -> None:
    for people in ((person(1), person(1, 50)), (person(-1),)):
        with pytest.raises(InputError, match="frame 4"):
            write_result(made(frame(4, *people)), tmp_path / "x.txt", "mot", Options())
    assert list(tmp_path.iterdir()) == []
