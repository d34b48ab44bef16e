"""A recording for the viewer rerun (.rrd): joints, limbs and boxes of every track over two clocks.

`people/track_3/joints` are points with the joint's name as label, `people/track_3/limbs` lines between them,
`people/track_3/box` the detector's box, `people/track_3/confidence` one number per joint. Clocks: `frame`, the number
in the video, and `time`, seconds. Joints that were not found are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..results.reader import PoseTrackResult
from ..results.serialization import written
from ..skeleton.sets import limbs
from ..types import Person
from .format import Format, by_library


def write_rrd(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path`."""
    import rerun

    recording = rerun.RecordingStream("dcpose", recording_id="dcpose", send_properties=False)
    recording.save(str(path))
    seen: set[int] = set()
    for frame in result.frames:
        recording.set_time("frame", sequence=frame.index)
        recording.set_time("time", duration=frame.time)
        here = {person.track_id for person in frame.people}
        for track in seen - here:
            recording.log(f"people/track_{track}", rerun.Clear(recursive=True))
        for person in frame.people:
            _log(rerun, recording, person)
        seen = here
    recording.flush()
    recording.disconnect()


def _log(rerun: Any, recording: Any, person: Person) -> None:
    numbers = written(person)
    found = {slot: joint for slot, joint in enumerate(numbers.joints) if joint is not None}
    place = f"people/track_{numbers.track_id}"
    points = np.array([joint[:2] for joint in found.values()], np.float32).reshape(-1, 2)
    recording.log(
        f"{place}/joints", rerun.Points2D(points, labels=[person.joints[s] for s in found], show_labels=False)
    )
    recording.log(f"{place}/confidence", rerun.Scalars([joint[2] for joint in found.values()]))
    lines = [[found[a][:2], found[b][:2]] for a, b in limbs(person.joints) if a in found and b in found]
    recording.log(f"{place}/limbs", rerun.LineStrips2D(np.array(lines, np.float32).reshape(-1, 2, 2)))
    x, y, width, height = numbers.bbox
    recording.log(f"{place}/box", rerun.Boxes2D(mins=[[x, y]], sizes=[[width, height]]))


FORMAT = Format("recording for the viewer rerun", ".rrd", by_library(write_rrd, ".rrd"), needs=("rerun", "rerun"))
