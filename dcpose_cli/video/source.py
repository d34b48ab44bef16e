"""Opening an input: one local file and nothing else, unless the caller allows more."""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from dcpose_cli._reading import open_file
from dcpose_cli.errors import InputError, UsageError

#: Largest frame accepted, in pixels: 8K is 33 million, a 16k x 16k bomb 268 million.
MAX_PIXELS = 100_000_000

# Containers that hold their media themselves. Playlists, image sequences, capture devices and scripts are left out:
# they make the library open further files named by the input.
_FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,ivf,vc1,h263,flv,live_flv,asf,"
    "ogg,mxf,nut,wtv,rm,dv,gxf,gif,apng,mjpeg,mpjpeg,yuv4mpegpipe,swf,3dostr,bink,smk,roq,nsv,dirac,cavsvideo,amv,"
    # Sound alone is opened too, to say that it has no video stream.
    "mp3,wav,w64,flac,aac,ac3,eac3,dts,amr,aiff,caf,au,ape,wv,tta"
)
_JPEG = b"\xff\xd8\xff"
#: First bytes of pictures, and where they stand.
_PICTURES = ((_JPEG, 0), (b"\x89PNG\r\n", 0), (b"BM", 0), (b"II*\0", 0), (b"MM\0*", 0), (b"WEBP", 8))
#: A JPEG that begins where another one ends: MJPEG without a container.
_NEXT_JPEG = b"\xff\xd9" + _JPEG
_JPEG_SEARCH_BYTES = 32 << 20
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")
_PLAYLIST_HEADS = (b"#EXTM3U", b"ffconcat", b"[playlist]", b"<?xml", b"<smil", b"<MPD", b"v=0\r", b"v=0\n")
_TIMEOUT_S = 30.0
#: A live source that sends nothing for so long has ended.
LIVE_TIMEOUT_S = 10.0
#: Addresses that are live whatever comes from them; one of http is where the stream has no length.
_LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp", "camera"})
#: FFmpeg's names of a stream that is handed over by another program.
_PIPE_SCHEMES = frozenset({"pipe", "fd"})
_NO_PIPE = "write the stream to a file first: ffmpeg -i pipe:0 -c copy video.mkv"
_CAMERA_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
# Begin soon, and do not wait for frames that come late.
_LIVE_OPTIONS = {"fflags": "nobuffer", "analyzeduration": "600000", "rtsp_transport": "tcp"}


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether `path` names a network address, device or protocol rather than a file."""
    name = os.fspath(path)
    return not os.path.lexists(name) and _SCHEME.match(name) is not None


def is_live(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a camera (`camera:0`, `/dev/video0`) or an address that cannot be anything but live."""
    name = os.fspath(path)
    if is_address(path):
        return name.partition(":")[0].lower() in _LIVE_SCHEMES
    return name.startswith("/dev/video") and os.path.lexists(name)


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether `path` means the standard input: `-` or `pipe:0`, where no file has the name."""
    name = os.fspath(path)
    scheme, colon, _ = name.partition(":")
    named = name == "-" or (colon == ":" and scheme.lower() in _PIPE_SCHEMES)
    return named and not os.path.lexists(name)


def open_input(
    path: str | os.PathLike[str], *, allow_network: bool = False, live: bool = False, hwaccel: HWAccel | None = None
) -> InputContainer:
    """Open `path` for reading.

    Raises UsageError for a folder, for standard input, or for a name that is a URL, protocol or device and not a file;
    a video is read twice, once to look at it, which a pipe does not allow. InputError when the
    file is missing, empty, a playlist, or in no format we can read. `allow_network` lifts the refusals of URLs and
    playlists, and lets `camera:0` and `/dev/video0` be cameras. live: begin with what comes now.
    hwaccel: what decodes a local file, None for software.
    """
    name = os.fspath(path)
    if is_pipe(path):
        raise UsageError("videos are not read from a pipe", path=name, hint=_NO_PIPE)
    camera = _camera(name) if is_live(path) else None
    if camera is not None and allow_network:
        return _open(camera[0], name, {}, format=camera[1], timeout=LIVE_TIMEOUT_S)
    if camera is not None:
        raise UsageError(
            "this is a camera", path=name, hint="use --allow-network (allow_network=True) to let it be read"
        )
    if is_address(path):
        if not allow_network:
            raise UsageError(
                "not a local file", path=name, hint="download it first, or use --allow-network (allow_network=True)"
            )
        # A pathlib.Path has lost one of the slashes.
        url = re.sub(r"^(\w+):/+", r"\1://", name)
        return _open(url, name, _LIVE_OPTIONS if live else {}, timeout=LIVE_TIMEOUT_S if live else _TIMEOUT_S)
    _require_file(name)
    if allow_network:
        return _open(f"file:{name}", name, {}, hwaccel=hwaccel)
    head = _head(name)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_PLAYLIST_HEADS):
        raise InputError("this is a playlist that names other files", path=name, hint="give the video file itself")
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    # Told apart from a single JPEG by nothing but what follows it, which probing does not look at.
    motion = "mjpeg" if head.startswith(_JPEG) and _has_more_jpegs(name) else None
    try:
        return _open(f"file:{name}", name, options, hwaccel=hwaccel, format=motion)
    except InputError as error:
        if any(head.startswith(mark, at) for mark, at in _PICTURES):
            raise InputError("no video stream: it is a picture", path=name, hint="give a video") from error
        raise


def _require_file(name: str) -> None:
    try:
        status = Path(name).stat()
    except FileNotFoundError as exc:
        raise InputError("no such file", path=name, hint="check the path") from exc
    except (OSError, ValueError) as exc:
        raise InputError(
            f"cannot be opened: {getattr(exc, 'strerror', None) or exc}", path=name, hint="check the path"
        ) from exc
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(
            "this is a folder without pictures", path=name, hint="use `dcpose batch` for folders of videos"
        )
    if not stat.S_ISREG(status.st_mode):
        hint = _NO_PIPE if stat.S_ISFIFO(status.st_mode) else "give a video file"
        raise InputError("this is a pipe or device", path=name, hint=hint)
    if status.st_size == 0:
        raise InputError("empty (0 bytes)", path=name, hint="copy or record it again")


def _head(name: str) -> bytes:
    try:
        with open_file(Path(name)) as file:
            return file.read(64)
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=name, hint="check its permissions") from exc


def _has_more_jpegs(name: str) -> bool:
    with open_file(Path(name)) as file:
        return _NEXT_JPEG in file.read(_JPEG_SEARCH_BYTES)


def _camera(name: str) -> tuple[str, str] | None:
    """What FFmpeg calls a camera, and the format that reads it; None for what is none."""
    kind = _CAMERA_FORMATS.get(sys.platform)
    if name.startswith("/dev/video"):
        return (name, "v4l2") if kind == "v4l2" else None
    scheme, _, camera = name.partition(":")
    if scheme.lower() != "camera" or kind is None:
        return None
    return {"v4l2": f"/dev/video{camera}", "avfoundation": camera, "dshow": f"video={camera}"}[kind], kind


def _open(
    url: str,
    name: str,
    container_options: dict[str, str],
    *,
    format: str | None = None,  # noqa: A002 - FFmpeg's word
    timeout: float | None = None,
    hwaccel: HWAccel | None = None,
) -> InputContainer:
    try:
        return av.open(
            url,
            "r",
            format=format,
            options={"max_pixels": str(MAX_PIXELS)},
            container_options=container_options,
            metadata_errors="replace",
            timeout=timeout,
            hwaccel=hwaccel,
        )
    except (av.error.ExitError, TimeoutError) as exc:  # the former is how FFmpeg names our own limit
        raise InputError(
            f"timed out: it sent too little for {timeout or 0:g} s", path=name, hint="check the address"
        ) from exc
    except (av.FFmpegError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise InputError(f"not a video we can read: {reason}", path=name, hint="check the file") from exc


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells whether a file is still the one that was opened: its identity, length and time of change."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @staticmethod
    def of(path: str | os.PathLike[str]) -> FileState | None:
        """None for what is no file, or is not there (any more)."""
        try:
            status = Path(path).stat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
