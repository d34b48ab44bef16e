"""Parts of a video that are done, kept on disk: for runs that go on, and for machines that share one video.

Files and their numbers are in folder.py and values.py, how long they are kept in keeping.py, the stages on them, each
for a part of a video, in parts.py.
"""

from __future__ import annotations

from .folder import SEGMENT_CHUNKS, Entry, SegmentFolder, SegmentLog, segments_folder
from .keeping import is_unfinished, kept_segments, segment_key

__all__ = [
    "SEGMENT_CHUNKS",
    "Entry",
    "SegmentFolder",
    "SegmentLog",
    "is_unfinished",
    "kept_segments",
    "segment_key",
    "segments_folder",
]
