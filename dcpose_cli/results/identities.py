"""Track ids that commands and formats can work with: not negative, and distinct in every frame.

Results of dcpose 0.6 may hold an id twice in a frame. They are read as they are; what goes by track ids asks first.
"""

from __future__ import annotations

from collections import Counter

from ..errors import InputError
from .reader import PoseTrackResult


def require_distinct_ids(result: PoseTrackResult) -> None:
    """Raises InputError, which says the frame, the id and what mends it."""
    for frame in result.frames:
        counts = Counter(person.track_id for person in frame.people)
        if len(counts) == len(frame.people) and min(counts, default=0) >= 0:
            continue
        track, count = max(counts.items(), key=lambda item: (item[1], -item[0]))
        reason = f"{count} people with the track id {track}" if count > 1 else f"the track id {min(counts)}, below 0"
        raise InputError(
            f"frame {frame.index} has {reason}",
            path=result.path,
            hint="`dcpose edit --separate all` gives them ids of their own",
        )
