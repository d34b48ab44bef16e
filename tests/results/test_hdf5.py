"""HDF5 files of others: what claims more than it holds, or leads elsewhere, is refused before it is read."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from dcpose_cli.errors import InputError
from dcpose_cli.results.foreign import read_result

h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'dcpose[formats]'")
FIELDS = [("index", "i8"), ("values_block_0", "f8", (3,))]
COLUMNS = [("net", "nose", "x"), ("net", "nose", "y"), ("net", "nose", "likelihood")]


def write_table(path, *, columns=COLUMNS, pickled=None, **table):
    """A table of pandas in its layout "table"; table: arguments of create_dataset."""
    with h5py.File(path, "w", libver="latest") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = "frame_table"
        group.attrs["non_index_axes"] = np.bytes_(pickled or pickle.dumps([(1, columns)], 0))
        group.create_dataset("table", **(table or {"data": np.ones(1, FIELDS)}))


def write_fixed(path, **changes):
    """A table in the layout "fixed"; changes: another value of a member, a function that makes it, or None."""
    members = {
        "axis0_level0": np.array([b"net"]),
        "axis0_level1": np.array([b"nose"]),
        "axis0_level2": np.array([b"x", b"y", b"likelihood"]),
        "axis0_label0": np.zeros(3, np.int8),
        "axis0_label1": np.zeros(3, np.int8),
        "axis0_label2": np.arange(3, dtype=np.int8),
        "axis1": np.arange(2),
        "block0_values": np.ones((2, 3)),
    }
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"], group.attrs["axis0_nlevels"] = "frame", 3
        for name, value in (members | changes).items():
            if callable(value):
                value(group, name)
            elif value is not None:
                group[name] = value


def test_both_layouts_are_read(tmp_path):
    write_table(tmp_path / "a.h5")
    write_fixed(tmp_path / "b.h5")
    assert [len(read_result(tmp_path / name).frames) for name in ("a.h5", "b.h5")] == [1, 2]


def sparse(group, name):
    group.create_dataset(name, (10**9, 3), "f8", chunks=(1000, 3), fillvalue=1.0)


def texts(group, name):
    group[name] = np.array(["net" * 1000], h5py.string_dtype())


def virtual(group, name):
    layout = h5py.VirtualLayout((2, 3), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2, 3))
    group.create_virtual_dataset(name, layout)


@pytest.mark.parametrize(
    ("member", "value", "says"),
    [
        ("block0_values", sparse, "its block0_values claims 24,000,000,000 bytes, more than the file holds"),
        ("block0_values", virtual, "the values of its block0_values are in another file"),
        ("block0_values", h5py.Empty("f8"), "its block0_values is empty"),
        ("axis0_level0", texts, "its axis0_level0 is made of neither numbers nor short texts"),
        ("axis0_level0", np.array([b"n" * 2000]), "neither numbers nor short texts"),
        ("axis0_level0", h5py.ExternalLink("other.h5", "x"), "axis0_level0"),
        ("axis0_level0", h5py.SoftLink("/df_with_missing/axis1"), "axis0_level0"),
        ("axis0_level0", lambda group, name: group.create_group(name), "axis0_level0"),
        ("axis1", None, "its rows have 0 levels"),
    ],
)
def test_arrays_that_are_not_what_they_claim(tmp_path, member, value, says):
    write_fixed(tmp_path / "a.h5", **{member: value})
    with pytest.raises(InputError, match=says):
        read_result(tmp_path / "a.h5")


def test_values_in_other_files_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(np.ones(6).tobytes())

    def external(group, name):
        group.create_dataset(name, (2, 3), "f8", external=[(str(tmp_path / "secret"), 0, 48)])

    write_fixed(tmp_path / "a.h5", block0_values=external)
    with pytest.raises(InputError, match="the values of its block0_values are in another file"):
        read_result(tmp_path / "a.h5")


def doubled(levels):
    """A list that holds itself so often that its text never ends."""
    value = ["x"]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"shape": (10**10,), "dtype": FIELDS, "chunks": (1000,)}, "claims 320,000,000,000 bytes"),
        ({"columns": [("net", "nose", doubled(60))]}, "neither a short text nor a number"),
        ({"columns": [("net", "n" * 2000, "x")]}, "neither a short text nor a number"),
        ({"columns": [tuple("abcdefghij")]}, "not three or four levels"),
        ({"columns": ["net"]}, "not three or four levels"),
        ({"pickled": b"\x80\x04]r\xff\xff\xff\x7f."}, "claims more values than it has"),
        ({"pickled": b"]p2000000000\n."}, "claims more values than it has"),
        ({"columns": [("net", f"{k:900d}", "x") for k in range(2000)]}, "bytes, 1,048,576 are the most"),
    ],
)
def test_lists_of_columns_that_never_end(tmp_path, content, says):
    write_table(tmp_path / "a.h5", **content)
    with pytest.raises(InputError, match=says):
        read_result(tmp_path / "a.h5")
