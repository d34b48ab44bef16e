"""A recipe of a DCPose model: everything that decides how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from ..._schema import Text
from ...nets import DCPose, DCPoseConfig, DSTAConfig
from ...nets.limits import MAX_CROP_SIDE, empty_network, require_buildable
from ...pose.crop_shape import MOST_MARGIN, CropShape
from ...skeleton import NUM_JOINTS
from ..data.config import AugmentConfig, DataConfig, check_augment, check_data
from ..engine.config import LoopConfig, check_loop, need, one_of

KIND = "dcpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseConfig:
    """A part of a stage at one crop size (width, height) in pixels; `share` of the stage's steps."""

    size: tuple[int, int]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig(LoopConfig):
    """Optimisation of one stage of a pose network; length, optimizer and schedule as in LoopConfig.

    sigma: of the target Gaussian in heatmap pixels at full crop size. coding: "unbiased", or "rounded" to whole pixels
    (SPEC 8.1); the joints of a model whose last stage is unbiased are read from smoothed heatmaps. loss: "sum" over
    pixels, mean over labelled joints, or "mean" over everything (SPEC 8.2).
    hard_joints: only so many joints of each person count, those with the largest losses; 0 for all.
    swap_weight: extra weight of an error at the other joint of the same left/right pair, 0 for none.
    backbone_norm: "fixed" batch-norm statistics of the backbone in stages 2 and 3, or "running" ones (SPEC 4.3, 13).
    init: of the head in stage 2, "mean" of the three frames, or "published" (SPEC 8.2).
    stills_share: stills set in motion, per real window, in stages 2 and 3. phases: crop sizes, in order.
    """

    sigma: float = 2.0
    coding: str = "unbiased"
    loss: str = "sum"
    hard_joints: int = 0
    swap_weight: float = 0.0
    backbone_norm: str = "fixed"
    init: str = "mean"
    stills_share: float = 1.0
    phases: tuple[PhaseConfig, ...] = ()

    @property
    def decoding(self) -> str:
        """How joints are read from the heatmaps that this stage teaches, see pose.heatmaps.DECODERS."""
        return "smoothed" if self.coding == "unbiased" else "quarter"

    def crop_size(self, step: int, full: tuple[int, int]) -> tuple[tuple[int, int], float]:
        """Crop size and target sigma of a step; sigma keeps its size relative to the person. full: the model's size."""
        done = 0.0
        for phase in self.phases:
            done += phase.share
            if step < done * self.steps - 0.5:
                return phase.size, self.sigma * phase.size[1] / full[1]
        size = self.phases[-1].size if self.phases else full
        return size, self.sigma * size[1] / full[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole training. stage1: the backbone on single frames. stage2: the head on windows, backbone frozen.
    stage3: both together. A missing stage is left out; without stage1, training needs a model to start from.
    augment: of stage 1, and of the windows of stages 2 and 3 where `augment_windows` is missing.
    crop_margin: crops end so far beyond the person, see pose.crop_shape.CropShape; missing for whole crops. The model
    then looks at such crops, too.
    """

    kind: str = KIND
    name: Annotated[str, Text(100)]
    model: DCPoseConfig
    data: DataConfig
    stage1: StageConfig | None = None
    stage2: StageConfig | None = None
    stage3: StageConfig | None = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    augment_windows: AugmentConfig | None = None
    crop_margin: float | None = None
    seed: int = 0

    def augmentation(self, *, window: bool) -> AugmentConfig:
        """Of single frames, or of windows."""
        return self.augment_windows or self.augment if window else self.augment

    def stages(self) -> dict[int, StageConfig]:
        """The stages of the recipe, by number."""
        given = {1: self.stage1, 2: self.stage2, 3: self.stage3}
        return {number: stage for number, stage in given.items() if stage is not None}

    def shape(self, size: tuple[int, int] | None = None) -> CropShape:
        """Of crops without variation. size: of whole crops, the model's by default."""
        return CropShape(size or self.model.input_size, self.augment.enlarge, self.crop_margin)

    @property
    def decoding(self) -> str:
        """How joints are read from the heatmaps of the last stage, see pose.heatmaps.DECODERS."""
        return next(reversed(self.stages().values())).decoding

    def check(self) -> None:
        """ValueError names the first key whose value is out of range."""
        need(bool(self.stages()), "it has no stage: give [stage1], [stage2] or [stage3]")
        check_stages(self.model, self.stages())
        empty_network(DCPose, self.model)
        check_augment("augment", self.augment)
        if self.augment_windows is not None:
            check_augment("augment_windows", self.augment_windows)
        check_data(self.data)
        need(self.seed >= 0, "seed must not be negative")
        margin = self.crop_margin
        need(margin is None or 0 <= margin <= MOST_MARGIN, f"crop_margin must be in 0..{MOST_MARGIN:g}")


#: Keys of a stage whose value is one of a few words.
_WORDS = {
    "coding": ("unbiased", "rounded"),
    "loss": ("sum", "mean"),
    "backbone_norm": ("fixed", "running"),
    "init": ("mean", "published"),
}


def check_stages(model: DCPoseConfig | DSTAConfig, stages: Mapping[int, StageConfig]) -> None:
    """ValueError names the first setting of a model or stage, or crop size, that is out of range."""
    sizes = {"model.input_size": model.input_size}
    for number, stage in stages.items():
        name = f"stage{number}"
        _check_stage(name, stage)
        sizes |= {f"{name}.phases.{k}.size": phase.size for k, phase in enumerate(stage.phases)}
    for key, size in sizes.items():
        met = all(0 < side <= MAX_CROP_SIDE and side % 16 == 0 for side in size)
        need(met, f"{key} must be multiples of 16 up to {MAX_CROP_SIDE}")
        require_buildable(replace(model, input_size=size), "model.")


def _check_stage(name: str, stage: StageConfig) -> None:
    check_loop(name, stage)
    need(0 < stage.sigma <= 1000, f"{name}.sigma must be above 0, and 1000 at most")
    need(0 <= stage.hard_joints <= NUM_JOINTS, f"{name}.hard_joints must be in 0..{NUM_JOINTS}")
    need(0 <= stage.swap_weight <= 1e6, f"{name}.swap_weight must not be negative, and a million at most")
    need(not stage.swap_weight or stage.loss == "sum", f"{name}.swap_weight needs the loss sum")
    need(0 <= stage.stills_share <= 1000, f"{name}.stills_share must not be negative, and 1000 at most")
    for key, words in _WORDS.items():
        one_of(f"{name}.{key}", getattr(stage, key), words)
    shares = sum(phase.share for phase in stage.phases)
    need(not stage.phases or abs(shares - 1) < 1e-6, f"the shares of {name}.phases add up to {shares:g}, not 1")
