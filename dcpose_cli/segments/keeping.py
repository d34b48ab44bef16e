"""How long the parts of a result are kept: while it is made, and after a run that was stopped or died."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..config import EstimateConfig
from ..errors import DeviceError, OutputError
from ..files import remove_leftovers, shown
from .folder import SegmentFolder, segments_folder


def segment_key(header: Mapping[str, Any], batch: int) -> dict[str, Any]:
    """What parts of a result are made of: its header, and the network's batch, which moves numbers by a rounding."""
    return {**header, "batch": batch}


def is_unfinished(json: Path, settings: EstimateConfig) -> bool:
    """Whether an output without its JSON was left by a run that is being resumed, and may be replaced."""
    return settings.resume is not False and segments_folder(json).is_dir() and not json.exists()


@contextmanager
def kept_segments(
    json: Path, video: Path | None, key: Mapping[str, Any], settings: EstimateConfig
) -> Iterator[SegmentFolder | None]:
    """Where the parts of this result are kept while it is made; None where the input has no fingerprint.

    json, video: the outputs. key: as `segment_key` makes it.
    They go when the result is there. When a run is stopped or fails they stay with `resume`, with None only if it was
    stopped or its device failed, and go otherwise; sudden death leaves them.
    Raises OutputError when another process makes this result, UsageError when `resume` finds parts of something else.
    """
    if key["input"]["sha256"] is None:
        yield None
        return
    segments = SegmentFolder(segments_folder(json), key)
    if not segments.lock():
        raise OutputError(f"{shown(json)} is being made by another run; wait for it or choose another output")
    try:
        if settings.resume:
            segments.require_same()
        if settings.resume is False or not segments.is_same():
            segments.clear()
        if settings.resume is not False:
            for output in filter(None, (json, video)):
                remove_leftovers(output)
        yield segments
    except BaseException as error:
        stopped = not isinstance(error, Exception) or isinstance(error, DeviceError)
        if settings.resume or (settings.resume is None and stopped):
            segments.release()
        else:
            segments.remove()
        raise
    segments.remove()
