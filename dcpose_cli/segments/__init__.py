"""The segment store: finished parts of a video on disk, for resumed runs and for machines that share one video.

Files are in folder.py, their arrays in values.py, how long they stay in store.py.
"""

from __future__ import annotations

from .folder import Entry, SegmentFolder, SegmentLog, segments_folder
from .store import is_unfinished, open_store, remove_all_finished, remove_finished, segment_key, stored_settings

__all__ = [
    "Entry",
    "SegmentFolder",
    "SegmentLog",
    "is_unfinished",
    "open_store",
    "remove_all_finished",
    "remove_finished",
    "segment_key",
    "segments_folder",
    "stored_settings",
]
