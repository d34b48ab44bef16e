"""The logs of a training: log.csv, validation.csv, and other receivers of the same numbers."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..._reading import require_file
from ...files import open_own, output_error

LOG_COLUMNS = ("stage", "step", "loss", "lr", "samples_per_s")
#: Shares of joints found; each stage fills those it measures, and adds columns of its own after them. size: of the
#: crops. single: windows seen by the backbone alone. Stages of windows fill `windows` and `single`; where all held-out
#: samples are stills, `all` and `stills`: each still is then three equal frames.
VALIDATION_COLUMNS = ("stage", "step", "size", "all", "stills", "windows", "single")

#: Columns of a validation that are shares in 0..1, and the beginning of the names of others.
SHARES = ("all", "stills", "windows", "single", "ap50")
PCK = "pck_"

#: What a validation found, by column. A detector's has several, one for each `part` of the data and `size`.
Measured = dict[str, float | str]
#: Receives numbers for other logs: (group, values by name, step).
Scalars = Callable[[str, dict[str, float], int], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """A line of the log, or the progress since the last one. loss: mean since the line before. rate: samples per
    second. left: seconds that the rest of the stage takes at this rate. parts: terms of the loss, by name, where the
    training has several."""

    stage: str
    step: int
    steps: int
    loss: float
    lr: float
    rate: float
    left: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Logs:
    """Writes the logs in `folder`. report: receives every line of log.csv. scalars: receives its numbers."""

    folder: Path
    report: Callable[[Progress], None]
    scalars: Scalars

    def progress(self, progress: Progress) -> None:
        """Append a line to log.csv. Raises OutputError."""
        row = {
            "stage": progress.stage,
            "step": str(progress.step),
            "loss": f"{progress.loss:.5f}",
            "lr": f"{progress.lr:.3e}",
            "samples_per_s": f"{progress.rate:.1f}",
            **{name: f"{value:.4f}" for name, value in progress.parts.items()},
        }
        self._append("log.csv", row)
        numbers = {"loss": progress.loss, "lr": progress.lr, "samples_per_s": progress.rate, **progress.parts}
        self.scalars(progress.stage, numbers, progress.step)
        self.report(progress)

    def validation(self, stage: str, step: int, values: Measured) -> None:
        """Append a line to validation.csv. Raises OutputError."""
        columns = VALIDATION_COLUMNS[:2] if "part" in values else VALIDATION_COLUMNS
        row = dict.fromkeys(columns, "") | {"stage": stage, "step": str(step)}
        row |= {name: f"{value:.4f}" if isinstance(value, float) else str(value) for name, value in values.items()}
        self._append("validation.csv", row)
        numbers = {name: value for name, value in values.items() if isinstance(value, float)}
        group = f"{stage}/validation" + (f"/{values['part']}-{values['size']}" if "part" in values else "")
        self.scalars(group, numbers, step)

    def _append(self, name: str, row: Mapping[str, str]) -> None:
        """A row of the CSV file, whose first row decides the columns."""
        path = self.folder / name
        try:
            columns = _columns(path) or tuple(row)
            handle = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # nothing is appended to where a link leads
            with os.fdopen(handle, "a", newline="", encoding="utf-8") as file:
                fresh = os.fstat(handle).st_size == 0
                writer = csv.writer(file)
                if fresh:
                    writer.writerow(columns)
                elif _is_torn(path):
                    file.write("\n")
                writer.writerow([row.get(column, "") for column in columns])
        except OSError as error:
            raise output_error(error, path) from error


def _is_torn(path: Path) -> bool:
    """Whether the last line has no end: a power failure, or a disk that was full."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 1))
        return file.read() not in (b"", b"\n")


def _columns(path: Path) -> tuple[str, ...]:
    """The columns of a CSV file; none where there is no file."""
    try:
        require_file(path)
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            return tuple(next(csv.reader(file), ()))
    except (FileNotFoundError, csv.Error):
        return ()
