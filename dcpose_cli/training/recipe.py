"""A recipe: everything that decides how a model is trained, as TOML beside the model."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .._schema import build
from ..errors import UsageError
from ..files import shown
from ..nets import DCPoseConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which parts of the data are used.

    exclude: sources never trained on. hold_out_clips: share of the clips (0..1, chosen by their names) whose windows
    are never trained on, in any stage: they measure what the neighbouring frames add.
    """

    stills: tuple[str, ...]
    triplets: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    hold_out_clips: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How training crops vary (SPEC 8.4 where it speaks; probabilities in 0..1, angles in degrees).

    enlarge: box factor. scale: spread of the size. rotation: spread of the angle, rotation_prob its chance.
    shift: spread of the box centre, in box sides. half_body_prob, flip_prob, color: chances and strength.
    damage: chance that a still, or the current frame of a window, is blurred, covered or coarsened; neighbours are
    damaged with neighbour_damage.
    """

    enlarge: float = 1.25
    scale: float = 0.3
    rotation: float = 40.0
    rotation_prob: float = 0.6
    turn_prob: float = 0.05
    shift: float = 0.04
    half_body_prob: float = 0.2
    flip_prob: float = 0.5
    color: float = 0.25
    damage: float = 0.3
    neighbour_damage: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseConfig:
    """A stretch of a stage at one crop size (width, height); `share` of the stage's steps."""

    size: tuple[int, int]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """Optimisation of one stage. sigma: of the target Gaussian in heatmap pixels at full crop size.

    schedule: after `warmup` steps, "cosine" down to `final_lr` of the peak, or "multistep", times `gamma` at each of
    the `milestones`, in steps.
    """

    steps: int
    batch: int = 32
    lr: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 500
    final_lr: float = 0.01
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 10.0
    sigma: float = 2.0
    phases: tuple[PhaseConfig, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole training. stage1: the backbone on single frames. stage2: the head on windows, backbone frozen."""

    name: str
    model: DCPoseConfig
    data: DataConfig
    stage1: StageConfig
    stage2: StageConfig
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0


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


def _check(recipe: Recipe) -> None:
    """ValueError names the first key whose value has the right type and cannot be meant."""
    sizes = {"model.input_size": recipe.model.input_size}
    for name, stage in (("stage1", recipe.stage1), ("stage2", recipe.stage2)):
        _need(stage.steps >= 1, f"{name}.steps must be at least 1")
        _need(stage.batch >= 1, f"{name}.batch must be at least 1")
        _need(stage.lr > 0, f"{name}.lr must be above 0")
        _need(0 <= stage.ema < 1, f"{name}.ema must be in 0..1, without 1")
        _need(stage.sigma > 0, f"{name}.sigma must be above 0")
        _need(stage.schedule in ("cosine", "multistep"), f"{name}.schedule must be one of cosine, multistep")
        shares = sum(phase.share for phase in stage.phases)
        _need(not stage.phases or abs(shares - 1) < 1e-6, f"the shares of {name}.phases add up to {shares:g}, not 1")
        sizes |= {f"{name}.phases.{k}.size": phase.size for k, phase in enumerate(stage.phases)}
    for key, size in sizes.items():
        _need(all(side > 0 and side % 16 == 0 for side in size), f"{key} must be multiples of 16")
    for name in ("rotation_prob", "turn_prob", "half_body_prob", "flip_prob", "damage", "neighbour_damage"):
        _need(0 <= getattr(recipe.augment, name) <= 1, f"augment.{name} must be in 0..1")
    _need(0 <= recipe.data.hold_out_clips < 1, "data.hold_out_clips must be in 0..1, without 1")
    _need(recipe.seed >= 0, "seed must not be negative")


def _need(met: bool, otherwise: str) -> None:
    if not met:
        raise ValueError(otherwise)
