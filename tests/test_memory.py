"""Freed blocks stay with the process: in a process of its own, for the setting is the whole process's."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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
