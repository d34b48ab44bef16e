"""Encoded pictures: files, and members of tar files, read and decoded in one place."""

from __future__ import annotations

import os
import struct
import tarfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from dcpose_cli._opencv import cv2

from ._reading import open_file
from ._text import one_line
from .errors import InputError
from .files import printable

Image = NDArray[np.uint8]

#: Largest picture that is decoded.
MAX_PICTURE_PIXELS: Final = 100_000_000
#: Longest encoded picture, bytes.
MAX_ENCODED_BYTES: Final = 1 << 28
#: Most members of one tar file.
MAX_TAR_MEMBERS: Final = 1_000_000
#: Longest extended header of a tar file: names and comments.
_MAX_HEADER_BYTES: Final = 1 << 20
#: Bytes in which a picture says how large it is: most in the few first ones; a JPEG may have its colour profile and a
#: preview before that.
_HEADS_BYTES: Final = (1 << 12, 1 << 18)


def picture_size(head: bytes) -> tuple[int, int]:
    """Width and height that the first bytes of a PNG or JPEG say; 0, 0 where they do not."""
    if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    at = 2 if head[:3] == b"\xff\xd8\xff" else len(head)
    while at + 9 <= len(head) and head[at] == 0xFF:
        kind, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if kind == 0xFF:  # filling
            at += 1
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return 0, 0


def exif_orientation(head: bytes) -> int:
    """How a JPEG is turned, as its first bytes say: 1 (upright) to 8 (EXIF 2.3, tag 0x112); 1 where they do not.

    `decode_picture` gives the upright picture.
    """
    at = 2 if head[:3] == b"\xff\xd8\xff" else len(head)
    while at + 10 <= len(head) and head[at] == 0xFF and head[at + 1] != 0xDA:
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        if head[at + 1] == 0xE1 and head[at + 4 : at + 10] == b"Exif\0\0":
            return _orientation_in(head[at + 10 : at + 2 + length])
        at += 1 if head[at + 1] == 0xFF else 2 + length
    return 1


def holds_several(head: bytes) -> bool:
    """Whether the first bytes are those of an animated PNG or WebP. `decode_picture` gives the first picture alone."""
    animated = b"acTL" if head[:8] == b"\x89PNG\r\n\x1a\n" else b"ANIM" if head[8:12] == b"WEBP" else b""
    return bool(animated) and animated in head


