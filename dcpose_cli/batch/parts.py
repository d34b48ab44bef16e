"""The stages on parts of a video, so that several machines share it.

    detect      people and their appearance in the segments' own frames      -> N.seen
    track       identities, once and in order, over everybody's detections   -> N.tracks
    pose        joints in the segments' frames, with their neighbour frames  -> N.people

Each writes its results to the segment store beside the output (segments/) and does nothing for segments that are there
already. `estimate` with `resume` then puts the result together; whatever is missing it computes itself. Machines decode
the video from its beginning up to their part: only so are damaged streams, and those whose pictures refer to earlier
groups, the same to all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, takewhile
from pathlib import Path

from ..chunks import segment_frames
from ..config import EstimateConfig
from ..estimator import PoseEstimator
from ..people.protocols import Find
from ..results.header import result_header
from ..results.measures import shot_rate
from ..segments import Entry, SegmentFolder, SegmentLog, segment_key, segments_folder, stored_settings
from ..segments.folder import Kind
from ..segments.values import tracks_entry, tracks_of
from ..settings import ResolvedSettings
from ..stages import Stream, detect, estimate, stored_observations, track
from ..types import TrackedBoxes, VideoInfo, Window
from ..video.opening import describe_input, open_file
from ..video.reader import VideoReader
from ..video.sample import VideoSample
from ..window import CUT_REACH, mark_cuts, windows


@dataclass(frozen=True, slots=True)
class Parts:
    """A video being made in parts. source: the video. json: the result's JSON. estimator: the loaded networks.

    settings: those of this video.
    """

    source: Path
    json: Path
    estimator: PoseEstimator
    config: EstimateConfig
    settings: ResolvedSettings
    info: VideoInfo
    folder: SegmentFolder

    @staticmethod
    def of(source: Path, json: Path, estimator: PoseEstimator, config: EstimateConfig) -> Parts:
        """The parts of a result; what they are made of is found out here. Raises InputError."""
        info = describe_input(source, fps=None if config.fps is None else shot_rate(config.fps))
        sample = VideoSample.of(source, info, start=config.start, end=config.end, max_frames=config.max_frames)
        settings = estimator.resolve(stored_settings(json, estimator.requested), sample=sample)
        header = result_header(source, info, estimator.models(), settings, config)
        key = segment_key(header, estimator.requested, settings)
        return Parts(source, json, estimator, config, settings, info, SegmentFolder(segments_folder(json), key))

    def prepare(self) -> None:
        """Remove parts of anything else, and store the settings that hold for every part."""
        if not self.folder.is_same():
            self.folder.clear()
        self.folder.write_key()

    def detect(self, first: int, end: int | None) -> None:
        """Detect people in segments first <= number < end; None: to the end of the video."""
        missing = self._missing("seen", first, end)
        if missing is None:
            return
        log, own = SegmentLog(self.folder, "seen"), missing * self._size
        stop = None if end is None else end * self._size
        # Frames around the part decide where scenes begin in it.
        with self._reader(max(0, own - CUT_REACH), None if stop is None else stop + CUT_REACH) as reader:
            frames = (f for f in mark_cuts(reader) if f.index >= own and (stop is None or f.index < stop))
            for _ in detect(frames, self._stream, self.settings, self._find, log):
                pass
        log.finish()

    def track(self) -> None:
        """Assign identities; needs every segment's `detect`."""
        stream = self._stream
        observed = stored_observations(self._all_seen(), stream, self.settings, self.info.time_base)
        tracked = track(observed, stream, self.settings)
        for number, group in groupby(tracked, key=lambda pair: pair[0].index // self._size):
            self.folder.write(number, "tracks", [tracks_entry(entry, people) for entry, people in group])

    def pose(self, first: int, end: int | None) -> None:
        """Estimate the joints in segments first <= number < end; needs `track`."""
        missing = self._missing("people", first, end)
        if missing is None:
            return
        own = {e.index: tracks_of(e) for n in self._numbers(missing, end) for e in self.folder.read(n, "tracks") or ()}
        if not own:
            return
        log, find, pose = SegmentLog(self.folder, "people"), self._find, self.estimator.network
        with self._reader(self._earliest_neighbour(missing, min(own)), None) as reader:
            for _ in estimate(self._windows(reader, own), self._stream, self.settings, find, pose, log):
                pass
        log.finish()

    def _windows(self, frames: VideoReader, people: dict[int, TrackedBoxes]) -> Iterator[tuple[Window, TrackedBoxes]]:
        """The windows around these frames; no frame behind their neighbours is read."""
        latest = max(people)
        for window in windows(mark_cuts(frames), self.settings.interval, self.estimator.network.reach):
            if window.current.index in people:
                yield window, people[window.current.index]
            if window.current.index >= latest:
                return

    @property
    def _find(self) -> Find:
        return self.estimator.finder(self.settings.detect_size, self._stream.pixel_aspect)

    @property
    def _stream(self) -> Stream:
        return Stream.of(self.info)

    @property
    def _size(self) -> int:
        """Frames in a segment."""
        return segment_frames(self.info.width, self.info.height)

    def _reader(self, first: int, last: int | None) -> VideoReader:
        config = self.config
        return open_file(
            self.source,
            start=config.start,
            end=config.end,
            first=first,
            last=last,
            deinterlace=config.deinterlace,
            fps=None if config.fps is None else shot_rate(config.fps),
        )

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

    def _all_seen(self) -> Iterator[Entry]:
        """What was detected in every frame, in order, up to the first segment that is missing or damaged."""
        for number in takewhile(lambda number: self.folder.has(number, "seen"), range(1 << 40)):
            entries = self.folder.read(number, "seen")
            if entries is None:
                return
            yield from entries

    def _earliest_neighbour(self, first: int, own: int) -> int:
        """Number of the first frame that windows of this segment look at; own: of its own first frame."""
        before: list[int] = []
        side = self.settings.interval * self.estimator.network.reach + CUT_REACH
        while first > 0 and len(before) < side:
            first -= 1
            before = [entry.index for entry in self.folder.read(first, "tracks") or ()] + before
        return (before[-side:] or [own])[0]
