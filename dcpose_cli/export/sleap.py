"""SLEAP's prediction files (.slp), written by sleap-io.

A labelled frame per frame with people, an instance per person with x, y (pixels) and score of every joint; NaN where it
was not found. The instance's score is the detector's. Track 3 is the track named `3`. The video is named by its file
name. Times are not in the file: SLEAP counts frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..results.reader import PoseTrackResult
from .format import Cells, Format, by_library, cells


def write_slp(result: PoseTrackResult, path: Path) -> None:
    """Write a result to `path`."""
    import sleap_io

    data = cells(result)
    skeleton = sleap_io.Skeleton(
        data.names, edges=_named(data.limbs, data), symmetries=_named(data.flip_pairs, data), name="person"
    )
    for symmetry in skeleton.symmetries:  # the library writes its pairs in the order of a set, another one in every run
        object.__setattr__(symmetry, "nodes", _InOrder(symmetry.nodes))
    video = sleap_io.Video(filename=_video_name(result), open_backend=False)
    tracks = [sleap_io.Track(name=str(track)) for track in data.ids]

    def instance(frame: int, place: int) -> Any:
        return sleap_io.PredictedInstance.from_numpy(
            data.xy[frame, place],
            skeleton,
            point_scores=data.score[frame, place],
            score=float(data.person_score[frame, place]),
            track=tracks[place],
        )

    labelled = []
    for frame, index in enumerate(data.index.tolist()):
        there = [
            place for place in range(len(tracks)) if data.person_score[frame, place] == data.person_score[frame, place]
        ]
        if there:
            people = [instance(frame, place) for place in there]
            labelled.append(sleap_io.LabeledFrame(video=video, frame_idx=index, instances=people))
    labels = sleap_io.Labels(labelled, videos=[video], skeletons=[skeleton], tracks=tracks)
    sleap_io.save_slp(labels, str(path), embed=False)


class _InOrder(set[Any]):
    """The two nodes of a symmetry, in the order of their names."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=lambda node: node.name))


def _named(pairs: Sequence[tuple[int, int]], data: Cells) -> list[tuple[str, str]]:
    """Pairs by the names of their joints."""
    return [(data.names[a], data.names[b]) for a, b in pairs]


def _video_name(result: PoseTrackResult) -> str:
    source = result.header.get("input")
    name = source.get("name") if isinstance(source, dict) else None
    return name if isinstance(name, str) and name else "video.mp4"


FORMAT = Format("SLEAP predictions", ".slp", by_library(write_slp, ".slp"), needs=("sleap_io", "formats"))
