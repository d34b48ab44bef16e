"""The segment store of one result: open while the result is made, kept after a run that was interrupted."""

from __future__ import annotations

import contextlib
import json as json_format
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..config import EstimateConfig
from ..errors import DeviceError, OutputError
from ..files import complete_set, is_own_folder, read_own, remove_leftovers
from ..settings import ResolvedSettings
from .folder import FOLDER_ENDING, KEY_NAME, SegmentFolder, has_segments, segments_folder


def segment_key(header: Mapping[str, Any], requested: Mapping[str, Any], settings: ResolvedSettings) -> dict[str, Any]:
    """What parts of a result are made of: its header, and the settings as requested and as resolved.

    Parts hold everybody: whom the result keeps is no part of the key.
    """
    everybody = {key: value for key, value in header.items() if key != "selection"}
    return {**everybody, "requested": dict(requested), "resolved": settings.as_dict()}


def stored_settings(target: Path, requested: Mapping[str, Any]) -> ResolvedSettings | None:
    """The resolved settings of a result's stored parts; None without parts, or when other settings were requested."""
    try:
        key = json_format.loads(read_own(segments_folder(target) / KEY_NAME))
        same = key["requested"] == json_format.loads(json_format.dumps(dict(requested)))
        return ResolvedSettings.from_dict(key["resolved"]) if same else None
    except (OSError, OutputError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def is_unfinished(target: Path, config: EstimateConfig) -> bool:
    """Whether an output without its JSON was left by a run that is being resumed, and may be replaced."""
    remove_finished(target)
    return config.resume is not False and has_segments(target) and not target.exists()


def remove_finished(target: Path) -> Path | None:
    """Remove the parts of a result that is there, which a run that was killed at its very end left; their folder.

    A result that is older than one of the parts is not theirs. Nothing is removed while another run holds them.
    """
    complete_set(target)
    folder = segments_folder(target)
    with contextlib.suppress(OSError, OutputError):
        if is_own_folder(folder) and target.lstat().st_mtime_ns >= _latest(folder):
            store = SegmentFolder(folder, {})
            if store.lock():
                store.remove()
                return folder
    return None


def _latest(folder: Path) -> int:
    """When the last part was made, in ns; 0 where there is none. Every run touches the lock."""
    return max((path.lstat().st_mtime_ns for path in folder.iterdir() if path.name != "lock"), default=0)


def remove_all_finished(folder: Path) -> list[Path]:
    """`remove_finished` for every result in a folder; what was removed."""
    stores = [path.name for path in folder.iterdir() if path.name.endswith(FOLDER_ENDING)]
    targets = [folder / name.removeprefix(".").removesuffix(FOLDER_ENDING) for name in stores]
    return [store for store in map(remove_finished, targets) if store is not None]


@contextmanager
def open_store(
    target: Path, video: Path | None, key: Mapping[str, Any], config: EstimateConfig
) -> Iterator[SegmentFolder | None]:
    """The segment store of a result while it is made; None where the input has no fingerprint.

    target: the JSON, or the file it is converted to. video: the annotated video, if any. key: see `segment_key`.
    The store is removed when the result is there. When a run is stopped or fails it stays with `resume`; with None
    only if the run was stopped or its device failed; sudden death leaves it.
    Raises OutputError when another process makes this result, UsageError when `resume` finds parts of something else.
    """
    if key["input"]["sha256"] is None:
        yield None
        return
    segments = SegmentFolder(segments_folder(target), key)
    if not segments.lock():
        raise OutputError("it is being made by another run", path=target, hint="wait for it or choose another output")
    try:
        if config.resume:
            segments.require_same()
        if config.resume is False or not segments.is_same():
            segments.clear()
        if config.resume is not False:
            for output in filter(None, (target, video)):
                remove_leftovers(output)
        yield segments
    except BaseException as error:
        stopped = not isinstance(error, Exception) or isinstance(error, DeviceError)
        if config.resume or (config.resume is None and stopped):
            segments.release()
        else:
            segments.remove()
        raise
    segments.remove()
