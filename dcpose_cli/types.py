"""Values that travel between the stages. All are frozen; every array says its shape, dtype and unit.

Pixel coordinates are those of the upright frame: x to the right, y down, (0, 0) the centre of the first pixel.
Boxes are xywh unless a name says xyxy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .pixels import Pixels, pixels_of
from .skeleton import JOINT_NAMES

#: People of a frame in files of others: work and memory grow with the square of their number.
MOST_PEOPLE: Final = 2_000


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container says about its video before anything is decoded.

    width, height: of the upright frame, in pixels (after rotation, before padding).
    rotation: degrees the stored picture is turned clockwise for display (0, 90, 180, 270).
    mirrored: True when the display matrix also mirrors the picture.
    sample_aspect_ratio: width of a pixel over its height in the upright frame.
    time_base: seconds per PTS tick. fps: average rate, None when unknown (it lies on variable-rate clips).
    frame_count: declared number of frames, None when undeclared; a hint for progress, never a promise.
    duration: seconds, None when unknown.
    start_time: of the first frame on the file's own clock, seconds; start_pts: the same in ticks of `time_base`.
    """

    path: Path
    width: int
    height: int
    rotation: int
    mirrored: bool
    sample_aspect_ratio: Fraction
    time_base: Fraction
    fps: Fraction | None
    frame_count: int | None
    duration: float | None
    start_time: float
    codec: str
    pix_fmt: str
    stream_index: int
    has_audio: bool
    start_pts: int = 0


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Frame:
    """One decoded, upright frame.

    index: number among the decoded frames of the whole file, from 0.
    pts: presentation time in ticks of VideoInfo.time_base; the file's first frame is at 0. time: the same in seconds.
    pixels: what it shows. Large frames are converted to RGB where they are looked at.
    damaged: the decoder reported damage in this frame.
    cut: a new scene begins with this frame (`window.mark_cuts` finds out).

    A frame is made of `pixels`, or of an `image`: (H, W, 3) uint8 RGB.
    """

    index: int
    pts: int
    time: float
    pixels: Pixels
    damaged: bool = False
    cut: bool = False

    def __init__(
        self,
        index: int,
        pts: int,
        time: float,
        image: NDArray[np.uint8] | Pixels | None = None,
        damaged: bool = False,
        cut: bool = False,
        *,
        pixels: Pixels | None = None,
    ) -> None:
        shown = pixels if image is None else pixels_of(image)
        if shown is None:
            raise TypeError("a frame is made of pixels or of an image")
        for name, value in zip(self.__slots__, (index, pts, time, shown, damaged, cut), strict=True):
            object.__setattr__(self, name, value)

    @property
    def image(self) -> NDArray[np.uint8]:
        """All of it, (H, W, 3) uint8 RGB."""
        return self.pixels.rgb()


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """People found in one frame. boxes: (N, 4) float32 xywh in pixels; scores: (N,) float32 in 0..1."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.boxes)

    def at_least(self, score: float) -> Detections:
        """Those with at least this score."""
        kept = self.scores >= score
        return Detections(self.boxes[kept], self.scores[kept])

    @staticmethod
    def empty() -> Detections:
        """No people."""
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What the tracker gets of one frame.

    time: of the frame, seconds. cut: as in Frame. searched: whether the detector ran on this frame.
    detections: the people it found. appearances: one vector per detection, None where nothing can be seen.
    """

    time: float
    cut: bool
    searched: bool
    detections: Detections
    appearances: list[NDArray[np.float32] | None]


