"""Tables of DeepLabCut as input: CSV and HDF5, one animal and several, predictions and labels."""

from __future__ import annotations

import csv
import os
import pickle
import sys

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.results.foreign import read_result
from dcpose_cli.skeleton import JOINT_NAMES

LIMBS = JOINT_NAMES[5:]
FRAMES = 6


def value(track, joint, frame):
    """x, y, likelihood."""
    return [100.0 + 10 * joint + frame + 300 * track, 50.0 + 7 * joint, round(0.3 + joint / 100, 4)]


def columns(individuals, parts, coords=("x", "y", "likelihood")):
    return [("net", one, part, coord) for one in individuals for part in parts for coord in coords]


def rows(individuals, parts, coords=3):
    """The table; in frame 2 nobody, in frame 3 no first joint of the first individual."""
    out = []
    for frame in range(FRAMES):
        row = [v for t, _ in enumerate(individuals) for j, _ in enumerate(parts) for v in value(t, j, frame)[:coords]]
        out.append([np.nan] * len(row) if frame == 2 else row)
    out[3][:coords] = [np.nan] * coords
    return out


def write_csv(path, cols, values, index, levels=("scorer", "individuals", "bodyparts", "coords")):
    several = any(col[1] for col in cols)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        width = len(index[0])
        for level, name in enumerate(levels):
            if several or level != 1:
                out.writerow([name, *[""] * (width - 1), *(col[level] for col in cols)])
        for name, row in zip(index, values, strict=True):
            out.writerow([*name, *("" if v != v else v for v in row)])


def check(result, tracks, parts=LIMBS, score=True):
    assert result.assumed_fps
    assert [frame.index for frame in result.frames] == list(range(FRAMES))
    assert [frame.time for frame in result.frames] == [i / 25 for i in range(FRAMES)]
    for frame in result.frames:
        assert [p.track_id for p in frame.people] == ([] if frame.index == 2 else tracks)
        for place, person in enumerate(frame.people):
            for joint, name in enumerate(parts):
                x, y, likelihood = value(place, joint, frame.index)
                missing = frame.index == 3 and place == 0 and joint == 0
                expected = [0, 0, 0] if missing else [x, y, likelihood if score else 1]
                np.testing.assert_allclose(person.keypoints[JOINT_NAMES.index(name)], expected, rtol=1e-6)
            assert not person.keypoints[:3].any()


@pytest.mark.parametrize("spelling", ["{}", "camel"])
def test_csv_of_one(tmp_path, spelling):
    parts = [n if spelling == "{}" else "".join(w.title() for w in n.split("_")) for n in LIMBS]
    write_csv(tmp_path / "a.csv", columns([""], parts), rows([""], parts), [[i] for i in range(FRAMES)])
    check(read_result(tmp_path / "a.csv"), [0])


def test_csv_of_several(tmp_path):
    people = ["track3", "track8"]
    write_csv(tmp_path / "a.csv", columns(people, LIMBS), rows(people, LIMBS), [[i] for i in range(FRAMES)])
    check(read_result(tmp_path / "a.csv"), [3, 8])
    named = ["anna", "bert"]
    write_csv(tmp_path / "b.csv", columns(named, LIMBS), rows(named, LIMBS), [[i] for i in range(FRAMES)])
    check(read_result(tmp_path / "b.csv"), [0, 1])


def test_labels_are_rows_of_pictures(tmp_path):
    index = [["labeled-data", "clip", f"img{i + 7:03d}.png"] for i in range(FRAMES)]
    cols = columns([""], LIMBS, ("x", "y"))
    write_csv(tmp_path / "CollectedData_me.csv", cols, rows([""], LIMBS, 2), index)
    check(read_result(tmp_path / "CollectedData_me.csv"), [0], score=False)


def test_parts_without_a_slot_are_further_joints(tmp_path):
    parts = [*LIMBS, "Neck", "left_heel", "RBigToe", "racket tip", "left_eye", "racket-tip"]
    write_csv(tmp_path / "a.csv", columns([""], parts), rows([""], parts), [[i] for i in range(FRAMES)])
    result = read_result(tmp_path / "a.csv")
    check(result, [0])
    further = ("neck", "left_heel", "right_big_toe", "racket_tip", "left_eye", "racket-tip")
    assert result.joints == (*JOINT_NAMES, *further)
    for frame in result.frames:
        for person in frame.people:
            expected = [value(0, len(LIMBS) + k, frame.index) for k in range(len(further))]
            np.testing.assert_allclose(person.keypoints[17:], expected, rtol=1e-6)
    legs = ["left_knee", "right_knee", "left_ankle", "right_ankle"]
    write_csv(tmp_path / "b.csv", columns([""], legs), rows([""], legs), [[i] for i in range(FRAMES)])
    check(read_result(tmp_path / "b.csv"), [0], legs)


@pytest.mark.parametrize("layout", ["table", "fixed"])
@pytest.mark.parametrize("people", [["track3", "track8"], [""]])
def test_hdf5_as_pandas_writes_it(tmp_path, layout, people):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("tables", reason="needs tables: pip install 'dcpose[formats]'")
    names = ["scorer", "individuals", "bodyparts", "coords"]
    cols = columns(people, LIMBS)
    if people == [""]:
        cols, names = [(a, c, d) for a, _, c, d in cols], [names[0], *names[2:]]
    index = pd.MultiIndex.from_tuples(cols, names=names)
    if layout == "fixed":
        index = index.set_levels([level.astype(object) for level in index.levels])
    table = pd.DataFrame(np.array(rows(people, LIMBS)), columns=index)
    table.to_hdf(tmp_path / "a.h5", key="df_with_missing", mode="w", format=layout)
    check(read_result(tmp_path / "a.h5"), [0] if people == [""] else [3, 8])


