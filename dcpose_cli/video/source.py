"""Opening an input: one local file and nothing else, unless the caller allows more."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import av
from av.container import InputContainer

from dcpose_cli.errors import InputError, UsageError
from dcpose_cli.files import shown

#: Largest frame accepted, in pixels: 8K is 33 million, a 16k x 16k bomb 268 million.
MAX_PIXELS = 100_000_000

# Containers that hold their media themselves. Playlists, image sequences, capture devices and scripts are left out:
# they make the library open further files named by the input.
_FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,ivf,vc1,h263,flv,live_flv,asf,"
    "ogg,mxf,nut,wtv,rm,dv,gxf,gif,apng,mjpeg,mpjpeg,yuv4mpegpipe,swf,3dostr,bink,smk,roq,nsv,dirac,cavsvideo,amv"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")
_PLAYLIST_HEADS = (b"#EXTM3U", b"ffconcat", b"[playlist]", b"<?xml", b"<smil", b"<MPD", b"v=0\r", b"v=0\n")
_TIMEOUT_S = 30.0


def open_input(path: str | os.PathLike[str], *, allow_network: bool = False) -> InputContainer:
    """Open `path` for reading.

    Raises UsageError for a folder, or for a name that is a URL, protocol or device and not a file; InputError when the
    file is missing, empty, a playlist, or in no format we can read. `allow_network` lifts the refusals of URLs and
    playlists.
    """
    name = os.fspath(path)
    if not os.path.lexists(name) and _SCHEME.match(name):
        if not allow_network:
            raise UsageError(
                f"{shown(name)} is not a local file: download it first, or use --allow-network (allow_network=True)"
            )
        # A pathlib.Path has lost one of the slashes.
        return _open(re.sub(r"^(\w+):/+", r"\1://", name), name, {})
    _require_file(name)
    if allow_network:
        return _open(f"file:{name}", name, {})
    _refuse_playlist(name)
    return _open(f"file:{name}", name, {"protocol_whitelist": "file", "format_whitelist": _FORMATS})


def _require_file(name: str) -> None:
    try:
        status = Path(name).stat()
    except FileNotFoundError as exc:
        raise InputError(f"no such file: {shown(name)}; check the path") from exc
    except (OSError, ValueError) as exc:
        raise InputError(f"cannot open {shown(name)}: {getattr(exc, 'strerror', None) or exc}; check the path") from exc
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{shown(name)} is a folder: use `dcpose batch` for folders")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{shown(name)} is a pipe or device: give a video file")
    if status.st_size == 0:
        raise InputError(f"{shown(name)} is empty (0 bytes): copy or record it again")


def _refuse_playlist(name: str) -> None:
    try:
        with Path(name).open("rb") as file:
            head = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as exc:
        raise InputError(f"cannot read {shown(name)}: {exc.strerror}; check its permissions") from exc
    if head.startswith(_PLAYLIST_HEADS):
        raise InputError(f"{shown(name)} is a playlist that names other files: give the video file itself")


def _open(url: str, name: str, container_options: dict[str, str]) -> InputContainer:
    try:
        return av.open(
            url,
            "r",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options=container_options,
            metadata_errors="replace",
            timeout=None if url.startswith("file:") else _TIMEOUT_S,
        )
    except (av.FFmpegError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise InputError(f"{shown(name)} is not a video we can read: {reason}; check the file") from exc
