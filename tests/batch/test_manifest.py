"""The manifest: lines that survive, claims that end with their process."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcpose_cli import OutputError
from dcpose_cli.batch.manifest import Line, Manifest, Stamp, parse, read_manifest

PRODUCT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "product.py")))
LINE = Line(input="a.mp4", state="failed", reason="no", code=3)
#: Opens the manifest, does something, says so, and waits for its death.
OTHER = """
import sys, time
from pathlib import Path
from dcpose_cli.batch.manifest import Line, Manifest
with Manifest(Path(sys.argv[1])) as manifest:
    {does}
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that has the manifest open."""
    started = []

    def start(does):
        code = OTHER.format(does=does)
        environment = PRODUCT.Command.environment()
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environment, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_lines_of_version_0_6_are_read():
    """What is called `remote` now was called `away`."""
    old = replace(LINE, remote="0123").text().replace('"remote"', '"away"')
    assert '"away"' in old
    assert parse(old.encode()) == replace(LINE, remote="0123")


def test_lines_come_back(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    full = Line(
        input="ü\udcff\n.mp4",
        state="done",
        output="x.mp4",
        source=Stamp.of(tmp_path / "x"),
        made_by={"model": "m", "conf": 0.3, "end": None},
        seconds=1.5,
    )
    with Manifest(tmp_path) as manifest:
        manifest.add(LINE)
        manifest.add(full)
        assert manifest.lines == {line.input: line for line in (LINE, full)}
    assert read_manifest(tmp_path) == {line.input: line for line in (LINE, full)}
    assert (tmp_path / "manifest.jsonl").read_bytes().isascii()


def test_the_last_line_counts_and_older_ones_go_at_the_end(tmp_path):
    with Manifest(tmp_path) as manifest:
        for number in range(5):
            manifest.add(replace(LINE, code=number))
        assert len((tmp_path / "manifest.jsonl").read_bytes().splitlines()) == 5
        assert manifest.lines["a.mp4"].code == 4
    assert read_manifest(tmp_path)["a.mp4"].code == 4
    assert len((tmp_path / "manifest.jsonl").read_bytes().splitlines()) == 1
    assert PRODUCT.files_in(tmp_path) == ["manifest.jsonl"]


@pytest.mark.parametrize(
    "torn", [b'{"input":"b.mp4","sta', b"\xff\xfe", b"[1]\n", b'{"input":3,"state":"done"}\n', b"\n\n"]
)
def test_torn_and_foreign_lines_do_not_count(tmp_path, torn):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(LINE.text().encode() + torn)
    assert read_manifest(tmp_path) == {"a.mp4": LINE}
    second = replace(LINE, input="c.mp4")
    with Manifest(tmp_path) as manifest:
        manifest.add(second)
        assert manifest.lines == {"a.mp4": LINE, "c.mp4": second}
    assert path.read_bytes() == (LINE.text() + second.text()).encode()


def test_claims_are_exclusive_and_end_with_their_process(tmp_path, other):
    process = other("assert manifest.claim('a.mp4'); manifest.add(Line(input='b.mp4', state='failed'))")
    with Manifest(tmp_path) as manifest:
        assert not manifest.claim("a.mp4")
        assert manifest.claim("b.mp4")
        assert manifest.lines["b.mp4"].state == "failed"
        manifest.add(LINE)
        assert not manifest.claim("a.mp4")  # reading and writing have not taken the other's lock
        process.kill()
        process.wait()
        assert manifest.claim("a.mp4")


def test_a_manifest_that_others_use_is_not_replaced(tmp_path, other):
    process = other("pass")
    with Manifest(tmp_path) as manifest:
        manifest.add(LINE)
        manifest.add(replace(LINE, code=4))
    assert len((tmp_path / "manifest.jsonl").read_bytes().splitlines()) == 2
    process.kill()
    process.wait()
    with Manifest(tmp_path):
        pass
    assert len((tmp_path / "manifest.jsonl").read_bytes().splitlines()) == 1


@pytest.mark.slow
def test_many_writers_tear_nothing(tmp_path):
    """Four processes, forty lines each, at once."""
    does = "[manifest.add(Line(input=f'{getpid()}-{n}', state='failed', reason='x' * n * 50)) for n in range(40)]"
    code = "from os import getpid\n" + OTHER.format(does=does).replace("time.sleep(60)", "")
    environment = PRODUCT.Command.environment()
    writers = [subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environment, stdout=-3) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    raw = (tmp_path / "manifest.jsonl").read_bytes()
    assert raw.endswith(b"\n")
    assert len(read_manifest(tmp_path)) == len(raw.splitlines()) == 160


def test_stamps(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    stamp = Stamp.of(path)
    assert stamp.fits(path)
    os.utime(path, ns=(1, 1))
    assert stamp.fits(path)  # touched, with the same bytes
    path.write_bytes(b"abd")
    assert not stamp.fits(path)
    path.unlink()
    assert not stamp.fits(path)


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError):
        Manifest(tmp_path / "none")
    assert read_manifest(tmp_path / "none") == {}
    assert parse(b"{}") is None
