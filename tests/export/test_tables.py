"""Tidy tables: joints, angles and quality, read by pandas and pyarrow and compared with the result."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli.export.angles import ALL_ANGLES, ANGLES, joint_angles
from dcpose_cli.export.formats import Options, convert, write_result
from dcpose_cli.results import PoseTrackResult
from dcpose_cli.results.serialization import written
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_through_pandas(real, result, tmp_path, kind):
    import pandas as pd

    outs = [tmp_path / f"x{ending}.{kind}" for ending in ("", "_angles", "_quality")]
    assert convert(real, outs[0], kind) == outs
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    joints, angles, quality = map(read, outs)
    assert list(joints.columns) == ["frame", "time", "track_id", "person", "joint", "x", "y", "score"]
    assert list(angles.columns) == ["frame", "time", "track_id", "person", "angle", "degrees", "score"]
    people = [(frame, person) for frame in result.frames for person in frame.people]
    assert len(joints) == 17 * len(people)
    assert len(angles) == len(ALL_ANGLES) * len(people)
    for number, (frame, person) in enumerate(people):
        part = joints.iloc[17 * number : 17 * number + 17]
        expected = np.array([joint or (np.nan, np.nan, 0) for joint in written(person).joints])
        assert part["joint"].tolist() == list(JOINT_NAMES)
        assert set(part["frame"]) == {frame.index}
        assert part["time"].to_numpy() == pytest.approx(frame.time, abs=1e-6)
        assert set(part["track_id"]) == {person.track_id}
        np.testing.assert_array_equal(part[["x", "y"]].to_numpy(float), expected[:, :2])
        np.testing.assert_array_equal(part["score"].to_numpy(float), expected[:, 2])
        rows = angles.iloc[len(ALL_ANGLES) * number : len(ALL_ANGLES) * (number + 1)]
        assert rows["angle"].tolist() == list(ALL_ANGLES)
        degrees, _ = joint_angles(np.nan_to_num(expected)[None])
        np.testing.assert_allclose(rows["degrees"].to_numpy(float)[: len(ANGLES)], degrees[0], atol=0.02)
    assert quality["frames"].sum() == len(people)
    assert set(quality["track_id"]) == {person.track_id for _, person in people}


def test_parquet_types_through_pyarrow(real, tmp_path):
    import pyarrow.parquet as pq

    convert(real, tmp_path / "x.parquet", "parquet")
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "x.parquet")}
    assert types["frame"] == types["track_id"] == "int64"
    assert types["time"] == types["x"] == "double"
    assert types["joint"] in ("string", "large_string")
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "x_quality.parquet")}
    assert types["second"] == "int64"
    assert {types[n] for n in ("low_confidence", "leg_swap", "arm_swap", "person_swap", "filled_gap")} == {"bool"}


def standing(track, confidence=0.8, interpolated=False):
    points = np.zeros((17, 3), np.float32)
    points[:, :2] = np.random.default_rng(track).uniform(0, 60, (17, 2))
    points[:, 2] = confidence
    return Person(track, np.array([0, 0, 60, 60], np.float32), 0.9, points, interpolated)


def test_quality_of_every_second_and_track(tmp_path):
    """At 10 frames per second from 0.5 s on: track 2 is unsure in the second second, track 5 fills a gap at 2.1 s."""
    frames = []
    for index in range(20):
        time = 0.5 + index / 10
        people = [standing(2, 0.2 if 1 <= time < 2 else 0.8)]
        people += [standing(5, interpolated=index == 16)] if time >= 2 else []
        frames.append(FrameResult(index, index, time, tuple(people)))
    header = {"format": 1, "time_base": "1/10", "pts": list(range(20)), "damaged_frames": []}
    write_result(PoseTrackResult(header, frames), tmp_path / "x.csv", "csv", Options())
    assert (tmp_path / "x_quality.csv").read_text().splitlines() == [
        "second,track_id,frames,confidence,low_confidence,leg_swap,arm_swap,person_swap,filled_gap",
        "0,2,5,0.8,false,false,false,false,false",
        "1,2,10,0.2,true,false,false,false,false",
        "2,2,5,0.8,false,false,false,false,false",
        "2,5,5,0.8,false,false,false,false,true",
    ]


def test_nobody_has_no_rows(tmp_path):
    header = {"format": 1, "time_base": "1/10", "pts": [0], "damaged_frames": []}
    write_result(PoseTrackResult(header, [FrameResult(0, 0, 0.0)]), tmp_path / "x.csv", "csv", Options())
    for ending in ("", "_angles", "_quality"):
        assert len((tmp_path / f"x{ending}.csv").read_text().splitlines()) == 1
