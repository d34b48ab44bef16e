"""Download over HTTP that survives interruptions: resumed where it stopped, and tried again."""

from __future__ import annotations

import errno
import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from .._text import whole_number
from ..files import output_error

#: Called with the bytes at hand and, where the server says it, the bytes of the whole file.
Report = Callable[[int, int | None], None]

#: Seconds without a byte after which a connection is given up.
TIMEOUT_S: float = 30.0
#: Seconds to wait before each further try. Tries that brought the file forward do not count.
RETRY_DELAYS_S: tuple[float, ...] = (1, 2, 4, 8)
#: Longest wait that a server may ask for, seconds.
_MOST_PATIENCE_S: Final = 60.0
_BLOCK_BYTES: Final = 1 << 18
#: Answers to a request that a later try may improve on; other refusals are final.
_PASSING: Final = frozenset({408, 425, 429})
_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d+/(\d+|\*)")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections within HTTP, and never from an encrypted address to an open one."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """As the base class."""
        allowed = ("https",) if urlsplit(req.full_url).scheme == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise urllib.error.HTTPError(req.full_url, code, f"redirected to {newurl:.200}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS, through the proxies of the environment; no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def download(url: str, part: Path, *, most_bytes: int, report: Report | None = None) -> bool:
    """Complete the file `part` from an address; what it holds already is taken for the file's beginning.

    most_bytes: a longer answer is refused. Returns whether bytes of an earlier call were used. Raises OSError (of which
    urllib's errors are kinds) when the address refuses, or fails so often; OutputError when `part` cannot be written.
    """
    opener, resumed = _opener(), _length(part) > 0
    best, failures = _length(part), 0
    while True:
        try:
            return _attempt(opener, url, part, most_bytes, report) and resumed
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            now = _length(part)
            failures = 0 if now > best else failures + 1
            best = max(best, now)
            if failures > len(RETRY_DELAYS_S) or not _may_pass(error):
                raise error if isinstance(error, OSError) else OSError(str(error) or type(error).__name__) from error
            time.sleep(max(RETRY_DELAYS_S[max(failures - 1, 0)], _asked_delay(error)))


def _attempt(
    opener: urllib.request.OpenerDirector, url: str, part: Path, most_bytes: int, report: Report | None
) -> bool:
    """One request; whether it went on from what was there."""
    have = _length(part)
    headers = {"User-Agent": "dcpose", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        error.close()
        if error.headers.get("Content-Range", "").endswith(f"/{have}"):
            return True  # it was complete already
        part.unlink()
        raise ConnectionError("the server has another file than the one begun") from error
    with response:
        start = _start_of(response, have)
        if start != have:
            if start:
                part.unlink(missing_ok=True)
                raise ConnectionError("the server went on at another place than asked")
            have = 0
        try:
            file = part.open("ab" if have else "wb")
        except OSError as error:
            raise output_error(error, part) from error
        with file:
            _copy(response, file, part, have, most_bytes, report)
    return have > 0


def _start_of(response: Any, have: int) -> int:
    """Where in the file the body of an answer begins."""
    if response.status != 206:
        return 0
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    encoded = _encoding(response) != "identity"  # ranges of an encoded file count its encoded bytes
    return have + 1 if found is None or encoded else int(found[1])


def _encoding(response: Any) -> str:
    named = str(response.headers.get("Content-Encoding") or "identity").strip().lower()
    return "gzip" if named == "x-gzip" else named


def _copy(response: Any, file: IO[bytes], part: Path, have: int, most_bytes: int, report: Report | None) -> None:
    """The body of an answer into the file. Raises OSError when it ends early or is too long."""
    encoding = _encoding(response)
    if encoding not in ("identity", "gzip"):
        raise ConnectionError(f"the server encoded the file as {encoding!r:.40}")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding == "gzip" else None
    length = response.headers.get("Content-Length")
    expected = whole_number(length or "")
    total = None if expected is None or unpack else have + expected
    came, written = 0, have
    while block := response.read1(_BLOCK_BYTES):
        came += len(block)
        try:
            data = unpack.decompress(block, most_bytes + 1) if unpack else block
        except zlib.error as error:
            raise ConnectionError("the server encoded the file wrongly") from error
        written += len(data)
        if written > most_bytes:
            raise OSError(errno.EFBIG, f"what came is longer than {most_bytes:,} bytes")
        try:
            file.write(data)
            file.flush()
        except OSError as error:
            raise output_error(error, part) from error
        if report is not None:
            report(written, total)
    if (expected is not None and came != expected) or (unpack is not None and not unpack.eof):
        wanted = "" if expected is None else f" of {expected:,}"
        raise ConnectionError(f"the connection ended after {came:,}{wanted} bytes")


def _may_pass(error: BaseException) -> bool:
    """Whether another try may succeed."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in _PASSING
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return not isinstance(cause, ssl.SSLCertVerificationError) and getattr(cause, "errno", None) != errno.EFBIG


def _asked_delay(error: BaseException) -> float:
    """Seconds that the server asks to be left alone."""
    if not isinstance(error, urllib.error.HTTPError):
        return 0.0
    asked = str(error.headers.get("Retry-After") or "")
    return min(float(whole_number(asked) or 0), _MOST_PATIENCE_S)


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
