"""Commands on finished results: convert, events and evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config import Measures, Selection
from . import options as o
from .command import command


def register(app: typer.Typer) -> None:
    """Add the commands to `dcpose`."""
    command(app, panel=o.RESULTS_PANEL)(convert)
    command(app, panel=o.RESULTS_PANEL)(events)
    command(app, panel=o.RESULTS_PANEL)(evaluate)


def convert(
    result: Annotated[
        Path,
        typer.Argument(help="A result of dcpose, or PoseTrack or COCO JSON.", metavar="RESULT", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The output; a folder for openpose.", show_default=False)],
    to: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            "--to",
            "-t",
            help=f"{o.FORMATS_HELP} Without it the ending of --out decides.",
            show_default=False,
        ),
    ] = None,
    overwrite: o.Overwrite = False,
    kpt_thr: Annotated[
        float | None, typer.Option(help="Leave out joints below this confidence.", show_default=False)
    ] = None,
    fps: Annotated[
        str | None, typer.Option(help="Frame rate of an input without times; default 25.", show_default=False)
    ] = None,
    shot_fps: o.ShotFps = None,
    quiet: o.Quiet = False,
    *,
    measures: Measures,
    selection: Selection,
) -> None:
    """A result in another format, for the tools of biomechanics, behaviour research, animation and data analysis."""
    from .convert_command import convert_result

    convert_result(
        result, out, to, overwrite=overwrite, kpt_thr=kpt_thr, selection=selection, measures=measures, fps=fps,
        shot_fps=shot_fps, quiet=quiet,
    )  # fmt: skip


def events(
    result: Annotated[Path, typer.Argument(help="A result.", metavar="RESULT", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table (.csv).", show_default=False)],
    repetitions: Annotated[
        list[str] | None,
        typer.Option(
            help="Count how often an angle or the height of a joint goes there and back; may be repeated.",
            metavar="left_knee, left_wrist ...",
            show_default=False,
        ),
    ] = None,
    heel_strikes: Annotated[
        bool,
        typer.Option(
            "--heel-strikes", help="Find the heel strikes of people who walk across the picture, seen from the side."
        ),
    ] = False,
    shot_fps: o.ShotFps = None,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    *,
    selection: Selection,
) -> None:
    """A table of events: repetitions of a movement, heel strikes."""
    from .convert_command import write_table_of_events

    write_table_of_events(
        result, out, repetitions or [], strikes=heel_strikes, selection=selection, shot_fps=shot_fps,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip


def evaluate(
    truth: Annotated[
        Path, typer.Argument(help="Ground truth: a file, or a folder of them.", metavar="GT", show_default=False)
    ],
    predicted: Annotated[
        Path,
        typer.Argument(help="Predictions: a file, or a folder with equal names.", metavar="PRED", show_default=False),
    ],
    metrics: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Some of ap,pckh,oks,tracking; without it all that are installed.",
            show_default=False,
        ),
    ] = "",
    kpt_thr: Annotated[float, typer.Option(help="Least confidence of a joint that counts for tracking.")] = 0.3,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here, too.", show_default=False)
    ] = None,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    *,
    selection: Selection,
) -> None:
    """How good results are: PoseTrack AP, PCKh, OKS-AP, MOTA and IDF1."""
    from .evaluate_command import evaluate_results

    evaluate_results(
        truth, predicted, metrics, kpt_thr=kpt_thr, selection=selection, json=json, overwrite=overwrite, quiet=quiet
    )
