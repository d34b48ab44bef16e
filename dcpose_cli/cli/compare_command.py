"""Body of `dcpose compare`. The table goes to stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ..config import EstimateConfig
from ..errors import UsageError
from ..evaluation.compare import MethodRow, compare
from ..files import printable, require_distinct, require_free_target
from ..video.opening import describe_input
from .terminal import message, show

#: Characters that the table may take; it takes what it needs.
_WIDTH = 1000
#: Heading -> what a row shows there.
_COLUMNS: dict[str, Any] = {
    "model": lambda row: row.model,
    "kind": lambda row: row.kind,
    "frames": lambda row: str(row.frames_seen),
    "people": lambda row: str(row.people),
    "found": lambda row: number(row.found, 3),
    "AP": lambda row: number(row.ap, 1),
    "jitter %": lambda row: number(row.jitter, 2),
    "ms": lambda row: number(row.ms, 1),
    "parameters": lambda row: f"{row.parameters:,}",
    "GMAC": lambda row: number(row.gmac, 2),
    "memory MiB": lambda row: number(row.memory, 0),
}


def compare_models(
    video: str,
    models: str,
    out: Path | None,
    config: EstimateConfig,
    *,
    truth: Path | None,
    json: Path | None,
    quiet: bool,
) -> None:
    """Run the models, write the video, print the table."""
    names = [name.strip() for name in models.split(",") if name.strip()]
    if out is None and json is None and quiet:
        raise UsageError("nothing to do", hint="give --out or --json, or leave out --quiet")
    if json is not None:
        require_free_target(json, overwrite=config.overwrite)
        require_distinct([json, *([out] if out is not None else [])])
    describe_input(video, allow_network=config.allow_network)

    def begin(model: str) -> None:
        if not quiet:
            message(f"{model} ({names.index(model) + 1}/{len(names)})" if model else "drawing")

    rows = compare(Path(video), names, out, truth=truth, config=config, begin=begin, json=json)
    if not quiet:
        # Not squeezed into a narrow terminal: cut words and figures help nobody.
        show(table_of(rows), width=_WIDTH)
        for path in filter(None, (out, json)):
            message(f"{printable(path)} written")


def table_of(rows: list[MethodRow]) -> Table:
    """One line per method; columns nobody has a figure for are left out."""
    cells = {title: [show(row) for row in rows] for title, show in _COLUMNS.items()}
    used = {title: values for title, values in cells.items() if any(value != "-" for value in values)}
    table = Table(box=None)
    for title in used:
        table.add_column(title, justify="left" if title in ("model", "kind") else "right", no_wrap=True)
    for line in zip(*used.values(), strict=True):
        table.add_row(*line)
    return table


def number(value: float | None, digits: int) -> str:
    """A dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"
