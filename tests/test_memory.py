"""Freed blocks stay with the process: in a process of its own, for the setting is the whole process's.

Frames lie in memory of their own, which is used again.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from dcpose_cli._memory import POOLS, Blocks

CODE = """
import resource, sys
import numpy as np
from dcpose_cli._memory import LARGEST_BLOCK, keep_freed_memory

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.full(size, 1, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

size = LARGEST_BLOCK // 2
before = faults(size)
assert keep_freed_memory()
print(before, faults(size))
"""

THREADS = """
import ctypes, threading
from dcpose_cli._memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.fdopen.restype = libc.malloc.restype = ctypes.c_void_p
libc.malloc_info.argtypes = ctypes.c_int, ctypes.c_void_p
assert keep_freed_memory()
waiting = threading.Barrier(9)
threads = [threading.Thread(target=lambda: (libc.malloc(1000), waiting.wait())) for _ in range(8)]
for thread in threads:
    thread.start()
waiting.wait()
for thread in threads:
    thread.join()
file = libc.fdopen(1, b"w")
libc.malloc_info(0, file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_threads_share_pools_of_free_blocks():
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    assert 1 <= done.stdout.count("<heap nr=") <= POOLS


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_blocks_are_not_cleared_by_the_kernel_again_and_again():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 50 * 4  # every block anew; with pages of 2 MiB it has eight
    assert after < before / 10


def test_memory_of_frames_is_used_again_when_nobody_looks_at_them():
    blocks = Blocks()
    frame = blocks.empty((300, 200, 3))
    assert (frame.shape, frame.dtype) == ((300, 200, 3), np.uint8)
    place, part = frame.ctypes.data, frame.reshape(-1, 3)[5::2]
    part[:] = 7
    del frame
    other = blocks.empty((300, 200, 3))
    other[:] = 9
    assert other.ctypes.data != place
    assert (part == 7).all()
    del part
    assert blocks.empty((200, 300, 3)).ctypes.data == place


def test_memory_of_frames_of_another_size_is_returned():
    blocks = Blocks()
    frames = [blocks.empty((300, 200, 3)) for _ in range(3)]
    del frames
    assert len(blocks._free) == 3
    large = blocks.empty((400, 200, 3))
    assert not blocks._free
    del large
    assert [len(block) for block in blocks._free] == [400 * 200 * 3]


def test_lack_of_memory_for_a_frame_is_said_as_such():
    from dcpose_cli._memory import is_out_of_memory

    with pytest.raises(MemoryError) as caught:
        Blocks().empty((2**20, 2**20, 3 * 2**10))
    assert is_out_of_memory(caught.value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_has_frames_of_its_own():
    code = """
import os
from dcpose_cli._memory import Blocks
frame = Blocks().empty((300, 200, 3))
frame[:] = 1
child = os.fork()
if not child:
    frame[:] = 2
    os._exit(0)
os.waitpid(child, 0)
assert (frame == 1).all()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_c_libraries_are_left_alone(monkeypatch):
    from dcpose_cli import _memory

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not _memory.keep_freed_memory.__wrapped__()


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried", True),
        ("[enforce fail at CPUAllocator.cpp:64] data. DefaultCPUAllocator: not enough memory: you tried", True),
        ("MPS backend out of memory (MPS allocated: 8.12 GB, max allowed: 9.07 GB)", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("OpenCV(4.10.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 99 bytes", True),
        ("std::bad_alloc", True),
        ("CUDA error: an illegal memory access was encountered", False),
        ("shape '[2, 3]' is invalid for input of size 5", False),
    ],
)
def test_lack_of_memory_is_known_by_what_libraries_say(text, known):
    from dcpose_cli._memory import is_out_of_memory

    assert is_out_of_memory(RuntimeError(text)) is known


def test_lack_of_memory_is_known_by_its_class():
    import torch

    from dcpose_cli._memory import is_out_of_memory

    assert is_out_of_memory(torch.OutOfMemoryError("full"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("full"))
