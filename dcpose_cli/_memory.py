"""Memory: how the C library keeps freed blocks, and which errors mean that there is none left."""

from __future__ import annotations

import ctypes
import platform
from functools import lru_cache
from typing import Final

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_MIB: Final = 2**20
#: The largest block that is kept, as much as glibc allows, and how much of what is free is kept in all.
LARGEST_BLOCK: Final = 32 * _MIB
MOST_FREE: Final = 512 * _MIB
_STEP: Final = 64 * _MIB
#: Pools of blocks that threads share. By default there are eight per core, and each keeps free blocks of its own.
POOLS: Final = 2

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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of the machine or of a device ran out, whichever library raised it.

    Torch's own class (CUDA) is known by its name, so that torch need not be imported here.
    """
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    text = str(error).lower()
    return any(words in text for words in _OUT_OF_MEMORY)
