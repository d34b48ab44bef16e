"""Bodies of `dcpose models available | get | remove`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rich.table import Column, Table

from ..checkpoints.published import get_model, is_fetched, published_model, remove_model
from ..errors import UsageError
from ..files import printable
from ..published.download import Report
from ..published.table import DETECTOR, PUBLISHED
from .terminal import plain, progress_console, say, show


def show_available(*, details: bool) -> None:
    """A table of the published models; with `details` a paragraph for each."""
    if details:
        for entry in PUBLISHED.values():
            say(f"{entry.name}: {entry.score or 'no published score for people'}")
            say(f"    {entry.code_licence}; {entry.data_licence}; {entry.page}")
            say(f"    {entry.url}")
            say(f"    sha256 {' or '.join(entry.sha256)}")
        return
    table = Table(Column("name", no_wrap=True), "crop", "size", "published AP", "", box=None)
    for entry in PUBLISHED.values():
        width, height = entry.input_size
        crop = "-" if entry.kind == DETECTOR else f"{width}x{height}"
        size = f"{entry.size / 1e6:.0f} MB" if entry.size else "?"
        table.add_row(entry.name, crop, size, entry.ap or "-", "fetched" if is_fetched(entry) else "")
    show(table)
    say("Conditions of the scores, licences, hashes and addresses: dcpose models available --details")


def get_models(names: list[str], file: Path | None, mirror: str | None, *, offline: bool, quiet: bool) -> None:
    """Fetch models and say where they are and how to use them."""
    if file is not None and len(names) > 1:
        raise UsageError("--from takes one model at a time")
    for entry in [published_model(name) for name in names]:
        there = file is None and is_fetched(entry)
        with _progress(entry.name, quiet=quiet) as report:
            path = get_model(entry.name, file=file, mirror=mirror, offline=offline, report=report)
        if not quiet:
            say(f"{printable(path)}: {'here already' if there else 'fetched'}; use {entry.option}")
            if entry.score:
                say(f"published score: {entry.score}, with {entry.options}")
            say(f"licence: {entry.code_licence}; {entry.data_licence}")


def remove_models(names: list[str]) -> None:
    """Remove models and say which were there."""
    for entry in [published_model(name) for name in names]:
        say(f"{entry.name}: {'removed' if remove_model(entry.name) else 'was not here'}")


@contextlib.contextmanager
def _progress(title: str, *, quiet: bool) -> Iterator[Report | None]:
    """A live line with bytes, bytes/s and time left; None when quiet or when stderr is no terminal."""
    console = progress_console()
    if quiet or not console.is_terminal or console.is_dumb_terminal:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}", markup=False), *columns, console=console, transient=True) as display:
        task = display.add_task(plain(title), total=None)
        yield lambda done, total: display.update(task, completed=done, total=total)
