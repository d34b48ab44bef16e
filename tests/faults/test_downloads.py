"""Fault test 24 and what else concerns the network: a named download, and that there is no other."""

from __future__ import annotations

import http.server
import os
import threading

import pytest

from dcpose_cli import WeightsError
from dcpose_cli.people import download

CONTENT = os.urandom(300_000)
#: Says on stdout which sockets are made.
LISTENING = """
import sys
sys.addaudithook(lambda event, args: event.startswith("socket.") and print(event, args[1:], flush=True))
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT: whole, promised longer than it is, or stopping in the middle for ever."""

    def do_GET(self):
        mode = self.server.mode
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) + (1000 if mode == "truncated" else 0)))
        self.end_headers()
        self.wfile.write(CONTENT[:100_000] if mode == "stuck" else CONTENT)
        self.wfile.flush()
        if mode == "stuck":
            self.server.stuck.wait(60)

    def log_message(self, *_args):
        pass


@pytest.fixture
def server():
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.mode, found.stuck = "whole", threading.Event()
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.stuck.set()
    found.shutdown()
    thread.join()
    found.server_close()


def command(dcpose, server, clip, cache, name, *more):
    """Arguments and options of a run that wants the stock detector `name` from the server."""
    before = f"import dcpose_cli.people.download as d; d.STOCK_URL = 'http://127.0.0.1:{server.server_port}/'"
    args = ["estimate", clip, "-o", cache / "out.mp4", *dcpose.models[:2], "--device", "cpu", "--detector", name, *more]
    return args, {"before": before, "env": {"XDG_CACHE_HOME": str(cache)}}


@pytest.mark.parametrize(
    ("mode", "name"), [("truncated", "yolo11n.pt"), ("whole", "yolov8n.pt"), ("whole", "yolo11n.pt")]
)
def test_bad_downloads(dcpose, product, server, clip, tmp_path, monkeypatch, mode, name):
    """Cut short; not of the known hash; no detector."""
    server.mode = mode
    monkeypatch.setattr(download, "STOCK_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    args, _ = command(dcpose, server, clip, tmp_path, name)
    result = dcpose(*args)
    assert result.returncode == 5, result.stderr
    assert name in product.one_line(result)
    assert product.files_in(tmp_path) == []


@pytest.mark.slow
def test_killed_download(dcpose, product, server, clip, tmp_path):
    server.mode = "stuck"
    args, options = command(dcpose, server, clip, tmp_path, "yolo11n.pt")
    process = dcpose.start(*args, before=options["before"] + f"; import os; os.environ.update({options['env']!r})")
    product.wait_until(lambda: any(name.endswith(".part") for name in product.files_in(tmp_path)))
    process.kill()
    process.communicate()
    assert not (tmp_path / "dcpose" / "yolo11n.pt").exists()


def test_first_download_is_remembered(server, tmp_path, monkeypatch):
    """A stock file without a published hash: what came first must come again, and must not change meanwhile."""
    monkeypatch.setattr(download, "STOCK_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr("dcpose_cli._ultralytics.read_checkpoint", lambda path: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = download.stock_detector("yolov5n.pt", offline=False)
    assert path.read_bytes() == CONTENT
    assert download.stock_detector("yolov5n.pt", offline=True) == path
    path.write_bytes(CONTENT[:-1] + b"?")
    for offline in (True, False):
        with pytest.raises(WeightsError, match="changed since"):
            download.stock_detector("yolov5n.pt", offline=offline)
    path.write_bytes(CONTENT)
    assert download.stock_detector("yolov5n.pt", offline=True) == path
    path.unlink()
    monkeypatch.setitem(globals(), "CONTENT", b"something else")
    with pytest.raises(WeightsError, match="not the file"):
        download.stock_detector("yolov5n.pt", offline=False)
    assert not path.exists()


@pytest.mark.slow
def test_offline_asks_nobody(dcpose, product, server, clip, tmp_path):
    args, options = command(dcpose, server, clip, tmp_path, "yolo11n.pt", "--offline")
    result = dcpose.process(*args, **(options | {"before": LISTENING + options["before"]}))
    assert result.returncode == 5
    assert "--offline" in result.stderr
    assert "socket." not in result.stdout


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
    assert product.files_in(tmp_path) == ["in/a.mp4", "out/a.json", "out/a.mp4", "out/manifest.jsonl"]
