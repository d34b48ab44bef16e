"""The stages of `PoseEstimator.analyse`, each for some segments of a video, so that several machines share one video.

    look        people and their looks in the segments' own frames           -> N.seen
    track       identities, once and in order, over everybody's boxes        -> N.tracks
    pose        joints in the segments' frames, with their neighbour frames  -> N.people

Each leaves its results in the segment folder beside the output (folder.py) and does nothing for segments that are
there already. `estimate` with `resume` then puts the result together; whatever is missing it computes itself. Machines
decode the video from its beginning up to their part: only so are damaged streams, and those whose pictures refer to
earlier groups, the same to all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, takewhile
from pathlib import Path

from ..chunks import chunk_frames, chunk_of
from ..config import EstimateConfig
from ..estimator import PoseEstimator, segment_of
from ..people.confirmation import confirmed
from ..people.interpolation import due, spread
from ..results.header import result_header
from ..types import Frame, TrackedBoxes, VideoInfo, Window
from ..video.probe import probe
from ..video.reader import VideoReader
from ..window import windows
from .folder import SEGMENT_CHUNKS, Entry, Kind, SegmentFolder, SegmentLog, segments_folder
from .keeping import segment_key
from .values import people_entry, seen_of, tracks_entry, tracks_of


def segment_frames(info: VideoInfo) -> int:
    """Frames in a segment of this video."""
    return chunk_frames(info.width, info.height) * SEGMENT_CHUNKS


@dataclass(frozen=True, slots=True)
class Parts:
    """A video being made in parts. source: the video. json: the result's JSON. people: the loaded networks."""

    source: Path
    json: Path
    people: PoseEstimator
    config: EstimateConfig
    info: VideoInfo
    folder: SegmentFolder

    @staticmethod
    def of(source: Path, json: Path, people: PoseEstimator, config: EstimateConfig) -> Parts:
        """The parts of a result; what they are made of is found out here. Raises InputError."""
        info = probe(source)
        key = segment_key(result_header(source, info, people, config), people.network.batch)
        return Parts(source, json, people, config, info, SegmentFolder(segments_folder(json), key))

    def prepare(self) -> None:
        """Forget parts of anything else."""
        if not self.folder.is_same():
            self.folder.clear()

    def look(self, first: int, end: int | None) -> None:
        """Detect people in segments first <= number < end; None: to the end of the video."""
        todo = self._missing("seen", first, end)
        if todo is None:
            return
        log = SegmentLog(self.folder, "seen")
        with self._reader(todo * self._size, None if end is None else end * self._size) as reader:
            for _ in self.people.look(reader, log):
                pass
        log.finish()

    def track(self) -> None:
        """Give everybody an identity; needs every segment's `look`."""
        tracker = self.people.tracker(self.info.fps)
        size = (self.info.width, self.info.height)

        def follow(entry: Entry) -> TrackedBoxes:
            return tracker.follow(*seen_of(entry), size)

        ahead = self.people.frames_ahead(self.info.fps, *size)
        tracked = confirmed(spread(self._looked(), follow), ahead)
        for number, group in groupby(tracked, key=lambda pair: pair[0].index // self._size):
            self.folder.write(number, "tracks", [tracks_entry(entry, people) for entry, people in group])

    def pose(self, first: int, end: int | None) -> None:
        """Estimate the joints in segments first <= number < end; needs `track`."""
        todo = self._missing("people", first, end)
        if todo is None:
            return
        mine = {e.index: e for n in self._numbers(todo, end) for e in self.folder.read(n, "tracks") or ()}
        if not mine:
            return
        log = SegmentLog(self.folder, "people")
        aspect = float(self.info.sample_aspect_ratio)
        with self._reader(self._earliest_neighbour(todo, min(mine)), None) as reader:
            for _, group in groupby(self._windows(reader, mine), key=lambda window: chunk_of(window.current)):
                chunk = list(group)
                tracked = [tracks_of(mine[window.current.index]) for window in chunk]
                results = self.people.estimate_windows(chunk, tracked, aspect)
                log.record(segment_of(chunk[0].current), [people_entry(result) for _, result in results])
        log.finish()

    def _windows(self, frames: Iterable[Frame], mine: Mapping[int, Entry]) -> Iterator[Window]:
        """The windows around these frames; no frame behind their neighbours is read."""
        latest = max(mine)
        for window in windows(frames, self.people.interval, self.people.network.reach):
            if window.current.index in mine:
                yield window
            if window.current.index >= latest:
                return

    @property
    def _size(self) -> int:
        return segment_frames(self.info)

    def _reader(self, first: int, last: int | None) -> VideoReader:
        config = self.config
        return VideoReader(self.source, start=config.start, end=config.end, first=first, last=last)

    def _missing(self, kind: Kind, first: int, end: int | None) -> int | None:
        """The first segment of a range that is not there yet; None when all are, as after a lost machine."""
        number = first
        while self.folder.has(number, kind):
            number += 1
        return number if end is None or number < end else None

    def _numbers(self, first: int, end: int | None) -> Iterator[int]:
        number = first
        while (end is None or number < end) and self.folder.has(number, "tracks"):
            yield number
            number += 1

    def _looked(self) -> Iterator[tuple[Entry, bool]]:
        """What was seen in every frame, in order, and whether it was looked at."""
        chunk_size = chunk_frames(self.info.width, self.info.height)
        entries = (entry for _, seen in self._all_seen() for entry in seen)
        for _, group in groupby(entries, key=lambda entry: entry.index // chunk_size):
            chunk = list(group)
            places = due(len(chunk), self.people.detect_every)
            yield from ((entry, place in places) for place, entry in enumerate(chunk))

    def _all_seen(self) -> Iterator[tuple[int, list[Entry]]]:
        """What was seen in every segment, in order."""
        numbers = takewhile(lambda number: self.folder.has(number, "seen"), range(1 << 40))
        for number in numbers:
            entries = self.folder.read(number, "seen")
            if entries is None:
                return
            yield number, entries

    def _earliest_neighbour(self, first: int, own: int) -> int:
        """Number of the first frame that windows of this segment look at; own: of its own first frame."""
        before: list[int] = []
        side = self.people.interval * self.people.network.reach
        while first > 0 and len(before) < side:
            first -= 1
            before = [entry.index for entry in self.folder.read(first, "tracks") or ()] + before
        return (before[-side:] or [own])[0]