def _orientation_in(tiff: bytes) -> int:
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    first = int.from_bytes(tiff[4:8], order)
    for number in range(int.from_bytes(tiff[first : first + 2], order)):
        entry = tiff[first + 2 + 12 * number : first + 14 + 12 * number]
        if len(entry) < 12:
            break
        if int.from_bytes(entry[:2], order) == 0x112:
            value = int.from_bytes(entry[8:10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def decode_picture(data: bytes, where: str) -> Image:
    """An encoded picture -> (H, W, 3) uint8 RGB. where: what an InputError calls it."""
    width, height = picture_size(data)
    if width * height > MAX_PICTURE_PIXELS:
        raise InputError(f"too large ({width}x{height} pixels)", path=where, hint="scale it down")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # larger than OpenCV allows
        bgr = None
    if bgr is None:
        raise InputError("not a picture that can be decoded", path=where, hint="check the file")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


@dataclass(frozen=True, slots=True)
class PictureFile:
    """Where an encoded picture is: a file, or `size` bytes at `offset` of one (a member of a tar file, called name)."""

    path: Path
    name: str = ""
    offset: int = 0
    size: int = -1

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{printable(self.name)} in {printable(self.path)}" if self.name else printable(self.path)

    def read(self) -> bytes:
        """The encoded bytes. Raises InputError."""
        return self._read(self.size)

    def check(self) -> None:
        """Raise InputError for what is no regular file, is empty, or says that it is too large to be decoded."""
        for most in _HEADS_BYTES:
            head = self.head(most)
            width, height = picture_size(head)
            if width or len(head) < most:
                break
        if not head:
            raise InputError("the picture is empty", path=self.where, hint="check the path")
        if width * height > MAX_PICTURE_PIXELS:
            raise InputError(f"too large ({width}x{height} pixels)", path=self.where, hint="scale it down")

    def head(self, most: int) -> bytes:
        """The first bytes, at most so many. Raises InputError."""
        return self._read(most if self.size < 0 else min(self.size, most))

    def _read(self, size: int) -> bytes:
        try:
            with open_file(self.path) as file:
                file.seek(self.offset)
                data = file.read(MAX_ENCODED_BYTES + 1 if size < 0 else size)
            if len(data) > MAX_ENCODED_BYTES:
                raise InputError(f"{self.where} has more bytes than any picture; check the path")
            return data
        except (OSError, ValueError) as error:  # the latter: names that no file can have
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot be read: {reason}", path=self.where, hint="check the path") from error

    def decode(self) -> Image:
        """(H, W, 3) uint8 RGB. Raises InputError."""
        return decode_picture(self.read(), self.where)


class TarIndex:
    """Finds members of uncompressed tar files; every tar file is scanned once and not kept open.

    Nothing is unpacked, so the names of members lead nowhere. A tar file that cannot be meant is refused as a whole: a
    member that is longer than the file or than any picture, headers that lead in a circle or hold more than a name,
    more members than a data set has. Links and sparse members are not found.
    """

    def __init__(self) -> None:
        self._members: dict[Path, dict[str, tuple[int, int]]] = {}

    def find(self, path: Path, name: str) -> PictureFile:
        """Where the member `name` lies in the tar file `path`. Raises InputError."""
        if path not in self._members:
            self._members[path] = _members_of(path)
        if name not in self._members[path]:
            raise InputError(f"not in {printable(path)}", path=name, hint="check the data folder")
        offset, size = self._members[path][name]
        return PictureFile(path, name, offset, size)


def _members_of(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and size of every plain file in a tar file, by name. Raises InputError."""
    found: dict[str, tuple[int, int]] = {}
    try:
        with open_file(path) as file, tarfile.open(fileobj=cast("Any", _Headers(file)), mode="r:") as tar:
            for number in count():
                member = tar.next()
                if member is None:
                    return found
                if number >= MAX_TAR_MEMBERS:
                    raise tarfile.ReadError(f"it has more than {MAX_TAR_MEMBERS:,} members")
                if member.isreg() and not member.issparse():
                    _require_inside(member, os.fstat(file.fileno()).st_size)
                    found[member.name] = member.offset_data, member.size
                cast("Any", tar).members.clear()  # else it keeps them all
    except InputError:
        raise
    except Exception as error:  # tarfile raises whatever a broken header makes it meet
        raise InputError(
            f"cannot read the tar file: {one_line(error)}", path=path, hint="check the data folder"
        ) from error
    raise AssertionError("the loop ends by returning")


def _require_inside(member: tarfile.TarInfo, length: int) -> None:
    """Raises ReadError for a member that its file does not hold, or that is no picture's."""
    if not 0 <= member.size <= length - member.offset_data:
        raise tarfile.ReadError(f"{printable(member.name, 200)} is longer than the file, which may be cut short")
    if member.size > MAX_ENCODED_BYTES:
        raise tarfile.ReadError(f"{printable(member.name, 200)} has {member.size:,} bytes, more than any picture")


class _Headers:
    """A tar file as tarfile reads its headers: forwards, in small pieces, to its end. Sizes in them are claims."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._last, self._ended = file, -1, False

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, and nothing at the end, once. Raises ReadError for more than a header has."""
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError("one of its headers is longer than any name")
        data = self._file.read(size)
        if not data and self._ended:
            raise tarfile.ReadError("it ends in the middle of a header")
        self._ended = not data
        return data

    def seek(self, offset: int) -> int:
        """Go to `offset`, which is later than the one before. Raises ReadError."""
        if offset <= self._last:
            raise tarfile.ReadError("its headers lead in a circle")
        self._last = offset
        return self._file.seek(offset)

    def tell(self) -> int:
        """The position in bytes."""
        return self._file.tell()
