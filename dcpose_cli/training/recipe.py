"""A recipe: everything that decides how a model is trained, as TOML beside the model."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .._schema import build
from ..errors import UsageError
from ..nets import DCPoseConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which parts of the data are used. exclude: sources never trained on."""

    stills: tuple[str, ...]
    triplets: tuple[str, ...]
    exclude: tuple[str, ...] = ()


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
    """Optimisation of one stage. sigma: of the target Gaussian in heatmap pixels at full crop size."""

    steps: int
    batch: int = 32
    lr: float = 1e-3
    warmup: int = 500
    final_lr: float = 0.01
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
        raise UsageError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the recipe {path} is not valid TOML: {error}") from error
    try:
        recipe: Recipe = build(Recipe, data)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the recipe {path} does not fit: {error}") from error
    return recipe