@dataclass(frozen=True, slots=True)
class Reassignment:
    """Boxes of the frames before that turned out to be another person's.

    source, target: identities; the boxes of `source` are those of `target`. frames: of the last so many searched
    frames, without the one that says so.
    """

    source: int
    target: int
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class TrackedBoxes:
    """People of one frame with identities.

    boxes: (N, 4) float32 xywh in pixels; scores: (N,) float32; track_ids: (N,) int64, from 0, stable over time.
    predicted: how many of them, at the end, were not detected in this frame but are expected where they are.
    between: nobody was looked for in this frame; the boxes lie between those of the frames before and after.
    cut: a new scene begins with this frame; nobody of the frames before has an id in it.
    filled: how many of the predicted, at their end, stand in a gap of their track: detected before and after.
    reassigned: what this frame says of the frames before it (people/revision.py).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    track_ids: NDArray[np.int64]
    predicted: int = 0
    between: bool = False
    cut: bool = False
    filled: int = 0
    reassigned: tuple[Reassignment, ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)

    def detected(self) -> TrackedBoxes:
        """Those who were detected in this frame."""
        count = len(self) - self.predicted
        boxes, scores, track_ids = self.boxes[:count], self.scores[:count], self.track_ids[:count]
        return TrackedBoxes(boxes, scores, track_ids, between=self.between, cut=self.cut, reassigned=self.reassigned)

    @staticmethod
    def empty() -> TrackedBoxes:
        """No people."""
        return TrackedBoxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Three frames around `current`; at the ends of a clip and at cuts a neighbour is `current` itself.

    margin: frames between previous and current, and between current and next; both >= 1 (SPEC 6.4).
    farther: pairs before `previous` and after `next`, from near to far, for networks that look at more than three.
    """

    previous: Frame
    current: Frame
    next: Frame
    margin: tuple[int, int]
    farther: tuple[tuple[Frame, Frame], ...] = ()

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All frames in the order of time, `current` in the middle."""
        before, after = (self.previous, *(p for p, _ in self.farther)), (self.next, *(n for _, n in self.farther))
        return (*reversed(before), self.current, *after)


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person in one frame.

    keypoints: (J, 3) float32: x, y in pixels of the upright frame, confidence (raw heatmap maximum). J is 17, the
    PoseTrack slots; models that know more joints have them behind the slots. joints: the names of all J.
    bbox: (4,) float32 xywh, the detector's box. score: the detector's confidence in 0..1.
    interpolated: the person was not detected in this frame; box and score are those the track has around it.
    """

    track_id: int
    bbox: NDArray[np.float32]
    score: float
    keypoints: NDArray[np.float32]
    interpolated: bool = False
    joints: tuple[str, ...] = JOINT_NAMES


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """The people of one frame; `index`, `pts` and `time` as in Frame."""

    index: int
    pts: int
    time: float
    people: tuple[Person, ...] = ()
    damaged: bool = False


#: Share of its input above which a result counts as damaged.
DAMAGED_SHARE: Final = 0.10


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """What decoding met, in frames. frames: delivered; damaged: delivered but flagged; errors: lost."""

    frames: int = 0
    damaged: int = 0
    errors: int = 0

    @property
    def damaged_share(self) -> float:
        """Share of the input that was damaged or lost, in 0..1."""
        total = self.frames + self.errors
        return (self.damaged + self.errors) / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. total: frames expected, None when the file does not say. people: in the last frame.

    The first report has frames 0: everything is loaded, and the run begins.
    """

    frames: int
    total: int | None
    people: int


#: Told of every frame that is done.
Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class EstimateSummary:
    """What a finished run produced: paths (None when not asked for), counts and warnings.

    exports: the files of another format, written instead of the JSON.
    hwaccel: type of the hardware that decoded the video, None for software.
    dropped: frames of a live source that were not looked at. delay: longest time between the arrival of a live frame
    and its result, seconds.
    left_out: poses that a selection of people left out.
    input_changed: the input was written to while it was read, so that the result is of no one file.
    conversions: what was done to the pictures: "tone_mapped" ("PQ", "HLG"), "deinterlaced" (frames).
    """

    source: Path
    video: Path | None
    json: Path | None
    frames: int
    people: int
    tracks: int
    decode: DecodeReport
    seconds: float
    warnings: tuple[str, ...] = field(default=())
    exports: tuple[Path, ...] = field(default=())
    dropped: int = 0
    delay: float = 0.0
    hwaccel: str | None = None
    input_changed: bool = False
    left_out: int = 0
    conversions: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def damaged(self) -> bool:
        """Whether the result is of an input that was damaged beyond DAMAGED_SHARE, or changed while it was read."""
        return self.input_changed or self.decode.damaged_share > DAMAGED_SHARE
