"""`dcpose`: thin Typer commands over the library. torch is imported only inside the commands that need it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .. import __version__
from . import dataset_app, model_app, result_app, video_app, view_app
from .console import run
from .terminal import say

app = typer.Typer(
    name="dcpose",
    help="People's joints from video: annotated MP4 and PoseTrack JSON.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point of the `dcpose` script."""
    sys.exit(run(lambda: app(prog_name="dcpose", standalone_mode=False)))


def _version(wanted: bool) -> None:
    if wanted:
        say(f"dcpose {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for part in (video_app, result_app, view_app, model_app, dataset_app):
    part.register(app)
