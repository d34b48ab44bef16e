"""Tar files of training sets that cannot be meant: named, exit code 3, before the first step."""

from __future__ import annotations

import io
import json
import runpy
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from dcpose_cli import pictures
from dcpose_cli.errors import InputError
from dcpose_cli.pictures import PictureFile, TarIndex
from dcpose_cli.training.data.pack import read_parts
from dcpose_cli.training.data.pictures import PictureStore, StoredPictures

PACK = runpy.run_path(str(Path(__file__).parents[1] / "training" / "conftest.py"))
PICTURE = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
LENGTH = len(PICTURE)
RECIPE = """
name = "t"
[data]
stills = ["stills"]
[stage1]
steps = 2
batch = 2
warmup = 1
"""


def header(name="evil.png", size=LENGTH, kind=tarfile.REGTYPE, **fields):
    """The header of a member; a size beyond what a tar file writes goes in as a number of base 256."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data):
    return data + bytes(-len(data) % 512)


GOOD = header("good.png") + padded(PICTURE)
END = bytes(1024)


def long_name(length):
    return header("././@LongLink", length, tarfile.GNUTYPE_LONGNAME)


def pax(records):
    return header("pax", len(records), tarfile.XHDTYPE) + padded(records)


SPARSE = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n" + b"34 GNU.sparse.realsize=1000000000\n"
BOMBS = {
    "declares a terabyte": GOOD + header(size=10**12) + padded(PICTURE) + END,
    "declares more than any number of pictures": GOOD + header(size=2**80) + padded(PICTURE) + END,
    "cut short": GOOD + header(size=4000) + PICTURE,
    "negative size, which leads in a circle": GOOD + header(size=-512) + END,
    "negative size, far back": GOOD + header(size=-(10**15)) + END,
    "a name of a terabyte": GOOD + long_name(10**12) + END,
    "names that follow names": long_name(512) * 5_000 + END,
    "a map of a sparse file that never ends": GOOD + pax(SPARSE) + header(size=512) + b"9" * 512,
    "garbage after a good member": GOOD + b"\xff" * 1024,
    "not a tar file": b"PK\x03\x04" + bytes(2000),
    "compressed": b"\x1f\x8b" + bytes(2000),
    "empty": b"",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_tar_file_that_cannot_be_meant_is_named(tmp_path, bomb):
    (tmp_path / "a.tar").write_bytes(BOMBS[bomb])
    with pytest.raises(InputError, match=r"a\.tar") as caught:
        TarIndex().find(tmp_path / "a.tar", "evil.png")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (tarfile.SYMTYPE, {"linkname": "/etc/passwd"}),
        (tarfile.LNKTYPE, {"linkname": "good.png"}),
        (tarfile.FIFOTYPE, {}),
        (tarfile.CHRTYPE, {"devmajor": 1, "devminor": 5}),
        (tarfile.DIRTYPE, {}),
        (tarfile.GNUTYPE_SPARSE, {}),
    ],
)
def test_links_devices_and_sparse_members_are_no_pictures(tmp_path, kind, fields):
    (tmp_path / "a.tar").write_bytes(GOOD + header(size=0, kind=kind, **fields) + END)
    index = TarIndex()
    assert index.find(tmp_path / "a.tar", "good.png").decode().shape == (8, 8, 3)
    with pytest.raises(InputError, match=r"evil\.png: not in"):
        index.find(tmp_path / "a.tar", "evil.png")


def test_names_lead_nowhere(tmp_path):
    """Nothing is unpacked: an absolute name, or one with dots, is a name like others."""
    names = (str(tmp_path / "outside.png"), "../../outside.png")
    (tmp_path / "a.tar").write_bytes(b"".join(header(name) + padded(PICTURE) for name in names) + END)
    for name in names:
        assert TarIndex().find(tmp_path / "a.tar", name).read() == PICTURE
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_more_members_than_a_data_set_has(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_TAR_MEMBERS", 10)
    (tmp_path / "a.tar").write_bytes(GOOD * 11 + END)
    with pytest.raises(InputError, match="more than 10 members"):
        TarIndex().find(tmp_path / "a.tar", "good.png")


def test_a_member_longer_than_any_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_ENCODED_BYTES", 50)
    (tmp_path / "a.tar").write_bytes(GOOD + END)
    with pytest.raises(InputError, match="more than any picture"):
        TarIndex().find(tmp_path / "a.tar", "good.png")
    (tmp_path / "a.png").write_bytes(PICTURE)
    with pytest.raises(InputError, match="more bytes than any picture"):
        PictureFile(tmp_path / "a.png").read()


@pytest.mark.parametrize("shard", ["/etc/hostname", "../stills-000.tar", 5, "\0", "x" * 5_000])
def test_shards_that_lead_out_of_the_data_folder(tmp_path, shard):
    writer = PACK["PackWriter"](tmp_path, "stills")
    writer.add([PACK["person"]((8, 8, 36, 64))], shard=shard)
    writer.write()
    with pytest.raises(InputError):
        read_parts(tmp_path, ["stills"], split=None)


def test_pictures_that_are_decoded_later_are_looked_at_first(tmp_path):
    writer = PACK["PackWriter"](tmp_path, "stills")
    writer.add([PACK["person"]((8, 8, 36, 64))], width=60, height=80)
    bomb = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (40_000).to_bytes(4, "big") * 2 + bytes(40)
    store = PictureStore(limit=100)
    writer.write()
    (sample,) = read_parts(tmp_path, ["stills"], split=None, store=store)
    assert isinstance(sample.pictures, StoredPictures)
    writer.add([PACK["person"]((8, 8, 36, 64))], width=60, height=80, data=bomb)
    writer.write()
    with pytest.raises(InputError, match="too large"):
        read_parts(tmp_path, ["stills"], split=None, store=store)


def test_pictures_that_are_larger_than_the_part_says_do_not_fill_the_memory(tmp_path):
    writer = PACK["PackWriter"](tmp_path, "stills")
    for _ in range(4):
        writer.add([PACK["person"]((8, 8, 36, 64))], width=1, height=1)
    writer.write()
    samples = read_parts(tmp_path, ["stills"], split=None, store=PictureStore(limit=20_000))
    assert [isinstance(sample.pictures, StoredPictures) for sample in samples] == [False, False, True, True]
    assert {sample.pictures[0].shape for sample in samples} == {(80, 60, 3)}


def test_train_names_the_tar_file_before_its_first_step(dcpose, product, tiny_model, tmp_path):
    writer = PACK["PackWriter"](tmp_path, "stills")
    for number in range(3):
        writer.add([PACK["person"]((8, 8, 36, 64))], split="val" if number == 2 else "train")
    writer.write()
    tar = tmp_path / "images" / "stills-000.tar"
    with tarfile.open(fileobj=io.BytesIO(tar.read_bytes())) as archive:
        last = archive.getmembers()[-1]
    raw = bytearray(tar.read_bytes())
    raw[last.offset : last.offset + 512] = header(last.name, 10**12)
    tar.write_bytes(raw)
    (tmp_path / "recipe.toml").write_text(RECIPE + tiny_model)
    out, work = tmp_path / "model", tmp_path / "work"
    options = ("--data", tmp_path, "--out", out, "--work", work, "--device", "cpu", "--threads", 1, "-q")
    result = dcpose("train", tmp_path / "recipe.toml", *options)
    assert result.returncode == 3, result.stderr
    assert "stills-000.tar" in product.one_line(result)
    assert not out.exists()
    assert json.dumps([path.name for path in work.glob("*.csv")]) == "[]"


@pytest.mark.parametrize("part", ["x" * 5_000, "\0", "none"])
def test_parts_with_names_no_file_has(tmp_path, part):
    with pytest.raises(InputError) as caught:
        read_parts(tmp_path, [part], split=None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [{"width": float("inf")}, {"width": [60]}, {"file_name": 5}, {"id": {}}, {"shard": None}, {"triplet": [1]}],
)
def test_parts_with_values_nobody_writes(tmp_path, change):
    writer = PACK["PackWriter"](tmp_path, "stills")
    writer.add([PACK["person"]((8, 8, 36, 64))], **{"width": 60, "height": 80} | change)
    writer.write()
    with pytest.raises(InputError, match=r"stills"):
        read_parts(tmp_path, ["stills"], split=None, store=PictureStore(limit=1000))
