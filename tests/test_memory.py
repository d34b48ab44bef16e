"""Freed blocks stay with the process: in a process of its own, for the setting is the whole process's."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from dcpose_cli._memory import POOLS

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
