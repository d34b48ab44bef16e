"""Download of ultralytics' stock detectors into the cache folder, checked against their published SHA-256."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from dcpose_cli import _ultralytics
from dcpose_cli._paths import cache_dir
from dcpose_cli._text import one_line
from dcpose_cli.errors import OutputError, WeightsError
from dcpose_cli.files import AtomicFile, write_atomic

#: Detectors of ultralytics that may be named without a path.
STOCK_NAME: Final = re.compile(r"yolo(v8|v9|v10|11|12|26|v5)[ntsmblxce]u?\.pt")
STOCK_URL: Final = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
#: Published SHA-256 of stock files. Where there are two, the second one is of the first release of the file: it may
#: be in the cache, or come from a mirror. The hash of a file that is not listed is recorded at its first download.
STOCK_SHA256: Final[dict[str, tuple[str, ...]]] = {
    "yolov8n.pt": (
        "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
        "31e20dde3def09e2cf938c7be6fe23d9150bbbe503982af13345706515f2ef95",
    ),
    "yolov8s.pt": (
        "1f47a78bf100391c2a140b7ac73a1caae18c32779be7d310658112f7ac9aa78a",
        "268e5bb54c640c96c3510224833bc2eeacab4135c6deb41502156e39986b562d",
    ),
    "yolov8m.pt": (
        "5d4a90cdc7a21786cc59cd19778e9eafff836df9e2da32524737c7ee6efe4fe5",
        "6c25b0b63b1a433843f06d821a9ac1deb8d5805f74f0f38772c7308c5adc55a5",
    ),
    "yolov8l.pt": ("64c9115303f6a25575f82200d1b22ec409fa6bd7d08d0313884fc20d919478cd",),
    "yolov8x.pt": ("3df4ada6b4dad6d657868f2fdf7faecfb34dcfccf3a25c4b82079064718524c8",),
    "yolo11n.pt": ("0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",),
    "yolo11s.pt": ("85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5",),
    "yolo11m.pt": ("d5ffc1a674953a08e11a8d21e022781b1b23a19b730afc309290bd9fb5305b95",),
    "yolo11l.pt": ("9ebd0e09d59811db4b1d61e2bc6730649608b1ac47f8dd01e2da6bca7c20023f",),
    "yolo11x.pt": ("7bc158aa95c0ebfdd87f70f01653c1131b93e92522dbe15c228bcd742e773a24",),
    "yolo26n.pt": ("9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",),
    "yolo26s.pt": ("646f8bc3fe0a656803d95c294f7852321748cb29d13466a1af8862e2db384a1b",),
    "yolo26m.pt": ("401cea9ab23ad19246ff7744859816bc599f350e93c9dd30367b6f0a0745d0b7",),
    "yolo26l.pt": ("9fe3c544f2b19bebad7ea41e76d7ad3d88b7c2f10d11d24430c5311f6b32db26",),
    "yolo26x.pt": ("9fdd44a31c504547ffb81d2c6d9e6dac3493c8eaa8b0398d3f43bae6c7003e92",),
}

_MAX_DOWNLOAD_BYTES: Final = 512 << 20


def is_stock(name: str) -> bool:
    """Whether this is the name of a stock detector, which may be downloaded."""
    return STOCK_NAME.fullmatch(name) is not None


def is_published(path: Path) -> bool:
    """Whether a file is the stock detector that its name says, by its hash."""
    return path.is_file() and file_sha256(path) in STOCK_SHA256.get(path.name, ())


def stock_detector(name: str, *, offline: bool = False) -> Path:
    """The file of a stock detector in the cache folder, downloaded when it is not there yet.

    Raises WeightsError when it is not there and `offline` forbids the download, when the download fails, and when the
    file is not one of the published ones.
    """
    folder = cache_dir()
    path = folder / name
    accepted = _accepted(path)
    if path.is_file():
        found = file_sha256(path)
        if accepted and found not in accepted:
            raise WeightsError(
                "has changed since it was downloaded", path=path, hint="delete it, or give the path of a file"
            )
        _record(path, found)
        return path
    if offline:
        raise WeightsError(
            f"not in {folder} and --offline forbids the download", path=name, hint="use person-n or give a path"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        output = AtomicFile(path, overwrite=True)  # another process may have stored it meanwhile
    except (OSError, OutputError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.reason
        raise WeightsError(
            f"{name} cannot be stored in this folder: {reason}", path=folder, hint="set XDG_CACHE_HOME"
        ) from error
    try:
        with output.temp.open("wb") as file:
            _download(STOCK_URL + name, file)
        found = file_sha256(output.temp)
        if accepted and found not in accepted:
            which = "published file" if name in STOCK_SHA256 else "file of the first download"
            raise WeightsError(f"what was downloaded is not the {which}", path=name, hint="try again or give a path")
        _ultralytics.read_checkpoint(output.temp)
        _record(path, found)
        output.commit()
    except (OSError, OutputError, urllib.error.URLError) as error:
        raise WeightsError(
            f"cannot be downloaded: {one_line(error)}", path=name, hint="use person-n or give the path of a file"
        ) from error
    finally:
        output.discard()
    return path


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a weights file. Raises WeightsError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror}", path=path, hint="check the file") from error


def _accepted(path: Path) -> tuple[str, ...]:
    """SHA-256 values a stock file may have: the published ones, or that of the first download; empty: any."""
    published = STOCK_SHA256.get(path.name)
    if published is not None:
        return published
    try:
        recorded = path.with_name(f"{path.name}.sha256").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ()
    return (recorded,) if recorded else ()


def _record(path: Path, digest: str) -> None:
    """Record the hash of a first download beside it, where none is published."""
    if not _accepted(path):
        with suppress(OutputError):  # the cache cannot be written: recorded next time
            write_atomic(path.with_name(f"{path.name}.sha256"), digest + "\n", overwrite=True)


def _download(url: str, file: IO[bytes]) -> None:
    with urllib.request.urlopen(url, timeout=30) as response:
        length = response.headers.get("Content-Length")
        count = 0
        while block := response.read(1 << 20):
            count += len(block)
            if count > _MAX_DOWNLOAD_BYTES:
                raise OSError("larger than any detector")
            file.write(block)
    if length is not None and count != int(length):
        raise OSError(f"only {count} of {length} bytes came")