def test_what_dcpose_writes_is_read_back(tmp_path, result):
    from dcpose_cli.export.formats import Options, write_result
    from dcpose_cli.results.serialization import written

    pytest.importorskip("tables", reason="needs tables: pip install 'dcpose[formats]'")
    tracks = {person.track_id for frame in result.frames for person in frame.people}
    for to, name in (("deeplabcut", "a.h5"), ("deeplabcut-csv", "a.csv")):
        write_result(result, tmp_path / name, to, Options())
        back = read_result(tmp_path / name)
        assert {person.track_id for frame in back.frames for person in frame.people} == tracks
        for old, new in zip(result.frames, back.frames, strict=True):
            assert old.index == new.index
            before = {person.track_id: written(person).joints for person in old.people}
            assert before == {person.track_id: written(person).joints for person in new.people}


def test_a_file_that_would_run_code_runs_none(tmp_path):
    """pandas and PyTables unpickle what a file says its columns are; this reader takes plain lists alone."""
    h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'dcpose[formats]'")

    class Bomb:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    for payload, says in ((Bomb(), "code of files is not run"), ([[0]], "values to unpack")):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            group = file.create_group("df_with_missing")
            group.attrs["pandas_type"] = "frame_table"
            group["table"] = np.zeros(3, [("index", "i8"), ("values_block_0", "f8", (6,))])
            group.attrs["non_index_axes"] = np.bytes_(pickle.dumps(payload, 0))
        with pytest.raises(InputError, match=says):
            read_result(tmp_path / "a.h5")
    assert not (tmp_path / "ran").exists()


def test_a_table_with_one_side_of_the_body(tmp_path):
    """As a camera beside a treadmill gives it; the knee is missing in the first frame, and nobody is in the second."""
    parts = ("LHip", "LKnee", "left ankle")
    rows = [
        "scorer" + ",net" * 9,
        "bodyparts," + ",".join(p for p in parts for _ in range(3)),
        "coords" + ",x,y,likelihood" * 3,
    ]
    rows += ["0,1,2,0.9,,,,5,6,0.8", "1" + "," * 9, "2,1,2,0.9,3,4,0.7,5,6,0.8"]
    (tmp_path / "side.csv").write_text("\n".join(rows) + "\n")
    result = read_result(tmp_path / "side.csv")
    assert [len(f.people) for f in result.frames] == [1, 0, 1]
    seen = [
        {n for n, k in zip(result.joints, f.people[0].keypoints, strict=True) if k[2] > 0} for f in result.frames[::2]
    ]
    assert seen == [{"left_hip", "left_ankle"}, {"left_hip", "left_knee", "left_ankle"}]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "frame,time,track_id\n0,0,0\n", "none of DeepLabCut: its first row does not begin with 'scorer'"),
        ("a.csv", "", "none of DeepLabCut"),
        ("a.csv", "scorer,n\rn\nbodyparts,nose\n", "'coords' is missing"),
        ("a.csv", 'scorer,"' + "n" * 200_000, "field larger than field limit"),
        ("a.csv", "scorer,n,n\nbodyparts,snout,snout\ncoords,x,y\n0,1,2\n", r"none of its keypoints is known \(snout"),
        ("a.csv", "scorer,n,n\nbodyparts,nose,nose\ncoords,x,y\n0,1,2\n0,3,4\n", "two of its rows are of one frame"),
        ("a.csv", "scorer,n,n\nbodyparts,nose,nose\ncoords,x,y\n0,1\n", "fit its header"),
        ("a.csv", "scorer,n,n\nbodyparts,nose,nose\ncoords,x,y\n0,1,2\n1,3\n", "fit its header"),
        ("a.csv", "scorer,n,n\nbodyparts,nose,nose\ncoords,x,y\n", "has no rows of frames"),
        ("a.csv", "scorer,n,n\nbodyparts,nose,nose\ncoords,x,y\n0,one,2\n", "could not convert"),
        ("a.csv", "scorer,n,n\nbodyparts,nose,nose\ncoords,x,y\n0,1e300,2\n", "out of range"),
        ("a.csv", "scorer,n\nbodyparts,nose\ncoords,x\n0,1\n", "nose has no column y"),
    ],
)
def test_other_tables_are_refused_by_name(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        read_result(tmp_path / name)
    assert str(caught.value.path) == str(tmp_path / name)


def test_other_hdf5_files_are_refused_by_name(tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'dcpose[formats]'")
    with h5py.File(tmp_path / "sleap.h5", "w") as file:
        file["tracks"] = np.zeros((1, 2, 3, 4))
    with pytest.raises(InputError, match="none of DeepLabCut: it does not hold one table of pandas"):
        read_result(tmp_path / "sleap.h5")
    with pytest.raises(InputError, match="cannot be read"):
        read_result(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_result(tmp_path / "text.h5")
    assert str(caught.value.path) == str(tmp_path / "text.h5")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.h5")
        with pytest.raises(InputError, match="a pipe or device"):
            read_result(tmp_path / "pipe.h5")
    data = (tmp_path / "sleap.h5").read_bytes()
    assert b"SNOD" in data
    (tmp_path / "damaged.h5").write_bytes(data.replace(b"SNOD", b"SNAD"))
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_result(tmp_path / "damaged.h5")


def test_without_h5py_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").write_text("any")
    with pytest.raises(InputError, match=r"needs the package h5py: pip install 'dcpose\[formats\]'"):
        read_result(tmp_path / "a.h5")
