"""MOTChallenge text: a line per person and frame, in frame order, read by motmetrics, TrackEval and similar tools.

    frame,id,left,top,width,height,confidence,-1,-1,-1

frame and id count from 1 (frame i of the video is i + 1, track t is t + 1), and so do MOT's pixels: the centre of the
first pixel is (1, 1) there, (0, 0) here. confidence is the detector's.
"""

from __future__ import annotations

from pathlib import Path

from ..results.reader import PoseTrackResult
from ..results.serialization import written
from .format import Format, one_file


def write_mot(result: PoseTrackResult, path: Path) -> None:
    """Write the boxes and ids of a result to `path`."""
    with path.open("w", encoding="ascii", newline="\n") as out:
        for frame in result.frames:
            for person in frame.people:
                numbers = written(person)
                x, y, width, height = numbers.bbox
                box = f"{x + 1:.2f},{y + 1:.2f},{width:.2f},{height:.2f}"
                out.write(f"{frame.index + 1},{numbers.track_id + 1},{box},{numbers.score:.4f},-1,-1,-1\n")


FORMAT = Format("MOTChallenge text: boxes and ids", ".txt", one_file(write_mot))
