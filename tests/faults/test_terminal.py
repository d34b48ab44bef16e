"""Fault test 34: odd terminals. None of them may cost a result, or end in a traceback."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

PLAIN = {"LC_ALL": "C", "LANG": None, "PYTHONIOENCODING": "ascii", "HOME": None, "NO_COLOR": "1"}


def test_bare_environment(dcpose, product, clip, tmp_path):
    """C locale, ASCII streams, no HOME, no colours, closed stdin, and a name that is not ASCII."""
    source = tmp_path / "tänzer.mp4"
    source.write_bytes(clip.read_bytes())
    (tmp_path / "out").mkdir()
    command = ["-o", tmp_path / "out" / "ö.mp4", "--max-frames", 2, *dcpose.models]
    before = "import os; os.close(0)"
    result = dcpose.process("estimate", source, *command, env=PLAIN, cwd=tmp_path, before=before)
    assert result.returncode == 0, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.isascii()
    assert product.files_in(tmp_path / "out") == sorted(["ö.json", "ö.mp4"])


@pytest.mark.slow
def test_closed_stdout_and_stderr(dcpose, clip, tmp_path):
    """No output file may get the number of a closed standard file: whatever is printed would land in it."""
    before = "import os; os.close(1); os.close(2)"
    command = ["estimate", clip, "-o", tmp_path / "o.mp4", "--max-frames", 2, *dcpose.models]
    assert dcpose.process(*command, before=before).returncode == 0
    assert json.loads((tmp_path / "o.json").read_text())["dcpose"]["frames"] == 2


def test_standard_files_are_occupied(dcpose):
    code = "import os; os.close(0); os.close(1); from dcpose_cli.cli.console import run; run(lambda: 0);"
    check = f"{code} file = os.open('/', os.O_RDONLY); os.write(2, str(file).encode())\nraise SystemExit"
    assert int(dcpose.process(before=check).stderr) > 2


@pytest.mark.slow
@pytest.mark.parametrize("args", [["models", "list"], ["--help"], ["--version"]])
def test_reader_of_stdout_has_gone(dcpose, args):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        result = dcpose.process(*args, capture_output=False, stdout=stdout, stderr=subprocess.PIPE)
    assert result.returncode in (0, 4)
    assert result.stderr == ""


def in_terminal(dcpose, entry, *args, **environment):
    """Runs the command in a terminal of 120 columns; (exit code, everything it wrote)."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", entry, *map(str, args)],
        env=dcpose.environment(**environment),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # Linux says EIO when the other side has closed
            break
        if not block:
            break
        written += block
    os.close(ours)
    return process.wait(), written.decode()


@pytest.mark.parametrize("term", ["xterm-256color", pytest.param("dumb", marks=pytest.mark.slow)])
def test_progress_in_a_terminal(dcpose, product, tmp_path, term):
    source = product.make_clip(tmp_path / "in.mp4", frames=60)
    code, text = in_terminal(
        dcpose, product.ENTRY, "estimate", source, "-o", tmp_path / "o.mp4", *dcpose.models, TERM=term
    )
    assert code == 0, text
    live = "frames/s" in text.rsplit("(", 1)[0]
    assert live == (term != "dumb")
    if live:
        assert "/60" in text
        assert "left" in text
        assert "pe" in text.split("/60", 1)[1]  # people or person
    last = text.rstrip().splitlines()[-1]
    assert "60 frames" in last
    assert text.count("60 frames,") == 1
