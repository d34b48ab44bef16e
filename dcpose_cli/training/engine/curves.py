"""Curves of a training as a PNG, and TensorBoard's event files."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..._reading import require_file
from ..._scratch import scratch_folder
from ...errors import UsageError
from ...files import write_atomic
from .log import PCK, SHARES, Scalars

CURVES_NAME = "curves.png"
_LARGEST = 1e300


@contextmanager
def tensorboard(work: Path | None) -> Iterator[Scalars]:
    """Yields a receiver of numbers for TensorBoard's files in `work`/tensorboard; for None, one that drops them.

    Raises UsageError when tensorboard is not installed.
    """
    if work is None:
        yield lambda group, values, step: None
        return
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("tensorboard is not installed", hint="install it with: pip install 'dcpose[train]'")
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(work / "tensorboard"))

    def scalars(group: str, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            writer.add_scalar(f"{group}/{name}", value, step)

    try:
        yield scalars
    finally:
        writer.close()


def draw_curves(work: Path) -> Path | None:
    """Loss, learning rate and validation of every stage out of the CSV logs in `work` -> curves.png in it.

    None where there is no log, or matplotlib is not installed. Raises OutputError.
    """
    log = _rows(work / "log.csv", ("loss", "lr"))
    validation = _rows(work / "validation.csv", ())
    if not log or importlib.util.find_spec("matplotlib") is None:
        return None
    with _no_trace_of_matplotlib():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    stages = list(dict.fromkeys(row["stage"] for row in log))
    figure = Figure(figsize=(9, 2.6 * len(stages)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(stages), 2, squeeze=False)
    for (left, right), stage in zip(axes, stages, strict=True):
        _plot_log(left, [row for row in log if row["stage"] == stage], stage)
        _plot_validation(right, [row for row in validation if row["stage"] == stage], stage)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110)
    write_atomic(work / CURVES_NAME, picture.getvalue(), overwrite=True)
    return work / CURVES_NAME


@contextmanager
def _no_trace_of_matplotlib() -> Iterator[None]:
    """Matplotlib's list of fonts, which its first import stores in HOME, goes to a temporary folder.

    Not where it is imported already, or the user names a folder for it.
    """
    if "matplotlib" in sys.modules or os.environ.get("MPLCONFIGDIR"):
        yield
        return
    with scratch_folder() as folder:
        os.environ["MPLCONFIGDIR"] = str(folder)
        try:
            yield
        finally:
            del os.environ["MPLCONFIGDIR"]


def _rows(path: Path, numbers: Sequence[str]) -> list[dict[str, str]]:
    """The whole lines of a log; none of one that cannot be read. numbers: columns that must hold some.

    A power failure may have torn or zeroed a line, and a resumed training writes behind it.
    """
    try:
        require_file(path)
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            lines = map(_cells, file)
            columns = next(lines, [])
            rows = [dict(zip(columns, cells, strict=True)) for cells in lines if len(cells) == len(columns)]
    except OSError:
        return []
    # A resumed training writes some steps again: the last line of a step counts.
    keys = ("stage", "step", "part", "size")
    whole = (row for row in rows if _is_whole(row, numbers))
    return list({tuple(row.get(key) for key in keys): row for row in whole}.values())


def _cells(line: str) -> list[str]:
    """The cells of a line of CSV; none of one that is damaged. No cell of a log holds the end of a line."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _is_whole(row: dict[str, str], numbers: Sequence[str]) -> bool:
    named = re.fullmatch(r"stage\d", row.get("stage", "")) and re.fullmatch(r"\d{1,9}", row.get("step", ""))
    return bool(named) and all(_number(row.get(name, "")) is not None for name in numbers)


def _number(text: str) -> float | None:
    """A number that can be drawn; None for any other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < _LARGEST else None


def _plot_log(axes: Any, rows: list[dict[str, str]], stage: str) -> None:
    steps = [int(row["step"]) for row in rows]
    axes.plot(steps, [float(row["loss"]) for row in rows], color="tab:blue", linewidth=0.9)
    axes.set(title=stage, xlabel="step", ylabel="loss")
    rate = axes.twinx()
    rate.plot(steps, [float(row["lr"]) for row in rows], color="tab:grey", linewidth=0.7)
    rate.set_ylabel("learning rate", color="tab:grey")


def _plot_validation(axes: Any, rows: list[dict[str, str]], stage: str) -> None:
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        where = f" {row['part']} {row['size']}" if row.get("part") else ""
        for name, value in row.items():
            number = _number(value) if name in SHARES or name.startswith(PCK) else None
            if number is not None:
                lines.setdefault(name + where, []).append((int(row["step"]), number))
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    axes.set(title=f"{stage}: validation", xlabel="step", ylabel="share")
    axes.grid(alpha=0.3)
    if axes.has_data():
        axes.legend(fontsize="small")
