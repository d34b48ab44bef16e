"""A recipe of a DSTA model: TOML with `kind = "dsta"`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._schema import build
from ..errors import UsageError
from ..files import shown
from ..nets import DSTAConfig
from .recipe import AugmentConfig, DataConfig, StageConfig

KIND = "dsta"


@dataclass(frozen=True, slots=True, kw_only=True)
class DSTARecipe:
    """A whole training.

    stage1: everything on single frames, each standing for a clip in which nothing moves: one pass of the backbone per
    person. stage2: on clips. A stage may be left out. freeze_backbone: stage 2 trains what follows the backbone only.
    The `sigma` of stages means nothing here.
    """

    kind: str
    name: str
    model: DSTAConfig
    data: DataConfig
    stage1: StageConfig | None = None
    stage2: StageConfig | None = None
    freeze_backbone: bool = False
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0


def is_dsta_recipe(path: Path) -> bool:
    """Whether a file is TOML that says so; what is wrong with others is said by whoever reads them."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("kind") == KIND
    except (OSError, ValueError):
        return False


def load_dsta_recipe(path: Path) -> DSTARecipe:
    """Read a recipe. Raises UsageError on a missing file, unknown keys or wrong types."""
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        recipe: DSTARecipe = build(DSTARecipe, data)
        _check(recipe)
    except OSError as error:
        raise UsageError(f"cannot read the recipe {shown(path)}: {error.strerror}; check its name") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"the recipe {shown(path)} does not fit: {error}") from error
    return recipe


def _check(recipe: DSTARecipe) -> None:
    """ValueError names the first key whose value has the right type and cannot be meant."""
    stages = {"stage1": recipe.stage1, "stage2": recipe.stage2}
    given = {name: stage for name, stage in stages.items() if stage is not None}
    _need(recipe.kind == KIND, f"kind is {recipe.kind!r}, expected {KIND!r}")
    _need(bool(given), "it has no stage: give stage1, stage2 or both")
    _need(recipe.model.frames in (1, 3), "model.frames must be 1 or 3: a window of the training data has three")
    sizes = {"model.input_size": recipe.model.input_size}
    for name, stage in given.items():
        _need(stage.steps >= 1, f"{name}.steps must be at least 1")
        _need(stage.batch >= 1, f"{name}.batch must be at least 1")
        _need(stage.lr > 0, f"{name}.lr must be above 0")
        _need(0 <= stage.ema < 1, f"{name}.ema must be in 0..1, without 1")
        _need(stage.schedule in ("cosine", "multistep"), f"{name}.schedule must be one of cosine, multistep")
        shares = sum(phase.share for phase in stage.phases)
        _need(not stage.phases or abs(shares - 1) < 1e-6, f"the shares of {name}.phases add up to {shares:g}, not 1")
        sizes |= {f"{name}.phases.{k}.size": phase.size for k, phase in enumerate(stage.phases)}
    for key, size in sizes.items():
        _need(all(side > 0 and side % 16 == 0 for side in size), f"{key} must be multiples of 16")
    _need(recipe.seed >= 0, "seed must not be negative")


def _need(met: bool, otherwise: str) -> None:
    if not met:
        raise ValueError(otherwise)
