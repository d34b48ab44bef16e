"""A recipe of a person detector: TOML with `kind = "detector"`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from ..._schema import Text
from ...people.detector_files import MAX_DETECT_SIDE
from ..engine.config import LoopConfig, check_loop, need

KIND = "detector"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorPhase:
    """A part of the training at one canvas side `size` in pixels; `share` of the steps.

    batch: canvases per step, the stage's by default. also: further sides; every step draws one of all, with as many
    canvases as cover the same area.
    """

    size: int
    share: float
    batch: int | None = None
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorStage(LoopConfig):
    """Optimisation of a detector; length, optimizer and schedule as in LoopConfig.

    phases: canvas sizes, in order. unsure_weight: of background at the finest level where people may be unboxed.
    distill: weight of the teacher's answers on each canvas beside the labels, 0 without a teacher.
    """

    phases: tuple[DetectorPhase, ...] = (DetectorPhase(size=320, share=1.0),)
    unsure_weight: float = 0.4
    distill: float = 0.0

    def phase_of(self, step: int) -> DetectorPhase:
        """The phase that a step belongs to."""
        done = 0.0
        for phase in self.phases:
            done += phase.share
            if step < done * self.steps - 0.5:
                return phase
        return self.phases[-1]

    def canvases_of(self, step: int, seed: int) -> tuple[int, int]:
        """Side in pixels and number of the canvases of a step."""
        phase = self.phase_of(step)
        sides = (phase.size, *phase.also)
        side = sides[int(np.random.default_rng([seed, step, 0]).integers(len(sides)))]
        batch = self.batch if phase.batch is None else phase.batch
        return side, max(1, round(batch * (phase.size / side) ** 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class CanvasConfig:
    """How canvases are made of pictures; all values are shares in 0..1.

    mosaic, mosaic_end: of mosaics among the canvases, and of those after `mosaic_until` of the steps. crop_share: of
    tiles that are crops of one person. graphics: of tiles that are drawings without people. empty: of tiles that are
    pictures without people. tilt, quarter: of tiles turned by up to 45 degrees, and by about 90. small, large: of tiles
    scaled for a person of 16 pixels and up, and of one to three canvases. damage: of canvases that are dark, blurred by
    motion, noisy or coarse; the teacher sees them undamaged.
    """

    mosaic: float = 0.55
    mosaic_end: float = 0.3
    mosaic_until: float = 0.88
    crop_share: float = 0.45
    graphics: float = 0.0
    empty: float = 0.0
    tilt: float = 0.0
    quarter: float = 0.0
    small: float = 0.0
    large: float = 0.0
    damage: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorData:
    """Which parts and sources of the training pack serve for what.

    whole: parts of whole pictures with boxes; where two hold the same photograph, the first named wins. crops: parts
    of crops around one labelled person. validation: parts scored on; one that has no validation pictures gives some
    of its own. exclude: sources left out everywhere. exclude_crops: sources of which only whole pictures are shown.
    complete: sources in which everybody is boxed. backgrounds: sources whose pictures without a box hold nobody.
    squashed: sources whose pictures were made square. validation_limit: most validation pictures of a part.
    """

    whole: tuple[str, ...] = ()
    crops: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_crops: tuple[str, ...] = ()
    complete: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    squashed: tuple[str, ...] = ()
    validation_limit: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRecipe:
    """How a detector is trained, in one stage.

    architecture: name of one of ultralytics' model files. imgsz: long side in pixels to which the finished detector
    scales frames. validation_sizes: long sides in pixels at which the validation pictures are scored.
    """

    kind: str = KIND
    name: Annotated[str, Text(100)]
    architecture: str = "yolov8n.yaml"
    imgsz: int = 384
    validation_sizes: tuple[int, ...] = (384,)
    data: DetectorData
    augment: CanvasConfig = field(default_factory=CanvasConfig)
    stage1: DetectorStage
    seed: int = 0

    def stages(self) -> dict[int, DetectorStage]:
        """The stages of the recipe, by number."""
        return {1: self.stage1}

    def mosaic_of(self, step: int) -> float:
        """Share of mosaics among the canvases of a step."""
        late = step >= self.augment.mosaic_until * self.stage1.steps
        return self.augment.mosaic_end if late else self.augment.mosaic

    def check(self) -> None:
        """ValueError names the first key whose value is out of range."""
        check_loop("stage1", self.stage1)
        need(not self.stage1.epochs, "stage1.epochs: a detector has no epochs, give stage1.steps")
        need(bool(self.stage1.phases), "stage1.phases is empty")
        shares = sum(phase.share for phase in self.stage1.phases)
        need(abs(shares - 1) < 1e-6, f"the shares of stage1.phases add up to {shares:g}, not 1")
        sides = [side for phase in self.stage1.phases for side in (phase.size, *phase.also)]
        for key, values in (("stage1.phases: sizes", sides), ("validation_sizes", self.validation_sizes)):
            met = all(0 < side <= MAX_DETECT_SIDE and side % 32 == 0 for side in values)
            need(met, f"{key} must be multiples of 32 up to {MAX_DETECT_SIDE}")
        need(32 <= self.imgsz <= MAX_DETECT_SIDE, f"imgsz must be in 32..{MAX_DETECT_SIDE}")
        batches = [self.stage1.batch, *(phase.batch for phase in self.stage1.phases if phase.batch is not None)]
        need(all(0 < batch <= 65_536 for batch in batches), "stage1.phases: batch must be in 1..65536")
        need(self.data.validation_limit >= 1, "data.validation_limit must be at least 1")
        need(bool(self.data.whole), "missing key data.whole")
        for name in CanvasConfig.__slots__:
            need(0 <= getattr(self.augment, name) <= 1, f"augment.{name} must be in 0..1")
        for name in ("unsure_weight", "distill"):
            need(getattr(self.stage1, name) >= 0, f"stage1.{name} must not be negative")
        need(self.seed >= 0, "seed must not be negative")
