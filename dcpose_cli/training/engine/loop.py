"""The optimisation loop all stages share: schedule, averaging, checkpoints that resume exactly."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError, WeightsError
from ...files import output_error, shown
from ..dcpose.recipe import StageConfig
from .distributed import ALONE, Ranks
from .muon import Muon

#: Seconds between checkpoints.
CHECKPOINT_EVERY = 600.0
#: Steps between lines of the log.
LOG_EVERY = 50
LOG_COLUMNS = ("stage", "step", "loss", "lr", "samples_per_s")
#: Shares of joints found; each stage fills those it measures, and adds columns of its own after them. size: of the
#: crops. single: windows seen by the backbone alone.
VALIDATION_COLUMNS = ("stage", "step", "size", "all", "stills", "windows", "single")

#: What a validation found, by column.
Measured = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a line of the log says. rate: samples per second."""

    stage: str
    step: int
    steps: int
    loss: float
    lr: float
    rate: float


#: Takes numbers for other logs: (group, values by name, step).
Scalars = Callable[[str, dict[str, float], int], None]


def learning_rate(step: int, config: StageConfig) -> float:
    """Linear warm-up, then a cosine down to `final_lr` of the peak, a fall by `gamma` at every milestone, or the peak
    until the last `decay` of the steps and a fall as 1 - sqrt after that."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "multistep":
        return config.lr * config.gamma ** sum(step >= milestone for milestone in config.milestones)
    if config.schedule == "trapezoid":
        start = config.steps * (1 - config.decay)
        t = min(max((step - start) / max(1.0, config.steps - start), 0.0), 1.0)
        return config.lr * (config.final_lr + (1 - config.final_lr) * (1 - math.sqrt(t)))
    t = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * min(t, 1.0))))


class Average:
    """Exponential moving average of a network's parameters and buffers, in float32."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Take in the weights after `step`; early steps count more."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)


def _optimizer(parameters: list[nn.Parameter], config: StageConfig) -> torch.optim.Optimizer:
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    if config.optimizer == "muon":
        return Muon(groups, lr=config.lr)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.lr, fused=True)
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


class Loop:
    """Runs `loss_of(step)` through the optimizer. Everything random is a function of the step, so that a resumed run
    repeats an uninterrupted one bit for bit on the same CPU and thread count."""

    def __init__(
        self,
        name: str,
        net: nn.Module,
        parameters: list[nn.Parameter],
        config: StageConfig,
        folder: Path,
        *,
        device: torch.device,
        report: Callable[[Progress], None],
        between: Callable[[], None] = lambda: None,
        scalars: Scalars = lambda group, values, step: None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks = ranks
        self.name, self.net, self.config, self.folder, self.device = name, net, config, folder, device
        self.report, self.between, self.scalars = report, between, scalars
        self.parameters = parameters
        self.optimizer = _optimizer(parameters, config)
        self.average = Average(net, config.ema)
        self.step = 0
        self.path = folder / f"{name}.ckpt"

    def resume(self) -> bool:
        """Continue from the stage's checkpoint, if there is one. Raises WeightsError when it cannot be read."""
        if not self.path.is_file():
            return False
        try:
            data = torch.load(self.path, map_location=self.device, weights_only=True)
            self.net.load_state_dict(data["net"])
            self.optimizer.load_state_dict(data["optimizer"])
            self.average.state = data["average"]
            self.step = int(data["step"])
        except Exception as error:  # a damaged zip raises whatever its reader meets
            reason = str(error).strip().split("\n")[0][:160]
            raise WeightsError(f"cannot resume from {shown(self.path)}: {reason}; delete it to start over") from error
        return True

    def run(self, loss_of: Callable[[int], Tensor], validate: Callable[[], Measured] | None = None) -> None:
        """Train to the last step; a checkpoint every CHECKPOINT_EVERY seconds and one at the end.

        `between` is called after every step; what it raises ends the training, with a checkpoint.
        """
        saved = logged = time.monotonic()
        losses: list[float] = []
        while self.step < self.config.steps:
            lr = learning_rate(self.step, self.config)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            loss = loss_of(self.step)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach()
            self._agree(loss)
            losses.append(float(loss))
            if not math.isfinite(losses[-1]):
                raise UsageError(f"the loss of {self.name} is {losses[-1]} at step {self.step}; lower its lr")
            if self.config.clip:
                nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
            self.optimizer.step()
            self.step += 1
            self.average.update(self.net, self.step)
            now = time.monotonic()
            if self.step % LOG_EVERY == 0 or self.step == self.config.steps:
                rate = len(losses) * self.config.batch / max(now - logged, 1e-9)
                self._log(Progress(self.name, self.step, self.config.steps, sum(losses) / len(losses), lr, rate))
                losses, logged = [], now
            if now - saved > CHECKPOINT_EVERY or self.step == self.config.steps:
                self.save()
                if validate is not None and self.ranks.first:
                    self._note(validate())
                saved = logged = time.monotonic()
            self._between()

    def _agree(self, loss: Tensor) -> None:
        """Gradients, statistics and loss become the mean over the processes, so that all of them stay alike."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        statistics = [b for b in self.net.buffers() if b.is_floating_point()]
        self.ranks.average([*gradients, *statistics, loss])

    def _between(self) -> None:
        stop: BaseException | None = None
        try:
            self.between()
        except BaseException as error:
            stop = error
        # They end after the same step: one that went on would wait for the others for ever.
        if self.ranks.any(stop is not None, self.device):
            self.save()
            raise stop or SystemExit(1)

    def save(self) -> None:
        """Write the checkpoint atomically; of several processes the first does."""
        if not self.ranks.first:
            return
        data: dict[str, Any] = {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state,
            "step": self.step,
        }
        part = self.path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                torch.save(data, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        except (OSError, RuntimeError) as error:  # torch turns some write errors into the latter
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise output_error(error, self.path) from error

    def _log(self, progress: Progress) -> None:
        if not self.ranks.first:
            return
        row = [progress.stage, progress.step, f"{progress.loss:.5f}", f"{progress.lr:.3e}", f"{progress.rate:.1f}"]
        self._append("log.csv", LOG_COLUMNS, row)
        self.scalars(self.name, {"loss": progress.loss, "lr": progress.lr, "samples_per_s": progress.rate}, self.step)
        self.report(progress)

    def _note(self, values: Measured) -> None:
        own = tuple(name for name in values if name not in VALIDATION_COLUMNS)
        columns = self._columns("validation.csv") or (*VALIDATION_COLUMNS, *own)
        known: dict[str, object] = {"stage": self.name, "step": self.step, **values}
        row = [f"{value:.4f}" if isinstance(value, float) else value for value in map(known.get, columns)]
        self._append("validation.csv", columns, ["" if value is None else value for value in row])
        numbers = {name: value for name, value in values.items() if isinstance(value, float)}
        self.scalars(f"{self.name}/validation", numbers, self.step)

    def _columns(self, name: str) -> tuple[str, ...]:
        """Those of a CSV file that is there already."""
        path = self.folder / name
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return tuple(next(csv.reader(file), ()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise output_error(error, path) from error

    def _append(self, name: str, columns: tuple[str, ...], row: list[object]) -> None:
        path = self.folder / name
        try:
            fresh = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if fresh:
                    writer.writerow(columns)
                writer.writerow(row)
        except OSError as error:
            raise output_error(error, path) from error
