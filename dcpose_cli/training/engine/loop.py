"""The optimisation loop of all trainings: schedule, averaging, checkpoints from which a run resumes exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import TrainingError
from ...files import printable
from .average import Average
from .checkpoint import Settings, flatten, read_checkpoint, require_same, unusable, write_checkpoint
from .config import LoopConfig, learning_rate
from .distributed import SINGLE_PROCESS, Ranks
from .log import Logs, Measured, Progress, Scalars
from .optimizers import build_optimizer, require_moments
from .sources import Sources, difference, require_same_sources

#: Seconds between checkpoints.
CHECKPOINT_EVERY = 600.0
#: Steps between lines of the log.
LOG_EVERY = 50
#: Seconds after which progress is reported between lines of the log; a slow machine takes minutes for those.
REPORT_EVERY = 30.0
#: So many steps in a row may have a gradient that is not finite; they change nothing.
MOST_SKIPPED = 20

#: The loss of a step: a scalar, or several by name, which are added.
LossOf = Callable[[int], Tensor | dict[str, Tensor]]


@dataclass(slots=True)
class _Sums:
    """Since the last line of the log: losses, their parts, samples; when it was written."""

    since: float
    losses: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    samples: int = 0


@contextmanager
def _hearing(parameters: Sequence[nn.Parameter], device: torch.device) -> Iterator[None]:
    """Signals are handled after the gradient of every parameter: on a CPU the backward pass of a step may take long,
    and is one call, in which Python's handlers do not run."""
    listening = [parameter for parameter in parameters if parameter.requires_grad and device.type == "cpu"]
    handles = [
        parameter.register_post_accumulate_grad_hook(lambda _: None)  # type: ignore[no-untyped-call]
        for parameter in listening
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Loop:
    """Optimises one stage.

    Everything random must be a function of the step, so that a resumed run repeats an uninterrupted one bit for bit on
    the same CPU and thread count.

    name: of the stage, as in "stage1". parameters: what learns. settings: of the recipe, recorded in the checkpoint;
    the stage's own by default. sources: of what is learnt from, recorded too; not compared when not given.
    accept_changes: continue also from a checkpoint of other sources. report, scalars: receive what is logged; `report`
    also the first step, and the progress after REPORT_EVERY seconds. notice: receives what the user should know, in
    one line. after_step: called after every step; what it raises ends the training, with a checkpoint. ranks: of the
    processes that share the batches.
    """

    def __init__(
        self,
        name: str,
        net: nn.Module,
        parameters: list[nn.Parameter],
        config: LoopConfig,
        folder: Path,
        *,
        device: torch.device,
        report: Callable[[Progress], None],
        after_step: Callable[[], None] = lambda: None,
        scalars: Scalars = lambda group, values, step: None,
        ranks: Ranks = SINGLE_PROCESS,
        settings: Settings | None = None,
        sources: Sources | None = None,
        accept_changes: bool = False,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.name, self.net, self.config, self.device, self.ranks = name, net, config, device, ranks
        self.settings = flatten(config, f"{name}.") if settings is None else settings
        self.sources, self.accept_changes, self.notice = sources, accept_changes, notice
        self.after_step, self.logs = after_step, Logs(folder, report, scalars)
        self.parameters = parameters
        self.optimizer = build_optimizer(parameters, config)
        self.average = Average(net, config.ema)
        self.step = 0
        self.skipped = 0
        self.path = folder / f"{name}.ckpt"

    def resume(self) -> bool:
        """Continue from the stage's checkpoint, if there is one, and say so.

        Raises WeightsError when it cannot be read, UsageError when it belongs to a recipe that differs in more than
        the length of this stage, or to other sources.
        """
        if not self.path.is_file():
            return False
        data = read_checkpoint(self.path, self.device)
        if "recipe" in data:
            require_same(self.path, self.name, data["recipe"], self.settings)
        self._check_sources(data.get("sources"))
        try:
            self.net.load_state_dict(data["net"])
            self.optimizer.load_state_dict(data["optimizer"])
            require_moments(self.optimizer)
            self.average.state = data["average"]
            self.step = int(data["step"])
        except Exception as error:  # whatever a file of another program holds
            raise unusable(self.path, error) from error
        self.notice(f"continues from {printable(self.path)}")
        return True

    def _check_sources(self, stored: Sources | None) -> None:
        """stored: None in checkpoints of earlier versions."""
        if self.sources is None:
            return
        if stored is None:
            self.notice(
                f"{printable(self.path)}: an earlier version wrote it, without a record of its labels and --init; "
                "make sure that they are the same"
            )
        elif not self.accept_changes:
            require_same_sources(self.path, stored, self.sources)
        elif found := difference(stored, self.sources):
            self.notice(f"{printable(self.path)}: {found}; continued all the same")

    def run(
        self,
        loss_of: LossOf,
        validate: Callable[[], Measured | list[Measured]] | None = None,
        samples_of: Callable[[int], int] | None = None,
    ) -> None:
        """Train to the last step; a checkpoint every CHECKPOINT_EVERY seconds and one at the end.

        validate: measures the averaged weights, after a checkpoint. samples_of: how many samples a step sees, where it
        is not the batch of the configuration. Raises TrainingError when the loss is not finite.
        """
        with _hearing(self.parameters, self.device):
            self._run(loss_of, validate, samples_of)

    def _run(
        self,
        loss_of: LossOf,
        validate: Callable[[], Measured | list[Measured]] | None,
        samples_of: Callable[[int], int] | None,
    ) -> None:
        saved = reported = time.monotonic()
        validated, sums, first = saved, _Sums(saved), self.step + 1
        while self.step < self.config.steps:
            lr = learning_rate(self.step, self.config)
            self._optimise(loss_of, lr, sums)
            sums.samples += self.config.batch if samples_of is None else samples_of(self.step)
            self.step += 1
            self.average.update(self.net, self.step)
            last = self.step == self.config.steps
            if self.step % LOG_EVERY == 0 or last:
                self._log(lr, sums)
                sums = _Sums(time.monotonic())
                reported = sums.since
            elif self.step == first or time.monotonic() - reported > REPORT_EVERY:
                self._report(lr, sums)
                reported = time.monotonic()
            if last or time.monotonic() - saved > CHECKPOINT_EVERY:
                began = time.monotonic()
                self.save()
                waited = last or time.monotonic() - validated >= self.config.validation_seconds
                if validate is not None and waited and self.ranks.first:
                    self._validate(validate)
                    validated = time.monotonic()
                saved = time.monotonic()
                sums.since += saved - began
            self._after_step()

    def _validate(self, validate: Callable[[], Measured | list[Measured]]) -> None:
        found = validate()
        for values in found if isinstance(found, list) else [found]:
            self.logs.validation(self.name, self.step, values)

    def _optimise(self, loss_of: LossOf, lr: float, sums: _Sums) -> None:
        """One step of the optimizer; the loss and its parts are added to the sums."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        made = loss_of(self.step)
        parts = made if isinstance(made, dict) else {}
        loss = made if isinstance(made, Tensor) else torch.stack(list(made.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        loss = loss.detach()
        self._all_reduce(loss)
        sums.losses.append(float(loss))
        for name, part in parts.items():
            sums.parts.setdefault(name, []).append(float(part.detach()))
        if not math.isfinite(sums.losses[-1]):
            raise TrainingError(
                f"the loss of {self.name} is {sums.losses[-1]} at step {self.step}", hint="lower its lr"
            )
        if self._clip():
            self.optimizer.step()

    def _clip(self) -> bool:
        """Limit the gradient's norm; whether it is finite. Raises TrainingError after too many that are not."""
        if not self.config.clip:
            return True
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.config.clip))
        self.skipped = 0 if math.isfinite(norm) else self.skipped + 1
        if self.skipped > MOST_SKIPPED:
            raise TrainingError(
                f"the gradient of {self.name} is not finite in {self.skipped} steps up to {self.step}",
                hint="lower its lr",
            )
        return not self.skipped

    def _all_reduce(self, loss: Tensor) -> None:
        """Average gradients, statistics and loss over the processes, so that all of them stay equal."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        statistics = [b for b in self.net.buffers() if b.is_floating_point()]
        self.ranks.average([*gradients, *statistics, loss])

    def _after_step(self) -> None:
        stop: BaseException | None = None
        try:
            self.after_step()
        except BaseException as error:
            stop = error
        # All processes end after the same step: a remaining one would wait for the others for ever.
        if self.ranks.any(stop is not None, self.device):
            self.save()
            raise stop or SystemExit(1)

    def save(self) -> None:
        """Write the checkpoint; of several processes the first does. Raises OutputError."""
        if not self.ranks.first:
            return
        data = {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state,
            "step": self.step,
            "recipe": dict(self.settings),
        }
        if self.sources is not None:
            data["sources"] = dict(self.sources)
        write_checkpoint(self.path, data)

    def _log(self, lr: float, sums: _Sums) -> None:
        if self.ranks.first:
            self.logs.progress(self._progress(lr, sums))

    def _report(self, lr: float, sums: _Sums) -> None:
        if self.ranks.first:
            self.logs.report(self._progress(lr, sums))

    def _progress(self, lr: float, sums: _Sums) -> Progress:
        spent, done = max(time.monotonic() - sums.since, 1e-9), len(sums.losses)
        parts = {name: sum(values) / len(values) for name, values in sums.parts.items()}
        loss, steps = sum(sums.losses) / done, self.config.steps
        left = (steps - self.step) * spent / done
        return Progress(self.name, self.step, steps, loss, lr, sums.samples / spent, left, parts)
