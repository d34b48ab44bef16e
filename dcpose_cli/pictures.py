"""Encoded pictures: files, and members of tar files, read and decoded in one place."""

from __future__ import annotations

import stat
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .files import printable

Image = NDArray[np.uint8]

#: Largest picture that is decoded.
MAX_PICTURE_PIXELS: Final = 100_000_000
#: Bytes in which a picture says how large it is; a JPEG may have its colour profile and a preview before that.
_HEAD_BYTES: Final = 1 << 18


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
        head = self._read(_HEAD_BYTES if self.size < 0 else min(self.size, _HEAD_BYTES))
        width, height = picture_size(head)
        if not head:
            raise InputError("the picture is empty", path=self.where, hint="check the path")
        if width * height > MAX_PICTURE_PIXELS:
            raise InputError(f"too large ({width}x{height} pixels)", path=self.where, hint="scale it down")

    def _read(self, size: int) -> bytes:
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise InputError("no file but a folder, pipe or device", path=self.where, hint="check the path")
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(size)
        except (OSError, ValueError) as error:  # the latter: names that no file can have
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot be read: {reason}", path=self.where, hint="check the path") from error

    def decode(self) -> Image:
        """(H, W, 3) uint8 RGB. Raises InputError."""
        return decode_picture(self.read(), self.where)


class TarIndex:
    """Finds members of uncompressed tar files; every tar file is scanned once and not kept open."""

    def __init__(self) -> None:
        self._members: dict[Path, dict[str, tuple[int, int]]] = {}

    def find(self, path: Path, name: str) -> PictureFile:
        """Where the member `name` lies in the tar file `path`. Raises InputError."""
        if path not in self._members:
            try:
                if not stat.S_ISREG(path.stat().st_mode):
                    raise InputError("a folder, pipe or device, not a file", path=path, hint="check the data folder")
                with tarfile.open(path, "r:") as tar:
                    files = (member for member in tar if member.isfile())
                    self._members[path] = {member.name: (member.offset_data, member.size) for member in files}
            except (OSError, ValueError, tarfile.TarError) as error:
                raise InputError(
                    f"cannot read the tar file: {error}", path=path, hint="check the data folder"
                ) from error
        if name not in self._members[path]:
            raise InputError(f"not in {printable(path)}", path=name, hint="check the data folder")
        offset, size = self._members[path][name]
        return PictureFile(path, name, offset, size)
