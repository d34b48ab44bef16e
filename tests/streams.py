"""A live source for tests: an MPEG-TS stream over TCP on the loopback, sent at the speed of its own clock.

Not a test and not imported as a module: `runpy` reads it. As a program it serves one visitor and ends:
`python tests/streams.py PORT SECONDS [FPS [WIDTH HEIGHT]]`.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from fractions import Fraction

import av
import numpy as np


class TcpStream:
    """Serves one visitor, or two over HTTP, from a thread.

    sent: frames sent so far. offset: seconds its clock begins at. stall: frame to be silent after.
    """

    def __init__(self, seconds=5.0, fps=25, size=(96, 64), gop=12, port=0, offset=0, http=False, stall=None):
        self.seconds, self.fps, self.size, self.gop, self.offset = seconds, fps, size, gop, offset
        self.http, self.stall = http, stall
        self.sent, self._stop = 0, threading.Event()
        self._socket = socket.create_server(("127.0.0.1", port))
        place = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.address = f"http://{place}/live.ts" if http else f"tcp://{place}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self._thread.join(10)

    def stop(self):
        """End the stream."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._socket.close()

    def wait(self):
        """Until the stream has ended."""
        self._thread.join()

    def _serve(self):
        for _ in range(2 if self.http else 1):  # over HTTP the first one only looks
            with contextlib.suppress(OSError, av.FFmpegError):
                visitor, _ = self._socket.accept()
                with visitor, visitor.makefile("wb", buffering=0) as file:
                    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
                    if self.http:
                        visitor.recv(4096)
                        file.write(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
                    self._send(file)

    def _send(self, file):
        width, height = self.size
        texture = np.random.default_rng(7).integers(0, 255, (height, 4 * width, 3), np.uint8)
        # Without this the muxer holds frames back, and nothing comes at the speed of the clock.
        options = {"flush_packets": "1"}
        with av.open(_Sink(file), "w", format="mpegts", options=options) as out:
            choices = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
            stream = out.add_stream("libx264", rate=self.fps, options=choices)
            context = stream.codec_context
            context.width, context.height, context.pix_fmt, context.gop_size = width, height, "yuv420p", self.gop
            began = time.monotonic()
            for index in range(int(self.seconds * self.fps)):
                if self._stop.wait(max(0.0, began + index / self.fps - time.monotonic())):
                    return
                shift = index * 4 % (3 * width)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[:, shift : shift + width]))
                frame.pts, frame.time_base = index + self.offset * self.fps, Fraction(1, self.fps)
                out.mux(stream.encode(frame))
                self.sent += 1
                if index == self.stall:
                    self._stop.wait()
            out.mux(stream.encode(None))


class _Sink:
    """A file that can only be written to."""

    def __init__(self, file):
        self._file = file

    def write(self, data):
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        return len(data)


if __name__ == "__main__":
    port, seconds, *rest = sys.argv[1:]
    fps = int(rest[0]) if rest else 25
    size = (int(rest[1]), int(rest[2])) if len(rest) > 2 else (96, 64)
    with TcpStream(float(seconds), fps, size, port=int(port)) as stream:
        stream.wait()
