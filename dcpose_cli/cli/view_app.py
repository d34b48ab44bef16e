"""Commands that work on earlier results: no network runs in them unless they say so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from . import options as o

_Result = Annotated[Path, typer.Argument(help="A result JSON of dcpose.", metavar="RESULT.json", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to `dcpose`."""
    app.command("smooth")(smooth)


def _begin(debug: bool) -> None:
    if debug:
        os.environ["DCPOSE_DEBUG"] = "1"


def smooth(
    result: _Result,
    out: Annotated[Path, typer.Option("--out", "-o", help="The smoothed JSON.", show_default=False)],
    method: Annotated[str, typer.Option(help="gaussian or one-euro.")] = "gaussian",
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """A copy of a result with less jitter; the original stays raw."""
    from .view_commands import smooth_file

    _begin(debug)
    smooth_file(result, out, method, overwrite=overwrite, quiet=quiet)
