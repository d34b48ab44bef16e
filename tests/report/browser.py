"""A headless Chromium driven through its debugging pipe: no driver, no network port.

Not a test and not imported as a module: `runpy` reads it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
    "--hide-scrollbars",
)


def find_chromium():
    """Path of a browser, None without one."""
    return next(filter(None, map(shutil.which, (os.environ.get("DCPOSE_CHROMIUM", ""), *NAMES))), None)


class Page:
    """One page of a browser of its own. Errors of the page's scripts collect in `errors`, addresses in `requests`."""

    def __init__(self, binary, profile, size=(1280, 1000)):
        to_browser, write = os.pipe()
        read, from_browser = os.pipe()
        # The browser reads commands from its file 3 and answers on file 4.
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$0" "$@"'
        flags = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "about:blank"]
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", shell, binary, *flags],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._read, self._write, self._buffer, self._number = read, write, b"", 0
        self.errors, self.requests, self._session = [], [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )

    def close(self):
        with contextlib.suppress(OSError):
            os.close(self._write)
        self._process.kill()
        self._process.wait()
        os.close(self._read)

    def call(self, method, timeout=60, **params):
        """A command of the DevTools protocol; its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            answer = self._next(end)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self, end):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "the browser has gone"
            self._buffer += chunk
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(raw)
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"].get("exception", {}).get("description", str(params)))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])
        return message

    def open(self, path, timeout=60):
        """Load a page of the report and wait until it is ready; seconds that took, by the page's own clock."""
        self.call("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait("document.documentElement?.dataset.ready === 'yes'", timeout)
        return self.run("dcpose.opened / 1000")

    def run(self, script):
        """Value of a JavaScript expression; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition, timeout=20):
        """Until a JavaScript condition holds."""
        end = time.monotonic() + timeout
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"waited in vain for {condition}; {self.errors}"
            time.sleep(0.03)

    def key(self, key, shift=False):
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 if shift else 0)

    def click(self, selector, dx=None):
        """Click into the middle of an element, or dx (a share of its width) from its left edge."""
        share = 0.5 if dx is None else dx
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            f" const r = e.getBoundingClientRect(); return [r.left + {share} * r.width, r.top + r.height / 2] }})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1, buttons=1)

    def screenshot(self, path, full=False):
        """A PNG of what is visible, or of the whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=full, fromSurface=True)["data"]
        Path(path).write_bytes(base64.b64decode(data))
