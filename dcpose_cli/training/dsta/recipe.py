"""A recipe of a DSTA model: TOML with `kind = "dsta"`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from ..._schema import Text
from ...nets import DSTA, DSTAConfig
from ...nets.limits import empty_network
from ..data.config import AugmentConfig, DataConfig, check_augment, check_data
from ..dcpose.recipe import StageConfig, check_stages
from ..engine.config import need

KIND = "dsta"


@dataclass(frozen=True, slots=True, kw_only=True)
class DSTARecipe:
    """A whole training.

    stage1: everything on single frames, each standing for a clip in which nothing moves: one pass of the backbone per
    person. stage2: on clips. A stage may be left out. freeze_backbone: stage 2 trains what follows the backbone only.
    The settings of a stage that concern heatmaps (sigma, coding, loss, hard_joints, swap_weight, backbone_norm, init)
    have no effect here.
    """

    kind: str = KIND
    name: Annotated[str, Text(100)]
    model: DSTAConfig
    data: DataConfig
    stage1: StageConfig | None = None
    stage2: StageConfig | None = None
    freeze_backbone: bool = False
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0

    def stages(self) -> dict[int, StageConfig]:
        """The stages of the recipe, by number."""
        given = {1: self.stage1, 2: self.stage2}
        return {number: stage for number, stage in given.items() if stage is not None}

    def check(self) -> None:
        """ValueError names the first key whose value is out of range."""
        need(bool(self.stages()), "it has no stage: give stage1, stage2 or both")
        need(self.model.frames in (1, 3), "model.frames must be 1 or 3: a window of the training data has three")
        check_stages(self.model, self.stages())
        empty_network(DSTA, self.model)
        check_augment("augment", self.augment)
        check_data(self.data)
        need(self.seed >= 0, "seed must not be negative")
