"""A loaded detector and pose network: joints of given boxes, of a stream of frames, or of a whole video."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from inspect import signature
from itertools import chain
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, Self, SupportsFloat

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .checkpoints.files import find_models, open_model
from .chunks import CHUNK_FRAMES
from .config import DEFAULTS, EstimateConfig, names_in
from .config_checks import require_settings
from .engines import Engine, engine_named
from .engines.parts import Setup
from .errors import UsageError
from .people.detectors import new_detector
from .people.proportions import displayed, displayed_size, in_proportion
from .people.protocols import Detector, Find, as_taken
from .people.search import choose_size, has_sizes, require_detect_size, search
from .pixels import Image, Pixels
from .pose.ensemble import PoseEnsemble
from .pose.network import resolve_device, resolve_precision
from .segments import SegmentFolder
from .settings import ResolvedSettings
from .stages import DEFAULT_FPS, Stream, analyse
from .types import Detections, Frame, FrameResult
from .video.opening import open_file
from .video.sample import VideoSample

__all__ = ["Detector", "PoseEstimator"]


class PoseEstimator:
    """People's joints, from frames or from a whole video.

    model, device, engine, precision, batch, conf, interval, box_scale, offline, share_crops, detect_every, detect_size,
    flip_test, ensemble, keep_conf, tracker, track_iou, track_memory, fill: as in EstimateConfig. detector: as there, or
    any object that detects. A detector given by name is loaded when it is first needed.
    Raises UsageError, WeightsError or DeviceError.
    """

    def __init__(
        self,
        model: str | Path = "auto",
        device: str = "auto",
        *,
        detector: str | Path | Detector = DEFAULTS.detector,
        engine: str = "auto",
        precision: str = "auto",
        batch: int | None = None,
        conf: float = DEFAULTS.conf,
        interval: int = 1,
        box_scale: float = DEFAULTS.box_scale,
        offline: bool = False,
        share_crops: bool = True,
        detect_every: int = 1,
        detect_size: str | int = DEFAULTS.detect_size,
        flip_test: bool = False,
        keep_conf: float = DEFAULTS.keep_conf,
        tracker: str = DEFAULTS.tracker,
        track_iou: float = DEFAULTS.track_iou,
        track_memory: float = DEFAULTS.track_memory,
        fill: bool = True,
        ensemble: str | Sequence[str | Path] = "",
    ) -> None:
        self.tracking: dict[str, Any] = {
            "tracker": tracker,
            "keep_conf": float(keep_conf),
            "track_iou": float(track_iou),
            "track_memory": float(track_memory),
            "fill": fill,
        }
        require_settings(
            device=device, engine=engine, precision=precision, batch=batch, conf=conf, interval=interval,
            box_scale=box_scale, detect_every=detect_every, detect_size=detect_size, ensemble=ensemble, **self.tracking,
        )  # fmt: skip
        self.tracking["keep_conf"] = EstimateConfig(conf=float(conf), keep_conf=float(keep_conf)).tracked_conf
        self.share_crops, self.detect_every = share_crops, detect_every
        self.detect_size = require_detect_size(detect_size)
        self.engine = engine_named(engine)
        setup = None if self.engine.is_torch else _setup(self.engine, device, precision)
        self.device = resolve_device(device if setup is None else "cpu")
        self._setup = setup
        self.conf, self.interval, self._offline = conf, interval, offline
        others = names_in(ensemble) if isinstance(ensemble, str) else tuple(ensemble)
        find_models(model, others)
        self.network = PoseEnsemble(
            [open_model(name) for name in (model, *others)],
            device=self.device,
            precision=precision,
            batch=batch,
            box_scale=box_scale,
            flip_test=flip_test,
            engine=setup,
        )
        self._detector = detector
        self._detecting = Lock()
        #: What was asked for, automatic choices as "auto" or None.
        self.requested: dict[str, Any] = {
            "engine": self.engine.name,
            "precision": precision,
            "batch": batch,
            "conf": conf,
            "interval": interval,
            "box_scale": box_scale,
            "flip_test": flip_test,
            "ensemble": [str(name) for name in others],
            "share_crops": share_crops,
            "detect_every": detect_every,
            "detect_size": str(detect_size),
            **self.tracking,
        }

    @classmethod
    def from_config(cls, config: EstimateConfig) -> Self:
        """An estimator with the settings of `config`."""
        names = [name for name in signature(cls).parameters if name != "detector"]
        return cls(detector=config.detector, **{name: getattr(config, name) for name in names})

    @property
    def detector(self) -> Detector:
        """The person detector, loaded on first use. Raises WeightsError or DeviceError."""
        if isinstance(self._detector, (str, Path)):
            self._detector = new_detector(
                self._detector,
                device=self.device,
                conf=self.tracking["keep_conf"],
                half=self.network.is_reduced,
                offline=self._offline,
                engine=self._setup,
            )
        return self._detector

    @detector.setter
    def detector(self, detector: Detector) -> None:
        self._detector = detector

    def load(self) -> PoseEstimator:
        """Load what is loaded on first use, so that its errors are raised now; returns itself."""
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
        previous to current and from current to next, both >= 1. Returns (N, J, 3) float32: x, y in pixels of the
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
        # A network with a longer reach gets the first and the last frame again.
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
        with open_file(path, start=start, end=end, max_frames=max_frames) as reader:
            info = reader.info
            sample = VideoSample.of(path, info, start=start, end=end, max_frames=max_frames, probed=reader.probed)
            settings, aspect = self.resolve(sample=sample), float(info.sample_aspect_ratio)
            with closing(self.analyse(reader, fps=info.fps, pixel_aspect=aspect, settings=settings)) as pairs:
                for _, result in pairs:
                    yield result

    def analyse(
        self,
        frames: Iterable[Frame],
        *,
        fps: SupportsFloat | None,
        pixel_aspect: float = 1.0,
        segments: SegmentFolder | None = None,
        settings: ResolvedSettings | None = None,
        together: int = CHUNK_FRAMES,
    ) -> Generator[tuple[Frame, FrameResult]]:
        """Frames of one video, in order and of one size -> the same frames with their people.

        fps: frames per second; None when unknown. pixel_aspect: width of a pixel over its height.
        segments: where finished parts of this video are stored; what is there already is not computed again.
        settings: those of this video, `resolve()` when not given.
        together: most frames that are waited for and processed together; with more than one, `frames` are taken in a
        thread of its own, which ends with the generator (close it before what the frames come from).
        """
        remaining = iter(frames)
        first = next(remaining, None)
        if first is None:
            return
        height, width = first.pixels.shape[:2]
        stream = Stream(width, height, float(fps or DEFAULT_FPS), pixel_aspect, together)
        every = chain([first], remaining)
        settings = settings or self.resolve()
        find = self.finder(settings.detect_size, pixel_aspect)
        yield from analyse(every, stream, settings, find=find, pose=self.network, segments=segments)

    def finder(self, size: int, pixel_aspect: float = 1.0) -> Find:
        """What detects at this size (ResolvedSettings.detect_size) in successive frames of a scene; threads take
        turns. pixel_aspect: width of a pixel over its height; the detector sees people undistorted."""

        def find(frames: Sequence[Image | Pixels]) -> list[Detections]:
            with self._detecting:
                detector = self.detector
                if size and has_sizes(detector):
                    return search(detector, frames, size)
                return detector.detect(as_taken(detector, frames))

        return in_proportion(find, pixel_aspect)

    def resolve(self, stored: ResolvedSettings | None = None, *, sample: VideoSample | None = None) -> ResolvedSettings:
        """The settings of the next video, with every automatic choice made.

        stored: those of its stored parts, whose choices hold. sample: some frames of it; without, automatic choices do
        not depend on the video. Raises UsageError, and InputError for a sample that cannot be read.
        """
        chosen = ResolvedSettings(
            conf=self.conf,
            interval=self.interval,
            box_scale=self.network.box_scale,
            flip_test=self.network.flip_test,
            share_crops=self.share_crops,
            detect_every=self.detect_every,
            detect_size=stored.detect_size if stored else self._resolved_size(sample),
            **self.tracking,
            device=self.device.type if self._setup is None else self._setup.where,
            engine=self.engine.name,
            precision=str(self.network.precision).removeprefix("torch."),
            batch=self.network.batch,
        )
        return chosen if stored is None else chosen.adopt(stored)

    def _resolved_size(self, sample: VideoSample | None) -> int:
        detector = self.detector
        if not has_sizes(detector):
            if self.detect_size:
                raise UsageError(f"the detector {detector.name} has one size only", hint="leave out --detect-size")
            return 0
        if self.detect_size or sample is None:
            return self.detect_size or detector.imgsz
        aspect = sample.pixel_aspect
        longest = max(displayed_size(sample.width, sample.height, aspect))
        with self._detecting:
            return choose_size(detector, longest, lambda: (displayed(pixels, aspect) for pixels in sample.read()))

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the joints of everybody it finds."""
        return self.network.joints

    def models(self) -> dict[str, dict[str, Any]]:
        """What the header of a result says of `model` and `detector`: name, SHA-256; of models how they are used."""
        detector = self.detector
        model, *others = (
            {
                "name": network.model.header.name,
                "sha256": network.model.sha256,
                "joints": network.model.header.joints,
                "input_size": list(network.input_size),
                **({} if network.model.header.kind == "dsta" else {"decoding": network.model.header.decoding}),
                **({} if network.shape.margin is None else {"crop_margin": network.shape.margin}),
            }
            for network in (self.network, *self.network.others)
        )
        return {
            "model": {**model, **({"ensemble": others} if others else {})},
            "detector": {"name": detector.name, "sha256": detector.sha256},
        }


def _setup(engine: Engine, device: str, precision: str) -> Setup:
    bf16 = resolve_precision("auto", torch.device("cpu")) == torch.bfloat16
    return Setup(engine, engine.pick_precision(precision, bf16=bf16), engine.where(device))


def _require_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise UsageError(f"a frame must be (H, W, 3) uint8 RGB, got {array.shape} {array.dtype}")
    return array
