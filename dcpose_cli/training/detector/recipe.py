"""How a person detector is trained, as models/NAME/recipe.toml says it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from dcpose_cli._schema import build
from dcpose_cli.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorPhase:
    """A stretch of the training: from this share of the budget on, canvases of this side in pixels, so many a step."""

    start: float
    size: int
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRecipe:
    """How a detector is trained.

    seconds: budget of processor time, validation included. steps: if set, replaces it, so that a run can be repeated
    exactly. distill: weight of the teacher's answers on each canvas beside the labels, 0 without a teacher.
    graphics: share of tiles that are drawings without people, see detector_graphics.
    mosaic, mosaic_end: share of mosaics, and that after `mosaic_until` of the budget. crop_share: share of tiles that
    are crops of one person. unsure_weight: of background at the finest level where people may be unboxed.
    imgsz: long side in pixels to which the finished detector scales frames.
    """

    name: str = "person-n"
    architecture: str = "yolov8n.yaml"
    imgsz: int = 384
    seconds: float = 5400.0
    steps: int | None = None
    phases: tuple[DetectorPhase, ...] = (
        DetectorPhase(start=0.0, size=192, batch=32),
        DetectorPhase(start=0.33, size=256, batch=32),
        DetectorPhase(start=0.6, size=320, batch=24),
    )
    learning_rate: float = 2e-3
    final_rate: float = 0.02
    warmup_steps: int = 300
    weight_decay: float = 0.02
    clip_norm: float = 10.0
    ema: float = 0.999
    mosaic: float = 0.55
    mosaic_end: float = 0.3
    mosaic_until: float = 0.88
    crop_share: float = 0.45
    unsure_weight: float = 0.4
    distill: float = 0.0
    graphics: float = 0.0
    checkpoint_seconds: float = 600.0
    validation_sizes: tuple[int, ...] = (256, 416)
    seed: int = 1


def load_detector_recipe(path: Path) -> DetectorRecipe:
    """Reads a recipe. Raises UsageError on a missing file, unknown keys or wrong types."""
    try:
        recipe: DetectorRecipe = build(DetectorRecipe, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"cannot use the recipe {path}: {error}; compare it with models/person-n") from error
    return recipe
