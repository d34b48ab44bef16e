"""Commands about data sets: labels from a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config import Selection
from . import options as o
from .command import command


def register(app: typer.Typer) -> None:
    """Add the commands to `dcpose`."""
    dataset = typer.Typer(help="Labels to correct by hand and to train on.", no_args_is_help=True)
    command(dataset, "from-result")(from_result)
    app.add_typer(dataset, name="dataset", rich_help_panel=o.MODELS_PANEL)


def from_result(
    result: Annotated[Path, typer.Argument(help="A result of this video.", metavar="RESULT.json", show_default=False)],
    video: Annotated[Path, typer.Argument(help="The video.", metavar="VIDEO", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.", show_default=False)],
    frames: Annotated[int, typer.Option("--frames", "-n", help="How many frames to label.")] = 50,
    other: Annotated[
        Path | None,
        typer.Option(help="A result of another model: frames where both disagree come first.", show_default=False),
    ] = None,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    *,
    selection: Selection,
) -> None:
    """Frames of a video with the joints of its result, to be corrected in CVAT, Label Studio or fiftyone.

    The frames are those that teach most: low confidence, probable swaps of legs or arms, filled gaps, spread over time,
    and no two alike.
    """
    from .dataset_command import label_frames

    label_frames(result, video, out, frames=frames, other=other, selection=selection, overwrite=overwrite, quiet=quiet)
