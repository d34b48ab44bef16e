"""A recipe: everything that decides how a model is trained, as TOML beside the model."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..._schema import build
from ...errors import UsageError
from ...files import shown
from ...nets import DCPoseConfig
from ...skeleton import NUM_JOINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatConfig:
    """How many times an epoch shows each person of a source."""

    source: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOutConfig:
    """The share of a source's people, in 0..1, that training only validates on: a hash of their picture decides."""

    source: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureConfig:
    """A group of validation people with joints placed by people, measured apart: those of the sources."""

    name: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which data is used, and what part of it. All paths are relative to --data.

    format: "pack" (our training pack), "coco" (COCO keypoints), "posetrack18" (native JSON, also of PoseTrack21),
    "posetrack17" (annolist JSON), "posetrack-lists" (COCO-style lists of PoseTrack frames, SPEC 7.2).
    stills, triplets: parts of the pack. exclude: its sources never trained on. label_scores: whether joints of
    labelling networks weigh as much as their score instead of one of two levels.
    train, val: of the other formats, a JSON file, or a folder of one per video. images: folder of the pictures.
    distance: a neighbour lies 1 to distance - 1 frames away (SPEC 6.4); random_neighbours: a random one of them,
    otherwise the farthest. hold_out_clips: share of the clips, chosen by a hash of their names, that is never trained
    on. validate: people to validate on besides those the data set itself keeps for it; people of one photograph stay
    together. measure: groups of validation people whose human labels are measured apart, as columns of validation.csv.
    human_repeat: how often an epoch shows a person whose joints people labelled, when networks labelled others;
    repeat: the same by source, which goes first.
    memory_gib: decoded pictures are kept up to this much, and decoded when needed beyond it.
    """

    format: str = "pack"
    stills: tuple[str, ...] = ()
    triplets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    label_scores: bool = False
    train: str = ""
    val: str = ""
    images: str = ""
    distance: int = 2
    random_neighbours: bool = True
    hold_out_clips: float = 0.0
    validate: tuple[HoldOutConfig, ...] = ()
    measure: tuple[MeasureConfig, ...] = ()
    human_repeat: int = 1
    repeat: tuple[RepeatConfig, ...] = ()
    memory_gib: float = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How training crops vary (SPEC 8.4 where it speaks; probabilities in 0..1, angles in degrees).

    enlarge: box factor. scale: spread of the size. rotation: spread of the angle, at most rotation_limit
    times it, rotation_prob its chance.
    shift: spread of the box centre, in box sides. half_body_prob, flip_prob, color: chances and strength.
    cut_prob: chance that the edge of the frame cuts the person, as of people close to the camera: what lies beyond it
    is not seen, and the box ends there.
    damage: chance that a still, or the current frame of a window, is blurred, covered or coarsened; neighbours are
    damaged with neighbour_damage. still_motion: how far stills are moved to make windows of them, 1 for a drift of
    about 2.5 % of the crop's height between frames.
    """

    enlarge: float = 1.25
    scale: float = 0.3
    rotation: float = 40.0
    rotation_limit: float = 2.2
    rotation_prob: float = 0.6
    turn_prob: float = 0.05
    shift: float = 0.04
    half_body_prob: float = 0.2
    cut_prob: float = 0.0
    flip_prob: float = 0.5
    color: float = 0.25
    damage: float = 0.3
    neighbour_damage: float = 0.1
    still_motion: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseConfig:
    """A stretch of a stage at one crop size (width, height); `share` of the stage's steps."""

    size: tuple[int, int]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """Optimisation of one stage.

    Length: `steps`, or `epochs` over the samples of the stage. optimizer: "adamw", "muon" (of which a backbone learns
    most in a given time), or "adam" (weight_decay is then added to the gradient). schedule: after `warmup` steps,
    "cosine" down to `final_lr` of the peak, "multistep", times `gamma` at each of the `milestones` (in epochs where
    the length is, otherwise in steps), or "trapezoid", the peak until the last `decay` (a share of the steps), then
    down to `final_lr` of it as 1 - sqrt: it may be made longer while it runs, and brought down whenever wanted.
    ema: decay of the averaged weights, 0 for the last ones. clip: largest norm of the gradient, 0 for no limit.
    bf16: autocast.

    sigma: of the target Gaussian in heatmap pixels at full crop size. coding: "unbiased", or "rounded" to whole pixels
    (SPEC 8.1); the joints of a model whose last stage is unbiased are read from smoothed heatmaps. loss: "sum" over
    pixels, mean over labelled joints, or "mean" over everything (SPEC 8.2).
    hard_joints: only so many joints of each person count, those with the largest losses; 0 for all.
    swap_weight: how much more an error counts where the other joint of its left/right pair is, 0 for no more.
    backbone_norm: "fixed" batch-norm statistics of the backbone in stages 2 and 3, or "running" ones (SPEC 4.3, 13).
    init: of the head in stage 2, "mean" of the three frames, or "published" (SPEC 8.2).
    stills_share: stills set in motion, per real window, in stages 2 and 3.
    """

    steps: int = 0
    epochs: float = 0.0
    batch: int = 32
    optimizer: str = "adamw"
    lr: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 500
    final_lr: float = 0.01
    decay: float = 0.2
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 10.0
    bf16: bool = True
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
        """How joints are read from the heatmaps that this stage teaches, see decode.DECODERS."""
        return "smoothed" if self.coding == "unbiased" else "quarter"

    def in_steps(self, samples: int) -> StageConfig:
        """The same with its length and milestones in steps. samples: in one epoch."""
        if not self.epochs:
            return self
        per_epoch = samples / self.batch
        milestones = tuple(float(math.ceil(m * per_epoch)) for m in self.milestones)
        return replace(self, steps=max(1, math.ceil(self.epochs * per_epoch)), epochs=0.0, milestones=milestones)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole training. stage1: the backbone on single frames. stage2: the head on windows, backbone frozen.
    stage3: both together. A stage that is not there is left out; without stage1, training needs a model to start from.
    augment: of stage 1, and of the windows of stages 2 and 3 where `augment_windows` is not there.
    """

    name: str
    model: DCPoseConfig
    data: DataConfig
    stage1: StageConfig | None = None
    stage2: StageConfig | None = None
    stage3: StageConfig | None = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    augment_windows: AugmentConfig | None = None
    seed: int = 0

    def augmentation(self, *, window: bool) -> AugmentConfig:
        """Of single frames, or of windows."""
        return self.augment_windows or self.augment if window else self.augment

    def stages(self) -> dict[int, StageConfig]:
        """The stages there are, by number."""
        given = {1: self.stage1, 2: self.stage2, 3: self.stage3}
        return {number: stage for number, stage in given.items() if stage is not None}

    @property
    def decoding(self) -> str:
        """How joints are read from the heatmaps of the last stage, see decode.DECODERS."""
        return next(reversed(self.stages().values())).decoding


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises UsageError on a missing file, unknown keys or wrong types."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the recipe {shown(path)}: {error.strerror}; check its name") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the recipe {shown(path)} is not valid TOML: {error}") from error
    try:
        recipe: Recipe = build(Recipe, data)
        _check(recipe)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the recipe {shown(path)} does not fit: {error}") from error
    return recipe


#: Keys whose value is one of a few words.
_WORDS = {
    "optimizer": ("adamw", "adam", "muon"),
    "schedule": ("cosine", "multistep", "trapezoid"),
    "coding": ("unbiased", "rounded"),
    "loss": ("sum", "mean"),
    "backbone_norm": ("fixed", "running"),
    "init": ("mean", "published"),
}
FORMATS = ("pack", "coco", "posetrack18", "posetrack17", "posetrack-lists")


def _check(recipe: Recipe) -> None:
    """ValueError names the first key whose value has the right type and cannot be meant."""
    need(bool(recipe.stages()), "it has no stage: give [stage1], [stage2] or [stage3]")
    check_stages(recipe.model.input_size, recipe.stages())
    for key, augment in (("augment", recipe.augment), ("augment_windows", recipe.augment_windows)):
        for name in (
            "rotation_prob",
            "turn_prob",
            "half_body_prob",
            "cut_prob",
            "flip_prob",
            "damage",
            "neighbour_damage",
        ):
            need(augment is None or 0 <= getattr(augment, name) <= 1, f"{key}.{name} must be in 0..1")
        need(augment is None or augment.still_motion >= 0, f"{key}.still_motion must not be negative")
    check_data(recipe.data)
    need(recipe.seed >= 0, "seed must not be negative")


def check_stages(input_size: tuple[int, int], stages: Mapping[int, StageConfig]) -> None:
    """ValueError names what cannot be meant in the stages, or is no size of a crop."""
    sizes = {"model.input_size": input_size}
    for number, stage in stages.items():
        name = f"stage{number}"
        _check_stage(name, stage)
        sizes |= {f"{name}.phases.{k}.size": phase.size for k, phase in enumerate(stage.phases)}
    for key, size in sizes.items():
        need(all(side > 0 and side % 16 == 0 for side in size), f"{key} must be multiples of 16")


def _check_stage(name: str, stage: StageConfig) -> None:
    need(stage.steps >= 0 and stage.epochs >= 0, f"{name}.steps and {name}.epochs must not be negative")
    need(bool(stage.steps) != bool(stage.epochs), f"missing key {name}.steps (or {name}.epochs; one of the two)")
    need(stage.batch >= 1, f"{name}.batch must be at least 1")
    need(stage.lr > 0, f"{name}.lr must be above 0")
    need(0 <= stage.ema < 1, f"{name}.ema must be in 0..1, without 1")
    need(stage.sigma > 0, f"{name}.sigma must be above 0")
    need(stage.clip >= 0, f"{name}.clip must not be negative")
    need(0 <= stage.hard_joints <= NUM_JOINTS, f"{name}.hard_joints must be in 0..{NUM_JOINTS}")
    need(0 <= stage.decay <= 1, f"{name}.decay must be in 0..1")
    need(stage.swap_weight >= 0, f"{name}.swap_weight must not be negative")
    need(not stage.swap_weight or stage.loss == "sum", f"{name}.swap_weight needs the loss sum")
    need(stage.stills_share >= 0, f"{name}.stills_share must not be negative")
    need(list(stage.milestones) == sorted(stage.milestones), f"{name}.milestones must rise")
    for key, words in _WORDS.items():
        need(getattr(stage, key) in words, f"{name}.{key} must be one of {', '.join(words)}")
    shares = sum(phase.share for phase in stage.phases)
    need(not stage.phases or abs(shares - 1) < 1e-6, f"the shares of {name}.phases add up to {shares:g}, not 1")


def check_data(data: DataConfig) -> None:
    """ValueError names what cannot be meant in [data]."""
    need(data.format in FORMATS, f"data.format must be one of {', '.join(FORMATS)}")
    if data.format == "pack":
        need(bool(data.stills or data.triplets), "missing key data.stills or data.triplets")
    else:
        need(bool(data.train), f"missing key data.train, which {data.format} needs")
        need(not data.validate, "data.validate is of the format pack alone; give data.val")
    need(data.distance >= 2, "data.distance must be at least 2: it is exclusive")
    need(0 <= data.hold_out_clips < 1, "data.hold_out_clips must be in 0..1, without 1")
    need(data.human_repeat >= 1, "data.human_repeat must be at least 1")
    need(all(one.times >= 1 for one in data.repeat), "data.repeat: times must be at least 1")
    need(all(0 <= one.share <= 1 for one in data.validate), "data.validate: share must be in 0..1")
    for key, names in (
        ("repeat names a source", [one.source for one in data.repeat]),
        ("validate names a source", [one.source for one in data.validate]),
        ("measure has a name", [one.name for one in data.measure]),
    ):
        need(len(set(names)) == len(names), f"data.{key} twice")
    need(all(re.fullmatch(r"[a-z0-9_]+", one.name) for one in data.measure), "data.measure: name must be like_this")
    need(data.memory_gib >= 0, "data.memory_gib must not be negative")


def need(met: bool, otherwise: str) -> None:
    """ValueError where it is not met."""
    if not met:
        raise ValueError(otherwise)
