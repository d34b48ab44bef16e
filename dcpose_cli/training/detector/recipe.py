"""How a person detector is trained, as models/NAME/recipe.toml says it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from dcpose_cli._schema import build
from dcpose_cli.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorPhase:
    """A stretch of the training: from this share of the budget on, canvases of this side in pixels, so many a step.

    also: further sides; every step draws one of all, with as many canvases as cover the same area.
    """

    start: float
    size: int
    batch: int
    also: tuple[int, ...] = ()


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
    """How a detector is trained.

    seconds: budget of processor time, validation included. steps: if set, replaces it, so that a run can be repeated
    exactly. distill: weight of the teacher's answers on each canvas beside the labels, 0 without a teacher.
    graphics: share of tiles that are drawings without people, see detector_graphics. empty: share of tiles that are
    pictures without people. tilt, quarter: shares of tiles turned by up to 45 degrees, and by about 90.
    small, large: shares of tiles scaled for a person of 16 px and up, and of one to three canvases.
    damage: share of canvases that are dark, blurred by motion, noisy or coarse; the teacher sees them undamaged.
    stable: share of the budget until which the learning rate stays, before it falls on a cosine.
    mosaic, mosaic_end: share of mosaics, and that after `mosaic_until` of the budget. crop_share: share of tiles that
    are crops of one person. unsure_weight: of background at the finest level where people may be unboxed.
    checkpoint_seconds, validation_seconds: processor time between checkpoints, and least time between validations.
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
    empty: float = 0.0
    tilt: float = 0.0
    quarter: float = 0.0
    small: float = 0.0
    large: float = 0.0
    damage: float = 0.0
    stable: float = 0.0
    data: DetectorData = DetectorData()
    checkpoint_seconds: float = 600.0
    validation_seconds: float = 0.0
    validation_sizes: tuple[int, ...] = (256, 416)
    seed: int = 1


def load_detector_recipe(path: Path) -> DetectorRecipe:
    """Reads a recipe. Raises UsageError on a missing file, unknown keys or wrong types."""
    try:
        recipe: DetectorRecipe = build(DetectorRecipe, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"cannot use the recipe {path}: {error}; compare it with models/person-n") from error
    return recipe
