"""A recipe of a DSTA model: TOML with `kind = "dsta"`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..._schema import build
from ...errors import UsageError
from ...files import shown
from ...nets import DSTAConfig
from ..dcpose.recipe import AugmentConfig, DataConfig, StageConfig, check_data, check_stages, need

KIND = "dsta"


@dataclass(frozen=True, slots=True, kw_only=True)
class DSTARecipe:
    """A whole training.

    stage1: everything on single frames, each standing for a clip in which nothing moves: one pass of the backbone per
    person. stage2: on clips. A stage may be left out. freeze_backbone: stage 2 trains what follows the backbone only.
    What stages say of heatmaps (sigma, coding, loss, hard_joints, backbone_norm, init) means nothing here.
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

    def stages(self) -> dict[int, StageConfig]:
        """The stages there are, by number."""
        given = {1: self.stage1, 2: self.stage2}
        return {number: stage for number, stage in given.items() if stage is not None}


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
    need(recipe.kind == KIND, f"kind is {recipe.kind!r}, expected {KIND!r}")
    need(bool(recipe.stages()), "it has no stage: give stage1, stage2 or both")
    need(recipe.model.frames in (1, 3), "model.frames must be 1 or 3: a window of the training data has three")
    check_stages(recipe.model.input_size, recipe.stages())
    check_data(recipe.data)
    need(recipe.seed >= 0, "seed must not be negative")
