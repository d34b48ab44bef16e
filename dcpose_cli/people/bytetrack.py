"""ByteTrack of the package `trackers` (the extra `dcpose[trackers]`), by motion and overlap alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._text import one_line
from ..errors import UsageError
from ..types import Detections, TrackedBoxes


class ByteTracker:
    """Gives identities to the people of one video, as protocols.Tracker says; the options are those of `new_tracker`.

    Raises UsageError where a package is not installed.
    """

    needs: ClassVar = ("trackers", "trackers")

    def __init__(
        self,
        fps: float,
        *,
        start_score: float,
        keep_score: float,
        match_iou: float,
        memory: float,
    ) -> None:
        try:
            import supervision
            import trackers
        except ImportError as error:
            reason = f"the tracker bytetrack cannot be imported: {one_line(error)}"
            raise UsageError(reason, hint="pip install 'dcpose[trackers]'") from error
        self._boxes_of: Any = supervision.Detections
        self._keep_score = keep_score
        package: Any = trackers
        self._build: Callable[[], Any] = lambda: package.ByteTrackTracker(
            lost_track_buffer=max(1, round(30 * memory)),  # counted in thirtieths of a second
            frame_rate=fps if 0 < fps < 1000 else 30.0,
            track_activation_threshold=start_score,
            high_conf_det_threshold=start_score,
            minimum_iou_threshold=match_iou,
            minimum_consecutive_frames=1,
        )
        self._tracker: Any = self._build()
        self._identities: dict[int, int] = {}
        self._next_id = 0

    def follow(
        self,
        detections: Detections,
        appearances: Sequence[NDArray[np.float32] | None],
        frame_size: tuple[int, int] | None,
        /,
        *,
        time: float | None = None,
        cut: bool = False,
    ) -> TrackedBoxes:
        """The people of the next frame; detections without a track are left out, nobody is expected."""
        if cut:
            self._tracker, self._identities = self._build(), {}
        rows = np.flatnonzero(detections.scores >= self._keep_score)
        boxes = detections.boxes[rows]
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        found = self._tracker.update(
            self._boxes_of(xyxy=corners, confidence=detections.scores[rows], data={"row": rows}), timestamp=time
        )
        # The order may have changed, and -1 stands for no track.
        tracks = {} if not len(found) else dict(zip(found.data["row"].tolist(), found.tracker_id.tolist(), strict=True))
        kept = sorted(row for row, track in tracks.items() if track >= 0)
        identities = [self._identity(tracks[row]) for row in kept]
        return TrackedBoxes(detections.boxes[kept], detections.scores[kept], np.array(identities, np.int64), cut=cut)

    def _identity(self, track: int) -> int:
        """Our number of a track: the package counts over all of its trackers."""
        if track not in self._identities:
            self._identities[track] = self._next_id
            self._next_id += 1
        return self._identities[track]
