"""Fault test 24 and what else concerns the network: a named download, and that there is no other."""

from __future__ import annotations

import os

import pytest

CONTENT = os.urandom(300_000)
#: Says on stdout which sockets are made.
LISTENING = """
import sys
sys.addaudithook(lambda event, args: event.startswith("socket.") and print(event, args[1:], flush=True))
"""


def arguments(dcpose, clip, folder, name, *more):
    """A run that wants the stock detector `name` from the mirror."""
    return [
        "estimate",
        clip,
        "-o",
        folder / "out.mp4",
        *dcpose.models[:2],
        "--device",
        "cpu",
        "--detector",
        name,
        *more,
    ]


@pytest.mark.parametrize("name", ["yolov8n.pt", "yolov5n.pt"])
def test_bad_downloads(dcpose, product, shelf, clip, tmp_path, name):
    """Not of the known hash; no detector."""
    shelf.files[name] = CONTENT
    result = dcpose(*arguments(dcpose, clip, tmp_path, name))
    assert result.returncode == 5, result.stderr
    assert name in product.one_line(result)
    assert product.files_in(tmp_path) == ["data/dcpose/downloads/.lock"]


@pytest.mark.slow
def test_killed_download(dcpose, product, shelf, clip, tmp_path):
    shelf.files["yolo11n.pt"] = CONTENT
    shelf.plan = ["stall"]
    process = dcpose.start(*arguments(dcpose, clip, tmp_path, "yolo11n.pt"))
    product.wait_until(lambda: any(name.endswith(".partial.pt") for name in product.files_in(tmp_path)))
    process.kill()
    process.communicate()
    assert not list(tmp_path.rglob("yolo11n.pt"))


@pytest.mark.slow
def test_offline_asks_nobody(dcpose, shelf, clip, tmp_path):
    result = dcpose.process(*arguments(dcpose, clip, tmp_path, "yolo11n.pt", "--offline"), before=LISTENING)
    assert result.returncode == 5
    assert "--offline" in result.stderr
    assert "socket." not in result.stdout
    assert shelf.asked == []


def test_no_command_opens_a_socket(dcpose, product, clip, tmp_path):
    """Neither we nor anything we load: no usage data, no update checks. `--offline` is not given."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    online = dcpose.models[:-1]
    assert online[-1] != "--offline"
    result = dcpose.process(
        "batch",
        tmp_path / "in",
        "-o",
        tmp_path / "out",
        "--workers",
        1,
        *online,
        before=LISTENING,
        env={"HOME": tmp_path},
    )
    assert result.returncode == 0, result.stderr
    assert "socket." not in result.stdout
    assert dcpose.process(
        before=f"{LISTENING}import socket; socket.socket(); raise SystemExit"
    ).stdout  # it is received
    assert product.files_in(tmp_path) == [
        *("in/a.mp4", "out/a.json", "out/a.mp4", "out/manifest.jsonl", "out/summary.csv")
    ]
