"""Encoded pictures in files and in tar files."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import dcpose_cli
from dcpose_cli.errors import InputError
from dcpose_cli.pictures import PictureFile, TarIndex, decode_picture


@pytest.fixture
def encoded() -> bytes:
    """A PNG of 4 x 6 pixels, red."""
    return cv2.imencode(".png", np.full((4, 6, 3), (0, 0, 255), np.uint8))[1].tobytes()


@pytest.fixture
def tar(tmp_path, encoded):
    """A tar file with a picture, a text and a link."""
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name, data in (("red.png", encoded), ("note.png", b"no picture"), ("empty.png", b"")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return tmp_path / "a.tar"


def test_members_are_found_and_decoded(tar, encoded, tmp_path):
    index = TarIndex()
    file = index.find(tar, "red.png")
    assert file.read() == encoded
    image = file.decode()
    assert image.shape == (4, 6, 3)
    assert image[0, 0].tolist() == [255, 0, 0]
    (tmp_path / "b.png").write_bytes(encoded)
    assert np.array_equal(PictureFile(tmp_path / "b.png").decode(), image)


@pytest.mark.parametrize("name", ["note.png", "empty.png"])
def test_what_is_no_picture_is_named(tar, name):
    with pytest.raises(InputError, match=rf"{name} in .*a\.tar: not a picture"):
        TarIndex().find(tar, name).decode()


@pytest.mark.parametrize("name", ["other.png", "link.png"])
def test_missing_members_and_links(tar, name):
    with pytest.raises(InputError, match=rf"{name}: not in .*a\.tar"):
        TarIndex().find(tar, name)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(InputError, match=r"none\.tar: cannot read the tar file"):
        TarIndex().find(tmp_path / "none.tar", "x.png")
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(InputError, match=r"bad\.tar: cannot read the tar file"):
        TarIndex().find(tmp_path / "bad.tar", "x.png")
    with pytest.raises(InputError, match=r"none\.png: cannot be read"):
        PictureFile(tmp_path / "none.png").decode()
    with pytest.raises(InputError, match="sheet: not a picture"):
        decode_picture(b"", "sheet")


def test_there_is_one_reader_of_tar_files_one_average_precision_and_one_box_iou():
    package = Path(dcpose_cli.__file__).parent
    text = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert [name for name, code in text.items() if "import tarfile" in code] == ["pictures.py"]
    assert [name for name, code in text.items() if "np.maximum.accumulate(precision" in code] == [
        "evaluation/average_precision.py"
    ]
    unions = [name for name, code in text.items() if re.search(r"/ np\.maximum\(union|inter / |shared / union", code)]
    assert unions == ["people/boxes.py"]
