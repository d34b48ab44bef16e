"""The stages wired for one stream of frames: detect, track, window, crop, infer, decode."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from itertools import chain, groupby
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Final, Protocol, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._cores import single_threaded
from ._threads import ReadAhead
from .checkpoints.files import open_model
from .chunks import CHUNK_FRAMES, chunk_frames, chunk_of
from .config import DEFAULTS, EstimateConfig
from .errors import UsageError
from .people.confirmation import confirmed, frames_ahead
from .people.detector import PersonDetector
from .people.interpolation import corrected, doubtful, due, spread
from .people.tracker import Tracker
from .pose.network import PoseNetwork, resolve_device
from .segments import SEGMENT_CHUNKS, Entry, SegmentFolder, SegmentLog
from .segments.values import people_entry, result_of, seen_entry, seen_of
from .types import Detections, Frame, FrameResult, Person, TrackedBoxes, Window
from .video.reader import VideoReader
from .window import windows

#: Somebody is where the tracker expects them if so many joints of their own have at least this score.
EXPECTED_SCORE: Final = 0.3
EXPECTED_JOINTS: Final = 2
#: Joints nearer to each other than this share of the box's height are one joint.
SAME_JOINT: Final = 0.08
#: Frame rate assumed by the tracker where the video does not say.
DEFAULT_FPS: Final = 30.0


class Detector(Protocol):
    """What finds people. name, sha256: say in the results what it was. It is used by one thread at a time, not always
    the same one."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """People in each (H, W, 3) uint8 RGB image, in the order of the images."""
        ...


class PoseEstimator:
    """People's joints, from frames or from a whole video.

    model, device, precision, batch, conf, interval, box_scale, offline, share_crops, detect_every, flip_test: as in
    EstimateConfig. detector: as there, or any object that detects. A detector given by name is loaded when it is
    first needed.
    Raises UsageError, WeightsError or DeviceError.
    """

    def __init__(
        self,
        model: str | Path = "auto",
        device: str = "auto",
        *,
        detector: str | Path | Detector = DEFAULTS.detector,
        precision: str = "auto",
        batch: int | None = None,
        conf: float = DEFAULTS.conf,
        interval: int = 1,
        box_scale: float = DEFAULTS.box_scale,
        offline: bool = False,
        share_crops: bool = False,
        detect_every: int = 1,
        flip_test: bool = False,
    ) -> None:
        _require_sane(conf, interval, box_scale)
        if detect_every < 1:
            raise UsageError(f"--detect-every must be at least 1, got {detect_every}")
        self.share_crops, self.detect_every = share_crops, detect_every
        self.device = resolve_device(device)
        self.conf, self.interval, self._offline = conf, interval, offline
        self.network = PoseNetwork(
            open_model(model),
            device=self.device,
            precision=precision,
            batch=batch,
            box_scale=box_scale,
            flip_test=flip_test,
        )
        self._detector = detector
        self._detecting = Lock()

    @staticmethod
    def from_config(config: EstimateConfig) -> PoseEstimator:
        """An estimator with the settings of `config`."""
        return PoseEstimator(
            config.model,
            config.device,
            detector=config.detector,
            precision=config.precision,
            batch=config.batch,
            conf=config.conf,
            interval=config.interval,
            box_scale=config.box_scale,
            offline=config.offline,
            share_crops=config.share_crops,
            detect_every=config.detect_every,
            flip_test=config.flip_test,
        )

    @property
    def detector(self) -> Detector:
        """The person detector, loaded on first use. Raises WeightsError or DeviceError."""
        if isinstance(self._detector, (str, Path)):
            self._detector = PersonDetector(
                self._detector,
                device=self.device,
                conf=self.conf,
                half=self.network.is_reduced,
                offline=self._offline,
            )
        return self._detector

    @detector.setter
    def detector(self, detector: Detector) -> None:
        self._detector = detector

    def load(self) -> PoseEstimator:
        """Load what is loaded on first use, so that what is wrong with it shows now; returns itself."""
        _ = self.detector
        return self

    def poses(
        self,
        previous: NDArray[np.uint8],
        current: NDArray[np.uint8],
        next: NDArray[np.uint8],  # noqa: A002 - the field's name
        boxes: ArrayLike,
        margin: tuple[int, int] = (1, 1),
    ) -> NDArray[np.float32]:
        """Joints of the people in `boxes` of the current frame.

        previous, current, next: (H, W, 3) uint8 RGB, equal sizes. boxes: (N, 4) xywh in pixels. margin: frames from
        previous to current and from current to next, both >= 1. Returns (N, 17, 3) float32: x, y in pixels of the
        frame, score. Raises UsageError for other shapes.
        """
        frames = [_require_rgb(f) for f in (previous, current, next)]
        if len({f.shape for f in frames}) != 1:
            raise UsageError("previous, current and next must have one size")
        if len(margin) != 2 or min(margin) < 1:
            raise UsageError(f"margin must be two numbers of at least 1, got {margin}")
        xywh = np.asarray(boxes, np.float32)
        if xywh.size == 0:
            xywh = xywh.reshape(0, 4)
        if xywh.ndim != 2 or xywh.shape[1] != 4:
            raise UsageError(f"boxes must be (N, 4) xywh, got {xywh.shape}")
        if not np.isfinite(xywh).all() or (xywh[:, 2:] <= 0).any():
            raise UsageError("boxes must be finite, with positive width and height")
        count = len(xywh)
        # A network that looks further sees the first and the last frame again.
        row = np.clip(np.arange(-self.network.reach, self.network.reach + 1), -1, 1) + 1
        return self.network.poses(
            frames, np.tile(row, (count, 1)), xywh, np.tile(np.array(margin, np.int64), (count, 1))
        )

    def video(
        self,
        path: str | PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        max_frames: int | None = None,
    ) -> Iterator[FrameResult]:
        """The people of every frame of a video, while it is being read. Raises InputError for what cannot be read."""
        with VideoReader(path, start=start, end=end, max_frames=max_frames) as reader:
            aspect = float(reader.info.sample_aspect_ratio)
            with closing(self.analyse(reader, fps=reader.info.fps, pixel_aspect=aspect)) as pairs:
                for _, result in pairs:
                    yield result

    def analyse(
        self,
        frames: Iterable[Frame],
        *,
        fps: SupportsFloat | None,
        pixel_aspect: float = 1.0,
        segments: SegmentFolder | None = None,
        together: int = CHUNK_FRAMES,
    ) -> Generator[tuple[Frame, FrameResult]]:
        """Frames of one video, in order and of one size -> the same frames with their people.

        fps: frames per second, for the tracker; None when unknown. pixel_aspect: width of a pixel over its height.
        segments: where finished parts of this video are kept; what is there already is not done again.
        together: most frames that are waited for and looked at together; with more than one, `frames` are taken in a
        thread of its own, which ends with the generator (close it before what the frames come from).
        """
        stream = iter(frames)
        first = next(stream, None)
        if first is None:
            return
        height, width = first.image.shape[:2]
        boxes: deque[TrackedBoxes] = deque()
        seen = SegmentLog(segments, "seen") if segments else None
        done = SegmentLog(segments, "people") if segments else None
        ahead = self.frames_ahead(fps, width, height, together)
        passing = self._track(chain([first], stream), fps, boxes, seen, together, ahead)
        # The next people are looked for while the network is at work; not in a live stream, where waiting is delay.
        beside = ReadAhead(passing, chunk_frames(width, height, together)) if together > 1 else nullcontext(passing)
        with single_threaded, beside as tracked:
            waiting = windows(tracked, self.interval, self.network.reach)
            for _, group in groupby(waiting, key=lambda window: chunk_of(window.current, together)):
                chunk = list(group)
                people = [boxes.popleft() for _ in chunk]
                current = [window.current for window in chunk]
                kept = done.recall(segment_of(current[0]), current) if done else None
                if kept is not None:
                    yield from ((frame, result_of(entry, frame)) for frame, entry in zip(current, kept, strict=True))
                    continue
                results = list(self.estimate_windows(chunk, people, pixel_aspect))
                if done:
                    done.record(segment_of(current[0]), [people_entry(result) for _, result in results])
                yield from results
        for log in filter(None, (seen, done)):
            log.finish()

    def _track(
        self,
        frames: Iterable[Frame],
        fps: SupportsFloat | None,
        boxes: deque[TrackedBoxes],
        log: SegmentLog | None,
        together: int,
        ahead: int,
    ) -> Iterator[Frame]:
        """Passes frames through, chunk by chunk, and leaves their people in `boxes`. ahead: as `frames_ahead` says."""
        tracker = self.tracker(fps)

        def follow(item: tuple[Frame, Entry]) -> TrackedBoxes:
            frame, entry = item
            return tracker.follow(*seen_of(entry), (frame.image.shape[1], frame.image.shape[0]))

        looked = (((frame, entry), seen) for frame, entry, seen in self.look(frames, log, together))
        for (frame, _), people in confirmed(spread(looked, follow), ahead):
            boxes.append(people)
            yield frame

    def look(
        self, frames: Iterable[Frame], log: SegmentLog | None = None, together: int = CHUNK_FRAMES
    ) -> Iterator[tuple[Frame, Entry, bool]]:
        """Frames with who was detected in them, how they look, and whether the frame was looked at (`detect_every`).

        log: where that is kept, and found again. together: as in `analyse`.
        """
        for _, group in groupby(frames, key=lambda frame: chunk_of(frame, together)):
            chunk = list(group)
            places = due(len(chunk), self.detect_every)
            entries = log.recall(segment_of(chunk[0]), chunk) if log else None
            if entries is None:
                entries = self._detect(chunk, places)
                if log:
                    log.record(segment_of(chunk[0]), entries)
            for place, (frame, entry) in enumerate(zip(chunk, entries, strict=True)):
                yield frame, entry, place in places

    def _detect(self, chunk: Sequence[Frame], places: frozenset[int]) -> list[Entry]:
        """Who is in the frames at these places; nobody in the others."""
        found = iter(self._people_in([frame for place, frame in enumerate(chunk) if place in places]))
        return [
            seen_entry(frame, next(found) if place in places else Detections.empty())
            for place, frame in enumerate(chunk)
        ]

    def _people_in(self, frames: Sequence[Frame]) -> list[Detections]:
        with self._detecting:
            return self.detector.detect([frame.image for frame in frames])

    def tracker(self, fps: SupportsFloat | None) -> Tracker:
        """The tracker of a video; fps: its frames per second, None when unknown."""
        return Tracker(float(fps or DEFAULT_FPS) / min(self.detect_every, CHUNK_FRAMES))

    def frames_ahead(self, fps: SupportsFloat | None, width: int, height: int, together: int = CHUNK_FRAMES) -> int:
        """How many frames are waited for before somebody new counts; none where frames are not waited for."""
        return min(frames_ahead(float(fps or DEFAULT_FPS)), chunk_frames(width, height, together) - 1)

    def estimate_windows(
        self, chunk: Sequence[Window], tracked: Sequence[TrackedBoxes], pixel_aspect: float
    ) -> Iterator[tuple[Frame, FrameResult]]:
        """All people of a chunk of windows in one go; `tracked`: those of the current frames."""
        keypoints = self._keypoints(chunk, tracked, pixel_aspect)
        if any(people.between for people in tracked):
            tracked, keypoints = self._look_again(chunk, tracked, keypoints, pixel_aspect)
        first = 0
        for window, people in zip(chunk, tracked, strict=True):
            found = keypoints[first : first + len(people)]
            first += len(people)
            yield window.current, _result(window.current, people, found)

    def _keypoints(
        self, chunk: Sequence[Window], tracked: Sequence[TrackedBoxes], pixel_aspect: float
    ) -> NDArray[np.float32]:
        """(N, 17, 3) of all people of the windows, window after window."""
        frames: dict[int, Frame] = {}
        for window in chunk:
            for frame in window.frames:
                frames.setdefault(frame.index, frame)
        place = {index: k for k, index in enumerate(frames)}
        counts = [len(people) for people in tracked]
        rows = [[place[frame.index] for frame in window.frames] for window in chunk]
        return self.network.poses(
            [frame.image for frame in frames.values()],
            np.repeat(np.array(rows, np.int64), counts, axis=0),
            np.concatenate([people.boxes for people in tracked]),
            np.repeat(np.array([w.margin for w in chunk], np.int64), counts, axis=0),
            pixel_aspect,
            np.concatenate([people.track_ids for people in tracked]) if self.share_crops else None,
        )

    def _look_again(
        self,
        chunk: Sequence[Window],
        tracked: Sequence[TrackedBoxes],
        keypoints: NDArray[np.float32],
        pixel_aspect: float,
    ) -> tuple[list[TrackedBoxes], NDArray[np.float32]]:
        """Detects in the frames whose interpolated boxes do not seem to fit, and estimates those people again."""
        counts = [len(people) for people in tracked]
        doubts = np.split(doubtful(tracked, keypoints), np.cumsum(counts)[:-1])
        places = [place for place, doubt in enumerate(doubts) if doubt.any()]
        people_of = list(tracked)
        if not places:
            return people_of, keypoints
        detections = self._people_in([chunk[place].current for place in places])
        parts = np.split(keypoints.copy(), np.cumsum(counts)[:-1])
        for place, found in zip(places, detections, strict=True):
            people_of[place] = corrected(tracked[place], doubts[place], found)
        again = [people_of[place] for place in places]
        fresh = self._keypoints([chunk[place] for place in places], again, pixel_aspect)
        for place, points in zip(places, np.split(fresh, np.cumsum([len(p) for p in again])[:-1]), strict=True):
            parts[place][doubts[place]] = points[doubts[place]]
        return people_of, np.concatenate(parts)


def _result(frame: Frame, people: TrackedBoxes, keypoints: NDArray[np.float32]) -> FrameResult:
    detected = len(people) - people.predicted
    persons = []
    for number, points in enumerate(keypoints):
        if number >= detected:
            points = _own_joints(points, float(people.boxes[number, 3]), keypoints[:detected])
            if (points[:, 2] >= EXPECTED_SCORE).sum() < EXPECTED_JOINTS:
                continue
        persons.append(
            Person(int(people.track_ids[number]), people.boxes[number], float(people.scores[number]), points)
        )
    return FrameResult(frame.index, frame.pts, frame.time, tuple(persons), frame.damaged)


def _own_joints(points: NDArray[np.float32], height: float, others: NDArray[np.float32]) -> NDArray[np.float32]:
    """The joints of somebody who was only expected, without those that are another's: (17, 3), absent ones 0.

    Behind somebody else the network likes to see that one. height: of the box, pixels. others: (N, 17, 3).
    """
    apart = np.linalg.norm(others[:, :, :2] - points[None, :, :2], axis=2)
    shared = (apart < SAME_JOINT * height).any(axis=0)
    return np.where(shared[:, None], np.float32(0), points)


def segment_of(frame: Frame) -> int:
    """Number of the segment a frame belongs to; a segment is whole chunks, so both are cut at fixed frame numbers."""
    return chunk_of(frame) // SEGMENT_CHUNKS


def _require_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise UsageError(f"a frame must be (H, W, 3) uint8 RGB, got {array.shape} {array.dtype}")
    return array


def _require_sane(conf: float, interval: int, box_scale: float) -> None:
    if not 0 <= conf <= 1:
        raise UsageError(f"--conf must lie between 0 and 1, got {conf}")
    if interval < 1:
        raise UsageError(f"--interval must be at least 1, got {interval}")
    if not 0.1 <= box_scale <= 10:
        raise UsageError(f"the box scale must lie between 0.1 and 10, got {box_scale}")
