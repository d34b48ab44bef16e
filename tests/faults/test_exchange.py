"""A folder of outputs replaces an older one: the process dies before every single system call of that.

`strace` kills it. Where two names can be exchanged in one call (`renameat2`), no kill leaves anything but the old
folder or the new one; one that waits for a second `rename` never comes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest

from dcpose_cli._recovery import remove_stale
from dcpose_cli.export import _outputs

REPLACE = """
import pathlib, sys
from dcpose_cli.export import _outputs
if sys.argv[2] == "no exchange":
    _outputs.exchange = lambda first, second: False
with _outputs.AtomicFolder(pathlib.Path(sys.argv[1]), lambda name: True, overwrite=True) as folder:
    for name in ("0", "1"):
        (folder.temp / name).write_text("new")
"""
CALL = re.compile(r"\d+ +(\w+)\((.*)")


def run(dcpose, out, how, *options):
    under = ["strace", "-f", "-qq", *options]
    env = dcpose.environment(PYTHONDONTWRITEBYTECODE="1", PYTHONHASHSEED="0")
    return subprocess.run(
        [*under, sys.executable, "-c", REPLACE, out, how], check=False, capture_output=True, env=env
    ).returncode


def old_folder(out):
    shutil.rmtree(out.parent, ignore_errors=True)
    out.mkdir(parents=True)
    for name in ("0", "1", "2"):
        (out / name).write_text("old")


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else None


OLD, NEW = dict.fromkeys("012", "old"), dict.fromkeys("01", "new")


def calls_of(log, out):
    """(system call, how many of them there were until this one), from the first that makes something on."""
    counts, found, begun = Counter(), [], False
    for match in map(CALL.match, log.read_text(errors="replace").splitlines()):
        if match:
            counts[match[1]] += 1
            begun = begun or (match[1] in ("mkdir", "mkdirat") and f"{out.parent}/.{out.name}." in match[2])
            found += [(match[1], counts[match[1]])] if begun else []
    return found


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("how", ["exchange", "no exchange"])
def test_a_kill_before_every_system_call(dcpose, tmp_path, how):
    out, log = tmp_path / "made" / "out", tmp_path / "calls.txt"
    old_folder(out)
    if shutil.which("strace") is None or run(dcpose, out, how, "-e", "trace=%file,%desc", "-o", log) != 0:
        pytest.skip("needs strace, and leave to trace")
    assert content(out) == NEW
    calls = calls_of(log, out)
    if how == "exchange" and ("renameat2", 1) not in calls:
        pytest.skip("this system cannot exchange names")
    seen = Counter()
    for name, number in calls:
        old_folder(out)
        kill = ("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={number}", "-o", os.devnull)
        assert run(dcpose, out, how, *kill) == -signal.SIGKILL, (name, number)
        there = content(out)
        if how == "exchange":
            assert there in (OLD, NEW), (name, number)
        seen["old" if there == OLD else "new" if there == NEW else "neither"] += 1
        remove_stale(out.parent)
        assert content(out) in (OLD, NEW), (name, number)
        assert os.listdir(out.parent) == ["out"], (name, number)  # noqa: PTH208
        with _outputs.AtomicFolder(out, lambda _: True, overwrite=True) as folder:
            for file in NEW:
                (folder.temp / file).write_text("new")
        assert content(out) == NEW
    assert seen["old"] > 10
    assert seen["new"] > 2
    assert (seen["neither"] > 0) == (how == "no exchange")
