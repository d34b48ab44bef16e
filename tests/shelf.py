"""A server of published files on this machine, which can fail in all the ways that servers fail.

Not a test: `conftest.py` reads it and makes the fixture `shelf`.
"""

from __future__ import annotations

import gzip
import http.server
import re
import threading


class Shelf(http.server.ThreadingHTTPServer):
    """files: name -> content. plan: how the next requests are answered, one entry each; then all are "whole".

    asked: (path, Range header) of every request. wait: what answers that stall wait for.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.plan, self.asked, self.wait = {}, [], [], threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}/files/"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""

    def close(self):
        self.wait.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        how = server.plan.pop(0) if server.plan else "whole"
        content = server.files.get(self.path.rsplit("/", 1)[-1])
        if how.startswith("to "):
            return self.answer(302, b"", Location=how.removeprefix("to "))
        if how.isdigit() or content is None:
            headers = {"Retry-After": "0"} if how == "503" else {}
            return self.answer(int(how) if how.isdigit() else 404, b"no", **headers)
        if how == "gzip":
            return self.answer(200, gzip.compress(content, 1), Content_Encoding="gzip")
        if how == "br":
            return self.answer(200, content, Content_Encoding="br")
        return self.send(content, how)

    def send(self, content, how):
        """The content from where it was asked for, or a part of that."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(found[1]) if found and how != "no ranges" else 0
        rest = content[start:]
        if start and not rest:
            return self.answer(416, b"", Content_Range=f"bytes */{len(content)}")
        headers = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        short = {"cut": 0.4, "stall": 0.4}.get(how, 1.0)
        longer = 1000 if how == "overlong" else 0
        part = rest[: int(len(rest) * short)]
        self.answer(206 if start else 200, part, length=len(rest) + longer, **headers)
        if how == "stall":
            self.wfile.flush()
            self.server.wait.wait(60)
        return None

    def answer(self, code, body, length=None, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if length is not None and length != len(body):
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        """Quiet."""
