"""Encoded pictures: files, and members of tar files, read and decoded in one place."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .files import printable

Image = NDArray[np.uint8]


def decode_picture(data: bytes, where: str) -> Image:
    """An encoded picture -> (H, W, 3) uint8 RGB. where: what an InputError calls it."""
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # larger than OpenCV allows
        bgr = None
    if bgr is None:
        raise InputError(f"{where} is not a picture that can be decoded", hint="check the file")
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
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(self.size)
        except OSError as error:
            raise InputError(
                f"cannot read the picture {self.where}: {error.strerror}", hint="check the path"
            ) from error

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
                with tarfile.open(path, "r:") as tar:
                    files = (member for member in tar if member.isfile())
                    self._members[path] = {member.name: (member.offset_data, member.size) for member in files}
            except (OSError, tarfile.TarError) as error:
                raise InputError(
                    f"cannot read the tar file: {error}", path=path, hint="check the data folder"
                ) from error
        if name not in self._members[path]:
            raise InputError(f"not in {printable(path)}", path=name, hint="check the data folder")
        offset, size = self._members[path][name]
        return PictureFile(path, name, offset, size)
