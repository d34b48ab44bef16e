"""Formats of other tools, each read by its own library: every coordinate, confidence, time, name and missing joint."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dcpose_cli import UsageError
from dcpose_cli.export.angles import ALL_ANGLES, all_angles, facing_of
from dcpose_cli.export.formats import FORMATS, Options, convert, write_result
from dcpose_cli.results import PoseTrackResult
from dcpose_cli.skeleton import JOINT_NAMES
from dcpose_cli.types import FrameResult, Person

NAMES = [name for name in JOINT_NAMES if not name.endswith("_ear")]
TRACKS = (0, 3)


def truth():
    """(12 frames, 2 tracks, 17 joints, 3): track 3 is absent in frames 4 to 6, ears always, a wrist sometimes."""
    generator = np.random.default_rng(4)
    points = np.round(generator.uniform(0, 300, (12, 2, 17, 3)), 2)
    points[..., 2] = np.round(generator.uniform(0.1, 0.99, (12, 2, 17)), 4)
    points[:, :, [3, 4]] = np.nan
    points[4:7, 1] = np.nan
    points[2:5, 0, 9] = np.nan
    return points


def made(*, times=None, first=10, header=None):
    """The result with these joints, of a video at 25 frames per second, from its frame 10 on."""
    frames = []
    for k, row in enumerate(truth()):
        people = []
        for place, track in enumerate(TRACKS):
            if np.isfinite(row[place]).any():
                box = np.array([10 + k, 20, 100, 200 + track], np.float32)
                score = 0.5 + k / 100 + track / 1000
                people.append(Person(track, box, score, np.nan_to_num(row[place]).astype(np.float32)))
        time = k / 25 if times is None else times[k]
        frames.append(FrameResult(first + k, k, time, tuple(people)))
    head = {"format": 1, "time_base": "1/25", "fps": "25/1", "pts": list(range(12)), "damaged_frames": [],
            "width": 320, "height": 340, "input": {"name": "clip.mp4"}}  # fmt: skip
    return PoseTrackResult(head | (header or {}), frames)


def expected():
    """(12, 2, 15, 3) without the ears, NaN where absent."""
    return truth()[:, :, [JOINT_NAMES.index(name) for name in NAMES]]


def write(to, tmp_path, result=None, **options):
    kind = FORMATS[to]
    if kind.needs:
        pytest.importorskip(kind.needs[0], reason=f"needs {kind.needs[0]}: pip install 'dcpose[{kind.needs[1]}]'")
    return write_result(result or made(), tmp_path / f"x{kind.suffix}", to, Options(**options))


def check_deeplabcut(table):
    assert list(table.columns.names) == ["scorer", "individuals", "bodyparts", "coords"]
    assert table.index.tolist() == list(range(10, 22))
    assert list(table.columns.get_level_values("individuals").unique()) == ["track0", "track3"]
    assert list(table.columns.get_level_values("bodyparts").unique()) == NAMES
    assert list(table.columns.get_level_values("coords").unique()) == ["x", "y", "likelihood"]
    np.testing.assert_array_equal(table.to_numpy(float).reshape(12, 2, 15, 3), expected())


def test_deeplabcut_csv_through_pandas(tmp_path):
    import pandas as pd

    [path] = write("deeplabcut-csv", tmp_path)
    check_deeplabcut(pd.read_csv(path, header=[0, 1, 2, 3], index_col=0))


def test_deeplabcut_hdf5_through_pandas(tmp_path):
    import pandas as pd

    [path] = write("deeplabcut", tmp_path)
    check_deeplabcut(pd.read_hdf(path))


@pytest.mark.filterwarnings("ignore")  # of the reader and its libraries
@pytest.mark.parametrize("to", ["deeplabcut", "deeplabcut-csv"])
def test_movement_opens_deeplabcut_files(tmp_path, to):
    load_poses = pytest.importorskip("movement.io.load_poses", reason="needs movement: pip install movement")
    [path] = write(to, tmp_path)
    data = load_poses.from_dlc_file(path, fps=25)
    assert data.individuals.values.tolist() == ["track0", "track3"]
    assert data.keypoints.values.tolist() == NAMES
    np.testing.assert_allclose(data.time.values, np.arange(12) / 25)
    position = data.position.transpose("time", "individuals", "keypoints", "space").values
    np.testing.assert_array_equal(position, expected()[..., :2])
    confidence = data.confidence.transpose("time", "individuals", "keypoints").values
    np.testing.assert_array_equal(confidence, expected()[..., 2])


@pytest.mark.filterwarnings("ignore")  # of the library's own libraries
def test_sleap_through_sleap_io(tmp_path):
    [path] = write("sleap", tmp_path)
    import sleap_io

    labels = sleap_io.load_slp(str(path), open_videos=False)
    assert labels.skeleton.node_names == NAMES
    assert [track.name for track in labels.tracks] == ["0", "3"]
    assert ("left_hip", "left_knee") in {(e.source.name, e.destination.name) for e in labels.skeleton.edges}
    assert [frame.frame_idx for frame in labels] == list(range(10, 22))
    assert str(labels.video.filename) == "clip.mp4"
    for k, frame in enumerate(labels):
        there = [place for place in (0, 1) if np.isfinite(expected()[k, place]).any()]
        assert [instance.track.name for instance in frame.instances] == [str(TRACKS[place]) for place in there]
        for place, instance in zip(there, frame.instances, strict=True):
            np.testing.assert_array_equal(instance.numpy(), expected()[k, place, :, :2])
            found = np.isfinite(expected()[k, place, :, 0])
            np.testing.assert_allclose(instance.points["score"][found], expected()[k, place, found, 2], atol=1e-7)
            assert instance.score == pytest.approx(0.5 + k / 100 + TRACKS[place] / 1000, abs=1e-4)


@pytest.mark.filterwarnings("ignore")  # of the library's own libraries
def test_nwb_through_ndx_pose(tmp_path):
    [path] = write("nwb", tmp_path)
    import pynwb

    with pynwb.NWBHDF5IO(str(path), "r") as io:
        behavior = io.read().processing["behavior"]
        skeleton = behavior["Skeletons"].skeletons["person"]
        assert list(skeleton.nodes[:]) == NAMES
        edges = {(NAMES[a], NAMES[b]) for a, b in skeleton.edges[:].tolist()}
        assert ("left_hip", "left_knee") in edges
        assert len(edges) == 13
        for place, track in enumerate(TRACKS):
            pose = behavior[f"track_{track}"]
            assert list(pose.original_videos[:]) == ["clip.mp4"]
            assert pose.dimensions[:].tolist() == [[320, 340]]
            assert pose.skeleton is skeleton
            for joint, name in enumerate(NAMES):
                series = pose.pose_estimation_series[name]
                np.testing.assert_array_equal(series.data[:], expected()[:, place, joint, :2])
                np.testing.assert_array_equal(series.confidence[:], expected()[:, place, joint, 2])
                np.testing.assert_allclose(series.timestamps[:], np.arange(12) / 25)
                assert series.unit == "pixels"


@pytest.mark.filterwarnings("ignore:No analog data")
def test_c3d_through_two_libraries(tmp_path):
    files = write("c3d", tmp_path)
    import ezc3d

    assert [path.name for path in files] == ["x_track0.c3d", "x_track3.c3d"]
    for place, path in enumerate(files):
        data = ezc3d.c3d(str(path))
        assert data["parameters"]["POINT"]["LABELS"]["value"] == NAMES
        assert data["parameters"]["POINT"]["RATE"]["value"][0] == 25
        assert data["parameters"]["POINT"]["UNITS"]["value"] == ["px"]
        points = data["data"]["points"].transpose(2, 1, 0)[..., :3]
        sent = expected()[:, place]
        np.testing.assert_allclose(points[..., :2], sent[..., :2], rtol=1e-6)
        missing = np.isnan(sent[..., 0])
        assert (points[..., 2][~missing] == 0).all()
        np.testing.assert_array_equal(data["data"]["meta_points"]["residuals"][0].T < 0, missing)
    c3d = pytest.importorskip("c3d", reason="needs c3d: pip install c3d")
    with files[1].open("rb") as file:
        reader = c3d.Reader(file)
        assert [label.strip() for label in reader.point_labels] == NAMES
        assert reader.point_rate == 25
        frames = list(reader.read_frames())
    assert [number for number, *_ in frames] == list(range(11, 23))
    for (_, points, _), sent in zip(frames, expected()[:, 1], strict=True):
        found = np.isfinite(sent[:, 0])
        np.testing.assert_allclose(points[found, :2], sent[found, :2], rtol=1e-6)
        assert (points[~found, 3] == -1).all()


def test_c3d_in_metres(tmp_path):
    [path] = write("c3d", tmp_path, track=0, metres_per_pixel=0.01)
    import ezc3d

    data = ezc3d.c3d(str(path))
    assert data["parameters"]["POINT"]["UNITS"]["value"] == ["m"]
    points = data["data"]["points"].transpose(2, 1, 0)
    sent = expected()[:, 0]
    np.testing.assert_allclose(points[..., 0], 0.01 * sent[..., 0], rtol=1e-5)
    np.testing.assert_allclose(points[..., 1], 0.01 * (340 - 0.5 - sent[..., 1]), rtol=1e-4, atol=1e-6)


def test_excel_through_openpyxl(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="needs openpyxl: pip install openpyxl")
    [path] = write("xlsx", tmp_path)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["angles", "joints", "about"]
    angles, joints = (list(book[name].iter_rows(values_only=True)) for name in ("angles", "joints"))
    assert angles[0] == ("frame", "time", "track_id", *ALL_ANGLES)
    assert joints[0][:7] == ("frame", "time", "track_id", "score", "nose_x", "nose_y", "nose_score")
    rows = [(k, place) for k in range(12) for place in (0, 1) if np.isfinite(truth()[k, place]).any()]
    assert len(angles) == len(joints) == len(rows) + 1
    for (k, place), angle, joint in zip(rows, angles[1:], joints[1:], strict=True):
        assert angle[:3] == joint[:3] == (10 + k, k / 25, TRACKS[place])
        assert joint[3] == pytest.approx(0.5 + k / 100 + TRACKS[place] / 1000, abs=1e-4)
        cells = np.array([np.nan if cell is None else cell for cell in joint[4:]], float)
        cells = np.pad(cells, (0, 51 - len(cells)), constant_values=np.nan)
        np.testing.assert_array_equal(cells.reshape(17, 3), truth()[k, place])
        facing = np.array([facing_of(made())[TRACKS[place]]])
        degrees, _ = all_angles(np.nan_to_num(truth()[k, place])[None], facing)
        got = np.array([np.nan if cell is None else cell for cell in angle[3:]], float)
        np.testing.assert_allclose(got, degrees[0], atol=0.011)
    assert dict(list(book["about"].iter_rows(values_only=True)))["fps"] == "25/1"
    assert book["angles"].freeze_panes == "A2"


def test_json_lines(tmp_path):
    [path] = write("jsonl", tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["frame"], line["time"]) for line in lines] == [(10 + k, k / 25) for k in range(12)]
    for k, line in enumerate(lines):
        for person in line["people"]:
            place = TRACKS.index(person["track_id"])
            sent = {
                name: joint.tolist() for name, joint in zip(JOINT_NAMES, truth()[k, place], strict=True) if joint[2] > 0
            }
            assert person["joints"] == sent
            assert person["bbox"] == [10 + k, 20, 100, 200 + person["track_id"]]
    assert [len(line["people"]) for line in lines] == [2] * 4 + [1] * 3 + [2] * 5


def rerun_columns(path):
    """(entity, column) -> frame number -> value, as the library reads them; and frame number -> seconds."""
    chunk = pytest.importorskip("rerun.chunk", reason="needs a rerun that reads recordings")
    columns, seconds = {}, {}
    for part in chunk.RrdReader(path).stream():
        table = part.to_record_batch()
        if "frame" not in table.schema.names:
            continue
        frames = [int(value) for value in table.column("frame").cast("int64").to_pylist()]
        clock = table.column("time").cast("int64").to_pylist()
        seconds |= {frame: value / 1e9 for frame, value in zip(frames, clock, strict=True)}
        for name in table.schema.names:
            values = zip(frames, table.column(name).to_pylist(), strict=True)
            found = columns.setdefault((str(part.entity_path), name), {})
            found |= {frame: value for frame, value in values if value is not None}
    return columns, seconds


def test_rerun_through_its_reader(tmp_path):
    [path] = write("rerun", tmp_path)
    columns, seconds = rerun_columns(path)
    assert seconds == pytest.approx({10 + k: k / 25 for k in range(12)})
    for place, track in enumerate(TRACKS):
        entity = f"/people/track_{track}"
        xy, names = (columns[f"{entity}/joints", f"Points2D:{part}"] for part in ("positions", "labels"))
        scores = columns[f"{entity}/confidence", "Scalars:scalars"]
        for k, sent in enumerate(expected()[:, place]):
            found = np.isfinite(sent[:, 0])
            if found.any():
                np.testing.assert_allclose(np.array(xy[10 + k]), sent[found, :2], rtol=1e-6)
                np.testing.assert_array_equal(scores[10 + k], sent[found, 2])
                assert names[10 + k] == [name for name, there in zip(NAMES, found, strict=True) if there]
            else:
                assert not {10 + k} & (xy.keys() | scores.keys())
    assert 14 in columns["/people/track_3", "Clear:is_recursive"]


@pytest.mark.parametrize("to", [name for name, kind in FORMATS.items() if kind.needs])
def test_a_missing_package_is_said_before_anything_else(tmp_path, to, monkeypatch):
    monkeypatch.setattr("dcpose_cli.export.format.find_spec", lambda name: None)
    package, extra = FORMATS[to].needs
    with pytest.raises(UsageError, match=rf"needs the package {package}; pip install 'dcpose\[{extra}\]'"):
        convert(tmp_path / "none.json", tmp_path / f"x{FORMATS[to].suffix}", to)


def test_irregular_times_are_said_and_resampled(tmp_path, dcpose):
    from dcpose_cli.results import PoseTrackWriter

    times = [0, 40, 80, 170, 200, 260, 300, 330, 400, 440, 500, 550]
    for name, fps in (("a", "25/1"), ("b", "50/3")):
        header = {"time_base": "1/1000", "fps": fps, "width": 320, "height": 340}
        with PoseTrackWriter(tmp_path / f"{name}.json", header) as writer:
            for k, frame in enumerate(made().frames):
                writer.write(FrameResult(k, times[k], times[k] / 1000, frame.people))
    rates = set()
    for name in "ab":
        done = dcpose(
            "convert", tmp_path / f"{name}.json", "--to", "trc", "--track", "0", "-o", tmp_path / f"{name}.trc"
        )
        assert "30.0 to 90.0 ms apart" in done.stderr
        assert "--resample-fps" in done.stderr
        rates.add((tmp_path / f"{name}.trc").read_text().splitlines()[2].split("\t")[0])
    assert rates == {"20"}
    done = dcpose("convert", tmp_path / "a.json", "--to", "trc", "--track", "0", "-o", tmp_path / "c.trc",
                  "--resample-fps", "100")  # fmt: skip
    assert "ms apart" not in done.stderr
    rows = (tmp_path / "c.trc").read_text().splitlines()
    assert rows[2].split("\t")[0] == "100"
    assert [float(row.split("\t")[1]) for row in rows[6:]] == pytest.approx([k / 100 for k in range(len(rows) - 6)])
    assert len(rows) - 6 == 56
