"""The stages of an analysis and the one place that connects them: frames -> people -> windows -> joints.

    mark_cuts            Frame                  -> Frame, `cut` set where a new scene begins (window.py)
    detect               Frame                  -> Frame, Observation
    track                T, Observation         -> T, TrackedBoxes
    with_windows         Frame, TrackedBoxes    -> Window, TrackedBoxes
    estimate             Window, TrackedBoxes   -> Frame, FrameResult

Each is a generator over value types and knows no other one. `analyse` connects all of them for a stream of frames;
batch/parts.py runs them on parts of a video, and frame_folders gives its own boxes to `keypoints_of`.
What is decided before the first frame is in ResolvedSettings and Stream. What a stage does with a frame depends on
those and on the frames alone, so that parts, resumed runs and a straight run give the same bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._cores import single_threaded
from ._threads import ReadAhead
from .chunks import CHUNK_FRAMES, chunk_frames, chunk_of, detected_ahead, segment_of
from .people.confirmation import confirmed, frames_ahead
from .people.expected import frame_result
from .people.gaps import filled, gap_frames
from .people.hidden import Hidden
from .people.interpolation import corrected, detection_places, doubtful, interpolate_frames
from .people.protocols import Find
from .people.spikes import spike_frames
from .people.tracker import new_tracker
from .pixels import Pixels
from .pose.network import PoseNetwork
from .segments import Entry, SegmentFolder, SegmentLog
from .segments.values import people_entry, result_of, seen_entry, seen_of
from .settings import ResolvedSettings
from .types import Detections, Frame, FrameResult, Observation, TrackedBoxes, VideoInfo, Window
from .window import mark_cuts, windows

#: Frame rate assumed where the video does not declare one.
DEFAULT_FPS: Final = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stream:
    """What the stages need to know of a stream of frames before its first frame.

    width, height: of the frames, pixels. fps: frames per second. pixel_aspect: width of a pixel over its height.
    together: most frames that are waited for and processed together; 1 for live sources, where waiting is delay.
    """

    width: int
    height: int
    fps: float = DEFAULT_FPS
    pixel_aspect: float = 1.0
    together: int = CHUNK_FRAMES

    @staticmethod
    def of(info: VideoInfo) -> Stream:
        """The stream of a video file."""
        return Stream(info.width, info.height, float(info.fps or DEFAULT_FPS), float(info.sample_aspect_ratio))

    @property
    def chunk_frames(self) -> int:
        """Frames in a chunk."""
        return chunk_frames(self.width, self.height, self.together)

    @property
    def confirmation_frames(self) -> int:
        """Frames that are waited for before a new track is confirmed; 0 where frames are not waited for."""
        return min(frames_ahead(self.fps), self.chunk_frames - 1)

    @property
    def gap_frames(self) -> int:
        """Frames of the longest gap in a track that is filled; 0 where frames are not waited for."""
        return gap_frames(self.fps, self.width, self.height) if self.together > 1 else 0


def analyse(
    frames: Iterable[Frame],
    stream: Stream,
    settings: ResolvedSettings,
    *,
    find: Find,
    pose: PoseNetwork,
    segments: SegmentFolder | None = None,
) -> Generator[tuple[Frame, FrameResult]]:
    """Frames of one video, in order and of one size -> the same frames with their people.

    find: called by one thread at a time. segments: where finished parts of this video are stored; what is there
    already is not computed again. Unless frames are processed one by one, `frames` are taken in a thread of its own,
    which ends with the generator (close it before what the frames come from).
    """
    detected = SegmentLog(segments, "seen") if segments else None
    estimated = SegmentLog(segments, "people") if segments else None
    # What the network needs is converted beside it, in the thread that detects.
    given = _converted(frames) if pose.whole_frames else frames
    observed = detect(mark_cuts(given), stream, settings, find, detected)
    tracked = track(observed, stream, settings)
    # The next people are detected while the pose network runs; not in a live stream, where waiting is delay.
    ahead = (
        ReadAhead(tracked, detected_ahead(stream.width, stream.height)) if stream.together > 1 else nullcontext(tracked)
    )
    with single_threaded, ahead as pairs:
        windowed = with_windows(pairs, settings.interval, pose.reach)
        yield from estimate(windowed, stream, settings, find, pose, estimated)
    for log in filter(None, (detected, estimated)):
        log.finish()


def _converted(frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        frame.pixels.rgb()
        yield frame


def detect(
    frames: Iterable[Frame], stream: Stream, settings: ResolvedSettings, find: Find, log: SegmentLog | None = None
) -> Iterator[tuple[Frame, Observation]]:
    """Frames with who was detected in them. log: where that is stored, and found again."""
    for _, group in groupby(frames, key=lambda frame: chunk_of(frame, stream.together)):
        yield from _given(_detected_chunk(list(group), settings, find, log))


def _detected_chunk(
    chunk: Sequence[Frame], settings: ResolvedSettings, find: Find, log: SegmentLog | None
) -> deque[tuple[Frame, Observation]]:
    entries = log.recall(segment_of(chunk[0]), chunk) if log else None
    if entries is None:
        entries = _detected(chunk, settings.detect_every, find)
        if log:
            log.record(segment_of(chunk[0]), entries)
    times = [frame.time for frame in chunk]
    return deque(zip(chunk, _observations(entries, times, settings.detect_every), strict=True))


def _given(items: deque[T]) -> Iterator[T]:
    """The items in order. None is held once it is given: a chunk of frames would stay until the next one is done."""
    while items:
        yield items.popleft()


def stored_observations(
    entries: Iterable[Entry], stream: Stream, settings: ResolvedSettings, time_base: Fraction
) -> Iterator[tuple[Entry, Observation]]:
    """What `detect` stored of all frames of a video, as it was passed on; time_base: seconds per tick."""
    for _, group in groupby(entries, key=lambda entry: entry.index // stream.chunk_frames):
        chunk = list(group)
        times = [float(entry.pts * time_base) for entry in chunk]
        yield from zip(chunk, _observations(chunk, times, settings.detect_every), strict=True)


def _detected(chunk: Sequence[Frame], every: int, find: Find) -> list[Entry]:
    places = _searched(chunk, every)
    scenes: list[list[Pixels]] = [[]]
    for place, frame in enumerate(chunk):
        if frame.cut:
            scenes.append([])
        if place in places:
            scenes[-1].append(frame.pixels)
    found = iter([people for shown in scenes if shown for people in find(shown)])
    return [
        seen_entry(frame, next(found) if place in places else Detections.empty()) for place, frame in enumerate(chunk)
    ]


def _observations(entries: Sequence[Entry], times: Sequence[float], every: int) -> list[Observation]:
    places = _searched(entries, every)
    return [
        Observation(time, entry.cut, place in places, *seen_of(entry))
        for place, (entry, time) in enumerate(zip(entries, times, strict=True))
    ]


def _searched(chunk: Sequence[Frame | Entry], every: int) -> frozenset[int]:
    """Places of the frames of a chunk that the detector runs on; the first frames of scenes are among them."""
    return detection_places([frame.cut for frame in chunk], every)


def track(
    observed: Iterable[tuple[T, Observation]], stream: Stream, settings: ResolvedSettings
) -> Iterator[tuple[T, TrackedBoxes]]:
    """Frames, or what stands for them, with the confirmed people in them; in order, some frames later."""
    tracker = new_tracker(
        settings.tracker,
        stream.fps,
        start_score=settings.conf,
        keep_score=settings.keep_conf,
        match_iou=settings.track_iou,
        memory=settings.track_memory,
    )

    hidden = Hidden()

    def follow(item: tuple[T, Observation]) -> TrackedBoxes:
        seen, size = item[1], (stream.width, stream.height)
        people = tracker.follow(seen.detections, seen.appearances, size, time=seen.time, cut=seen.cut)
        if not settings.fill:
            return people.detected()
        # Where frames wait, later detections tell whether somebody missed is in a gap: only hidden people are guessed.
        return hidden(people) if stream.gap_frames else people

    searched = ((item, item[1].searched) for item in observed)
    complete = filled(
        interpolate_frames(searched, follow),
        stream.gap_frames,
        fill=settings.fill,
        back=stream.confirmation_frames,
        spikes=spike_frames(stream.fps),
        detections=lambda item: item[1].detections,
        appearances=lambda item: item[1].appearances,
    )
    for (item, _), people in confirmed(complete, stream.confirmation_frames, settings.conf):
        yield item, people


def with_windows(
    tracked: Iterable[tuple[Frame, TrackedBoxes]], interval: int, reach: int
) -> Iterator[tuple[Window, TrackedBoxes]]:
    """The window around every frame, with the people of that frame."""
    people: deque[TrackedBoxes] = deque()

    def frames() -> Iterator[Frame]:
        for frame, boxes in tracked:
            people.append(boxes)
            yield frame

    for window in windows(frames(), interval, reach):
        yield window, people.popleft()


def estimate(
    windowed: Iterable[tuple[Window, TrackedBoxes]],
    stream: Stream,
    settings: ResolvedSettings,
    find: Find,
    pose: PoseNetwork,
    log: SegmentLog | None = None,
) -> Iterator[tuple[Frame, FrameResult]]:
    """Joints of everybody in the current frames. log: where they are stored, and found again."""

    def estimated(group: Iterable[tuple[Window, TrackedBoxes]]) -> deque[tuple[Frame, FrameResult]]:
        chunk, people = zip(*group, strict=True)
        frames = [window.current for window in chunk]
        kept = log.recall(segment_of(frames[0]), frames) if log else None
        if kept is not None:
            return deque(
                (frame, result_of(entry, frame, pose.joints)) for frame, entry in zip(frames, kept, strict=True)
            )
        pairs = deque(estimate_chunk(chunk, people, stream, settings, find, pose))
        if log:
            log.record(segment_of(frames[0]), [people_entry(result) for _, result in pairs])
        return pairs

    for _, group in groupby(windowed, key=lambda pair: chunk_of(pair[0].current, stream.together)):
        yield from _given(estimated(group))


def estimate_chunk(
    chunk: Sequence[Window],
    tracked: Sequence[TrackedBoxes],
    stream: Stream,
    settings: ResolvedSettings,
    find: Find,
    pose: PoseNetwork,
) -> Iterator[tuple[Frame, FrameResult]]:
    """Joints of everybody in the current frames of some windows, in one pass. tracked: the people of those frames."""

    def keypoints(chunk: Sequence[Window], tracked: Sequence[TrackedBoxes]) -> list[NDArray[np.float32]]:
        tracks = [people.track_ids for people in tracked] if settings.share_crops else None
        return keypoints_of(chunk, [people.boxes for people in tracked], pose, stream.pixel_aspect, tracks)

    found = keypoints(chunk, tracked)
    if any(people.between for people in tracked):
        tracked, found = _detect_again(chunk, tracked, found, find, settings.conf, keypoints)
    for window, people, points in zip(chunk, tracked, found, strict=True):
        yield window.current, frame_result(window.current, people, points, pose.joints)


def _detect_again(
    chunk: Sequence[Window],
    tracked: Sequence[TrackedBoxes],
    keypoints: list[NDArray[np.float32]],
    find: Find,
    conf: float,
    again: Callable[[Sequence[Window], Sequence[TrackedBoxes]], list[NDArray[np.float32]]],
) -> tuple[list[TrackedBoxes], list[NDArray[np.float32]]]:
    """Detects in the frames whose interpolated boxes do not fit the joints, and estimates those people again."""
    counts = [len(people) for people in tracked]
    doubts = np.split(doubtful(tracked, np.concatenate(keypoints)), np.cumsum(counts)[:-1])
    places = [place for place, doubt in enumerate(doubts) if doubt.any()]
    people_of, points_of = list(tracked), list(keypoints)
    if not places:
        return people_of, points_of
    for place, found in zip(places, find([chunk[place].current.pixels for place in places]), strict=True):
        strong = found.at_least(conf)
        people_of[place] = corrected(tracked[place], doubts[place], strong)
    fresh = again([chunk[place] for place in places], [people_of[place] for place in places])
    for place, points in zip(places, fresh, strict=True):
        points_of[place] = np.where(doubts[place][:, None, None], points, points_of[place])
    return people_of, points_of


def keypoints_of(
    chunk: Sequence[Window],
    boxes: Sequence[NDArray[np.float32]],
    pose: PoseNetwork,
    pixel_aspect: float = 1.0,
    tracks: Sequence[NDArray[np.int64]] | None = None,
) -> list[NDArray[np.float32]]:
    """Joints of the people in the current frames of some windows, in one pass of the network.

    boxes: (N, 4) xywh in pixels per window. tracks: (N,) identities per window, whose windows may then share crops.
    Returns (N, 17, 3) per window: x, y in pixels, score. Raises DeviceError.
    """
    frames: dict[int, Frame] = {}
    for window in chunk:
        for frame in window.frames:
            frames.setdefault(frame.index, frame)
    place = {index: k for k, index in enumerate(frames)}
    counts = [len(found) for found in boxes]
    rows = [[place[frame.index] for frame in window.frames] for window in chunk]
    keypoints = pose.poses(
        [frame.pixels for frame in frames.values()],
        np.repeat(np.array(rows, np.int64), counts, axis=0),
        np.concatenate(boxes),
        np.repeat(np.array([window.margin for window in chunk], np.int64), counts, axis=0),
        pixel_aspect,
        np.concatenate(tracks) if tracks is not None else None,
    )
    return np.split(keypoints, np.cumsum(counts)[:-1])
