"""Pictures of a data set: decoded on first use and kept as long as memory allows."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import overload

from ...pictures import Image, PictureFile


class PictureStore:
    """Decoded pictures, the most recently used kept up to `limit` bytes. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        self._kept: OrderedDict[PictureFile, Image] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, file: PictureFile) -> Image:
        """The picture, shared: callers must not change it. Raises InputError."""
        with self._lock:
            if file in self._kept:
                self._kept.move_to_end(file)
                return self._kept[file]
        image = file.decode()
        with self._lock:
            if file not in self._kept and image.nbytes <= self.limit:
                self._kept[file] = image
                self._held += image.nbytes
                while self._held > self.limit:
                    self._held -= self._kept.popitem(last=False)[1].nbytes
        return image


class StoredPictures(Sequence[Image]):
    """Pictures of one sample, decoded on demand."""

    def __init__(self, store: PictureStore, files: Iterable[PictureFile]) -> None:
        self._store, self.files = store, tuple(files)

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, at: int) -> Image: ...
    @overload
    def __getitem__(self, at: slice) -> StoredPictures: ...
    def __getitem__(self, at: int | slice) -> Image | StoredPictures:
        if isinstance(at, slice):
            return StoredPictures(self._store, self.files[at])
        return self._store.get(self.files[at])

    def choose(self, chosen: Iterable[PictureFile]) -> StoredPictures:
        """Other pictures of the same store."""
        return StoredPictures(self._store, chosen)


def memory_limit(gib: float) -> int:
    """`gib` in bytes, but at most half of this machine's memory."""
    wanted = int(gib * 2**30)
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not available on every system
        return wanted
    return min(wanted, whole // 2)
