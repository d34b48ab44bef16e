"""Neurodata Without Borders (NWB) with the extension ndx-pose: for neuroscience archives.

One PoseEstimation per track, `track_3`, in the processing module `behavior`, with a PoseEstimationSeries per joint:
x, y in pixels of the upright frame, (0, 0) the centre of the first pixel, confidence, and the time of every frame in
seconds. NaN stands where the person or the joint was not found. The skeleton is in `Skeletons`.

NWB asks for the time of the session, which a result does not hold: `session_start_time` is 1970-01-01, and times
count from the beginning of the video.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from .. import __version__
from ..results.reader import PoseTrackResult
from ..results.selected import picture_size
from ..results.serialization import compact_json
from .format import Cells, Format, by_library, cells

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FRAME: Final = "(0, 0) is the centre of the first pixel of the upright frame; x to the right, y down"


def write_nwb(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path`."""
    import ndx_pose
    import pynwb

    data = cells(result)
    identity = hashlib.sha256(compact_json(dict(result.header)).encode()).hexdigest()
    file = pynwb.NWBFile(
        session_description="Poses of people in a video, estimated by dcpose; the time of the recording is not known.",
        identifier=identity,
        session_start_time=_EPOCH,
        file_create_date=_EPOCH,
    )
    edges = np.array(data.limbs or np.zeros((0, 2)), np.uint8 if len(data.names) < 256 else np.uint16)
    skeleton = ndx_pose.Skeleton(name="person", nodes=data.names, edges=edges.reshape(-1, 2))
    behavior = file.create_processing_module("behavior", "poses of people over time")
    behavior.add(ndx_pose.Skeletons(skeletons=[skeleton]))
    for place, track in enumerate(data.ids):
        behavior.add(_estimation(result, data, place, track, skeleton))
    with pynwb.NWBHDF5IO(str(path), "w") as out:
        out.write(file)


def _estimation(result: PoseTrackResult, data: Cells, place: int, track: int, skeleton: Any) -> Any:
    import ndx_pose

    series = [
        ndx_pose.PoseEstimationSeries(
            name=name,
            description=f"{name} of track {track}",
            data=data.xy[:, place, joint],
            unit="pixels",
            reference_frame=_FRAME,
            timestamps=data.time,
            confidence=data.score[:, place, joint],
            confidence_definition="maximum of the joint's heatmap; NaN where the joint was not found",
        )
        for joint, name in enumerate(data.names)
    ]
    source, size = result.header.get("input"), picture_size(result.header)
    name = source.get("name") if isinstance(source, dict) else None
    video = {"original_videos": [name]} if isinstance(name, str) else {}
    # Four columns would be taken for something else: width and height of one video.
    sized = {"dimensions": np.array([size], np.uint32)} if size is not None and video else {}
    return ndx_pose.PoseEstimation(
        name=f"track_{track}",
        pose_estimation_series=series,
        description=f"joints of track {track}",
        source_software="dcpose",
        source_software_version=__version__,
        skeleton=skeleton,
        **video,
        **sized,
    )


FORMAT = Format("NWB with ndx-pose", ".nwb", by_library(write_nwb, ".nwb"), needs=("ndx_pose", "formats"))
