"""The one source of defaults for the library and the command line."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Whom to keep of the people of a video; the defaults keep everybody. selection.py carries it out.

    First frame by frame: tracks: only these track ids. roi: only people whose box has its centre in this rectangle
    (x, y, width, height in pixels).
    Then whole tracks: min_height: only tracks whose boxes have at least this median height, in pixels.
    Then one track, by at most one of: largest: the one whose boxes are largest, summed over the video. longest: the one
    that is in the most frames. center: the one that is nearest to the middle of the picture, summed over the video.
    Last: max_people: at most so many people in each frame, those of the largest tracks.
    """

    tracks: tuple[int, ...] = ()
    roi: tuple[float, float, float, float] | None = None
    min_height: float | None = None
    largest: bool = False
    longest: bool = False
    center: bool = False
    max_people: int | None = None

    @property
    def everybody(self) -> bool:
        """Whether nobody is left out."""
        return not self.header()

    @property
    def needs_all(self) -> bool:
        """Whether the choice depends on the whole video, not on each frame alone."""
        return not self.header().keys() <= {"tracks", "roi"}

    def header(self) -> dict[str, Any]:
        """What was chosen, as the header of a result has it: the settings that are not the defaults, as JSON values."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Measures of an output format; the defaults are pixels at the times of the video.

    metres_per_pixel, or person_height (metres): metres with Y up, in formats that can hold them. floor_angle: degrees
    by which the floor rises to the right, or "auto": it is level then (export/space.py). resample_fps: frames per
    second to which the result is resampled ("50", "30000/1001"), in every format (results/resample.py).
    """

    metres_per_pixel: float | None = None
    person_height: float | None = None
    floor_angle: str | None = None
    resample_fps: str | None = None

    @property
    def metric(self) -> bool:
        """Whether metres or a floor are asked for."""
        return (self.metres_per_pixel, self.person_height, self.floor_angle) != (None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateConfig:
    """How a video is turned into poses; every default of `dcpose estimate` is here.

    model, detector: a shipped model's name, a folder, or a file; "auto" picks the best shipped one for the device.
    ensemble: up to 8 further models, separated by commas, whose joints are averaged with those of `model`; the cost
    adds up.
    device: "auto", "cpu", "cuda", "cuda:N" or "mps"; for a batch also several ("cuda:0,cuda:1") or "all" CUDA devices.
    engine: what computes the networks: "torch", or on a CPU "openvino" or "onnx" (engines/); "auto" is torch.
    precision: "auto", "fp32", "bf16" or "fp16".
    batch: person crops' windows in one pass of the network, None for a default that suits the device.
    conf: least confidence of a detected person. keep_conf: the same for somebody who is tracked already, so that nobody
    comes and goes at the threshold; its default follows a lower conf. tracker: "dcpose", or "bytetrack" of the package
    `trackers`. track_iou: least overlap of a detection with the box where a track expects it. track_memory: seconds
    after which somebody out of sight is forgotten. fill: gaps of up to a second in a track are filled and marked
    `interpolated` in the JSON.
    kpt_thr: least confidence of a joint that is drawn.
    interval: frames between the current frame and its neighbours (T of the paper).
    box_scale: enlargement of the person box before cropping (1.25 in the paper).
    flip_test: average the network's heatmaps of each crop and of its mirror image (DSTA: its coordinates); the network
    takes twice as long.
    share_crops: consecutive windows of a person share crops, so that the backbone runs about once per person and frame
    instead of three times; joints move a little.
    detect_every: detect people in every n-th frame; boxes in between are interpolated, and people are detected again
    where their joints do not fit the boxes.
    detect_size: side in pixels to which the long side of a frame is scaled for the detector, as a number; beyond the
    detector's own size frames are searched at both, in tiles and around people where that is much. "auto": the smallest
    size that finds the people of three frames of the first second; the detector's own for frames of up to 1024 pixels.
    fix_swaps: exchange left and right legs back where a network exchanged them for some frames (sides.py); frames come
    up to half a second later. None: in files, not in live sources.
    smooth: "none", "gaussian" or "one-euro": how the drawn joints are smoothed over time; the JSON holds them raw.
    selection: which people the JSON and the video hold.
    fps: frames per second of pictures that are read as a video ("25", "30000/1001"); 25 when not given.
    shot_fps: frames per second the camera recorded with, for slow motion ("240", "30000/1001"); times of results are
    then those of reality. The annotated video plays as the input does.
    start, end: seconds from the beginning of the video. max_frames: stop after so many frames.
    deinterlace: "auto" (frames that say they are interlaced), "on" (all frames) or "off".
    hwaccel: "none" (software decodes), "auto", or a type of hardware decoder ("cuda", "vaapi", ...), which decodes
    where it gives what software gives.
    resume: continue from the parts that an interrupted run left, and keep them when interrupted again. True refuses
    parts of another input, model or setting; None starts over in that case; False always starts over.
    """

    model: str = "auto"
    ensemble: str = ""
    detector: str = "person-n"
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    batch: int | None = None
    conf: float = 0.4
    keep_conf: float = 0.25
    tracker: str = "dcpose"
    track_iou: float = 0.1
    track_memory: float = 4.0
    fill: bool = True
    kpt_thr: float = 0.3
    interval: int = 1
    box_scale: float = 1.25
    flip_test: bool = False
    share_crops: bool = True
    detect_every: int = 1
    detect_size: str = "auto"
    fix_swaps: bool | None = None
    smooth: str = "none"
    selection: Selection = Selection()
    fps: str | None = None
    shot_fps: str | None = None
    start: float | None = None
    end: float | None = None
    max_frames: int | None = None
    hwaccel: str = "none"
    deinterlace: str = "auto"
    audio: bool = True
    json: Path | None = None
    overwrite: bool = False
    offline: bool = False
    allow_network: bool = False
    resume: bool | None = False

    @property
    def tracked_conf(self) -> float:
        """The `keep_conf` that holds: a lower `conf` lowers it."""
        return min(self.keep_conf, self.conf)

    @property
    def repairs_sides(self) -> bool:
        """Whether `fix_swaps` holds for a file."""
        return self.fix_swaps is not False

    @property
    def further_models(self) -> tuple[str, ...]:
        """The names in `ensemble`."""
        return names_in(self.ensemble)


def names_in(text: str) -> tuple[str, ...]:
    """Names that are separated by commas, without the spaces around them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


#: As the video is.
PIXELS = Measures()
#: Nobody is left out.
EVERYBODY = Selection()
#: The defaults as values (a class with slots does not show them as attributes).
DEFAULTS = EstimateConfig()
