"""A batch over the real clips and odd files beside the checkout, with the shipped models."""

from __future__ import annotations

import json
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.timeout(3600)]
BAD = {"odd/text.mp4", "odd/zero.mp4"}
OPTIONS = ("--device", "cpu", "--offline", "--max-frames", "6")


def results(folder, product):
    return {name: (folder / name).read_bytes() for name in product.files_in(folder) if name != "manifest.jsonl"}


def lines_of(folder):
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_bytes().splitlines()]
    return {line["input"]: line for line in lines}


def test_real_and_odd_files(dcpose, product, shared, tmp_path):
    """Good ones done, bad ones named, 7; again touches nothing; killed in the middle and again: the same bytes."""
    videos, one, two = shared / "videos", tmp_path / "one", tmp_path / "two"
    names = {str(p.relative_to(videos)) for p in videos.rglob("*") if p.suffix in (".mp4", ".mov", ".avi", ".mkv")}
    first = dcpose.process("batch", videos, "-o", one, *OPTIONS, timeout=1500)
    sys.stderr.write(first.stderr)
    assert first.returncode == 7
    lines = lines_of(one)
    assert set(lines) == names
    assert {name for name, line in lines.items() if line["state"] == "failed"} == BAD
    assert all(name.rpartition("/")[2] in lines[name]["reason"] for name in BAD)
    stamps = {path: path.stat().st_mtime_ns for path in one.rglob("*.*") if path.name != "manifest.jsonl"}
    again = dcpose.process("batch", videos, "-o", one, *OPTIONS, timeout=600)
    assert again.returncode == 7
    assert f"0 done, {len(names) - 2} finished before, 2 failed" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps

    process = dcpose.start("batch", videos, "-o", two, *OPTIONS)
    product.wait_until(lambda: len(list(two.rglob("*.json"))) >= 5, seconds=900)
    process.kill()
    process.communicate()
    assert len(results(two, product)) < len(results(one, product))
    last = dcpose.process("batch", videos, "-o", two, *OPTIONS, timeout=1500)
    assert last.returncode == 7
    assert results(two, product) == results(one, product)
    assert set(lines_of(two)) == names
