"""Ultralytics' stock detectors: their names, and their files in the user's folders, downloaded when they are wanted."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from dcpose_cli import _ultralytics
from dcpose_cli._paths import cache_dir
from dcpose_cli.errors import OutputError, WeightsError
from dcpose_cli.files import output_error, write_atomic
from dcpose_cli.published.download import Report
from dcpose_cli.published.store import detector_path, file_sha256, hash_problem, obtained, record
from dcpose_cli.published.table import DETECTOR, PUBLISHED, PublishedModel, stock_detector_entry

__all__ = ["fetch_detector", "file_sha256", "is_published", "is_stock", "stock_detector", "stock_name"]

#: Detectors of ultralytics that may be named without a path.
STOCK_NAME: Final = re.compile(r"yolo(v8|v9|v10|11|12|26|v5)[ntsmblxce]u?\.pt")


def is_stock(name: str) -> bool:
    """Whether this is the name of a stock detector, which may be downloaded."""
    return STOCK_NAME.fullmatch(name) is not None


def stock_name(source: str) -> str:
    """The name of a stock detector's file, of which the ending may be left out where the table lists it."""
    entry = PUBLISHED.get(source)
    return entry.file if entry is not None and entry.kind == DETECTOR else source


def is_published(path: Path) -> bool:
    """Whether a file is the stock detector that its name says, by its hash."""
    entry = PUBLISHED.get(path.stem)
    return entry is not None and path.is_file() and not hash_problem(entry, file_sha256(path))


def stock_detector(name: str, *, offline: bool = False) -> Path:
    """The file of a stock detector in the user's folders, downloaded when it is not there yet.

    Raises WeightsError when it is not there and `offline` forbids the download, when the download fails, and when the
    file is not one of the published ones; OutputError when it cannot be stored.
    """
    entry = _entry(name)
    for path in (detector_path(name), cache_dir() / name):
        if path.is_file():
            digest = file_sha256(path)
            if hash_problem(entry, digest):
                raise WeightsError(
                    "has changed since it was downloaded", path=path, hint="delete it, or give the path of a file"
                )
            with suppress(OutputError, WeightsError):  # the folder cannot be written: recorded next time
                record(entry, digest)
            return path
    return fetch_detector(entry, offline=offline)


def fetch_detector(
    entry: PublishedModel,
    *,
    file: Path | None = None,
    mirror: str | None = None,
    offline: bool = False,
    report: Report | None = None,
) -> Path:
    """Store the published file of a detector, as it is; returns where. Arguments and errors: published.store.obtained.

    WeightsError also for a file that is no detector.
    """
    path = detector_path(entry.file)
    with obtained(entry, file=file, mirror=mirror, offline=offline, report=report) as found:
        if path.is_file() and not hash_problem(entry, file_sha256(path)):
            return path
        _ultralytics.read_checkpoint(found)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            data = found.read_bytes()
        except OSError as error:
            raise output_error(error, path) from error
        write_atomic(path, data, overwrite=True)
    return path


def _entry(name: str) -> PublishedModel:
    """The table's entry of a stock detector's file name, or one without a hash: the first download's counts then."""
    stem = name.removesuffix(".pt")
    return PUBLISHED.get(stem) or stock_detector_entry(stem)
