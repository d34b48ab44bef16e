"""Memory: how the C library keeps freed blocks, blocks apart from its own, and which errors mean that none is left."""

from __future__ import annotations

import ctypes
import math
import mmap
import platform
import sys
import weakref
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_MIB: Final = 2**20
#: The largest block that is kept, as much as glibc allows, and how much of what is free is kept in all.
LARGEST_BLOCK: Final = 32 * _MIB
MOST_FREE: Final = 512 * _MIB
_STEP: Final = 64 * _MIB
#: Pools of blocks that threads share. By default there are eight per core, and each keeps free blocks of its own.
POOLS: Final = 1

#: Least bytes of an array that has memory apart; glibc's own limit, where nothing is set.
LEAST_APART: Final = 128 * 2**10

#: What the text of an error says when memory ran out and its type does not: torch on CPU ("DefaultCPUAllocator: not
#: enough memory", "can't allocate memory") and MPS ("MPS backend out of memory"), CUDA's libraries, OpenCV, the system.
_OUT_OF_MEMORY: Final = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "insufficient memory",
    "_status_alloc_failed",
    "failed to map segment",
    "can't start new thread",
    "bad_alloc",
)


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Keep memory blocks that a network frees for its next layer. Returns whether the setting was made.

    By default glibc returns large blocks to the kernel, which clears every page before the next use. For a small
    network on a CPU this is a third of the time. With other C libraries nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = (
        (_MMAP_THRESHOLD, LARGEST_BLOCK), (_TRIM_THRESHOLD, MOST_FREE), (_TOP_PAD, _STEP), (_ARENA_MAX, POOLS),
    )  # fmt: skip
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)


class Blocks:
    """Arrays of frames, in memory apart from what networks work in, which is used again when an array is gone.

    A frame lives for seconds, among blocks that a network needs for milliseconds. Where both come from the C library,
    frames leave holes that later blocks do not fit into, and the process grows for as long as the holes do. Threads
    may share one. All memory is returned when it and its arrays are gone.
    """

    def __init__(self) -> None:
        self._free: list[mmap.mmap] = []

    def empty(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An array of uint8 with anything in it. Raises MemoryError."""
        if (size := math.prod(shape)) < LEAST_APART:
            return np.empty(shape, np.uint8)
        block = self._taken(size)
        owner = (ctypes.c_uint8 * len(block)).from_buffer(block)  # every view of the array holds it
        weakref.finalize(owner, self._free.append, block).atexit = False
        return np.frombuffer(memoryview(owner), np.uint8).reshape(shape)

    def _taken(self, size: int) -> mmap.mmap:
        while self._free:
            try:
                block = self._free.pop()
            except IndexError:  # another thread took it
                break
            if len(block) == size:
                return block
        try:
            return _mapped(size)
        except OSError as error:
            raise MemoryError(f"cannot allocate memory: {error}") from error


def _mapped(size: int) -> mmap.mmap:
    """Memory of this process alone; by default a forked one would write into it."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of the machine or of a device ran out, whichever library raised it.

    Torch's own class (CUDA) is known by its name, so that torch need not be imported here.
    """
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    text = str(error).lower()
    return any(words in text for words in _OUT_OF_MEMORY)
