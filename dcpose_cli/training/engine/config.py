"""How the optimisation loop runs: the settings that the stages of all recipes share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

OPTIMIZERS = ("adamw", "adam", "muon")
#: Beyond these a training never ends, or its samples fit into no memory.
_MOST = {"steps": 10**9, "epochs": 10**6, "batch": 65_536, "warmup": 10**9, "validation_seconds": 10**9}
SCHEDULES = ("cosine", "multistep", "trapezoid")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """Settings of one stage's optimisation.

    steps, epochs: length, one of the two; an epoch is one pass over the samples of the stage. batch: samples per step.
    optimizer: "adamw", "muon" or "adam" (weight_decay is then added to the gradient). lr: peak learning rate.
    schedule: linear warm-up over `warmup` steps, then "cosine" (the peak until the share `stable` of the steps, then
    a cosine down to `final_lr` of the peak), "multistep" (times `gamma` at each of the `milestones`, in epochs where
    the length is, otherwise in steps) or "trapezoid" (the peak until the last `decay` of the steps, then down to
    `final_lr` of it as 1 - sqrt). beta2: decay of the second moment in Adam and AdamW. weight_decay: of matrices;
    vectors have none. ema: decay of the averaged weights, 0 for the last ones. clip: largest norm of the gradient, 0
    for no limit. bf16: autocast. validation_seconds: least time between two validations; by default every checkpoint
    is validated.
    """

    steps: int = 0
    epochs: float = 0.0
    batch: int = 32
    optimizer: str = "adamw"
    lr: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 500
    final_lr: float = 0.01
    stable: float = 0.0
    decay: float = 0.2
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    beta2: float = 0.999
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 10.0
    bf16: bool = True
    validation_seconds: float = 0.0

    def in_steps(self, samples: int) -> Self:
        """The same with its length and milestones in steps. samples: in one epoch."""
        if not self.epochs:
            return self
        per_epoch = samples / self.batch
        milestones = tuple(float(math.ceil(m * per_epoch)) for m in self.milestones)
        return replace(self, steps=max(1, math.ceil(self.epochs * per_epoch)), epochs=0.0, milestones=milestones)


def learning_rate(step: int, config: LoopConfig) -> float:
    """The learning rate of a step, see LoopConfig."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "multistep":
        return config.lr * config.gamma ** sum(step >= milestone for milestone in config.milestones)
    if config.schedule == "trapezoid":
        start = config.steps * (1 - config.decay)
        left = 1 - math.sqrt(_progress(step, start, config.steps))
    else:
        start = max(config.warmup, config.stable * config.steps)
        left = 0.5 * (1 + math.cos(math.pi * _progress(step, start, config.steps)))
    return config.lr * (config.final_lr + (1 - config.final_lr) * left)


def _progress(step: int, start: float, end: int) -> float:
    """How far `step` is from start to end, in 0..1."""
    return min(max((step - start) / max(1.0, end - start), 0.0), 1.0)


def check_loop(name: str, stage: LoopConfig) -> None:
    """ValueError names the first setting of the stage `name` that is out of range."""
    need(stage.steps >= 0 and stage.epochs >= 0, f"{name}.steps and {name}.epochs must not be negative")
    need(bool(stage.steps) != bool(stage.epochs), f"missing key {name}.steps (or {name}.epochs; one of the two)")
    need(stage.batch >= 1, f"{name}.batch must be at least 1")
    need(stage.lr > 0, f"{name}.lr must be above 0")
    need(stage.warmup >= 0, f"{name}.warmup must not be negative")
    need(0 <= stage.beta2 < 1, f"{name}.beta2 must be in 0..1, without 1")
    need(0 <= stage.ema < 1, f"{name}.ema must be in 0..1, without 1")
    need(stage.clip >= 0, f"{name}.clip must not be negative")
    need(0 <= stage.stable <= 1, f"{name}.stable must be in 0..1")
    need(0 <= stage.decay <= 1, f"{name}.decay must be in 0..1")
    need(stage.validation_seconds >= 0, f"{name}.validation_seconds must not be negative")
    need(list(stage.milestones) == sorted(stage.milestones), f"{name}.milestones must rise")
    for key, most in _MOST.items():
        need(getattr(stage, key) <= most, f"{name}.{key} must be at most {most:,}")
    one_of(f"{name}.optimizer", stage.optimizer, OPTIMIZERS)
    one_of(f"{name}.schedule", stage.schedule, SCHEDULES)


def one_of(key: str, value: str, words: tuple[str, ...]) -> None:
    """ValueError where the value is none of the words."""
    need(value in words, f"{key} must be one of {', '.join(words)}")


def need(met: bool, otherwise: str) -> None:
    """ValueError where it is not met."""
    if not met:
        raise ValueError(otherwise)
