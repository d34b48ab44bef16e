"""Commands that turn videos into poses: estimate, export-json, batch, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config import PIXELS, EstimateConfig, Measures
from ..errors import UsageError
from . import options as o
from .command import command


def register(app: typer.Typer) -> None:
    """Add the commands to `dcpose`."""
    panel = o.VIDEOS_PANEL
    command(app, panel=panel)(estimate)
    command(app, "export-json", panel=panel, without=("json", "audio", "smooth", "kpt_thr"), also=("export",))(export)
    command(app, panel=panel, without=("json", "start", "end", "allow_network"), one_device=False)(batch)
    left_out = (
        "json",
        "resume",
        "smooth",
        "model",
        "share_crops",
        "detect_every",
        "hwaccel",
        "fps",
        "shot_fps",
        "deinterlace",
        "flip_test",
        "fix_swaps",
        "ensemble",
        "selection",
    )
    command(app, panel=panel, without=(*left_out, "allow_network"))(compare)


def estimate(
    inputs: Annotated[list[str], typer.Argument(help="One or several videos.", metavar="VIDEO...", show_default=False)],
    config: EstimateConfig,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Result video (.mp4, .mov, .mkv); a folder for several inputs."),
    ] = None,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> None:
    """Annotated video and PoseTrack JSON of one or several videos."""
    from .commands import estimate_videos

    raise typer.Exit(estimate_videos(inputs, out, config, dry_run=dry_run, quiet=quiet))


def export(
    video: Annotated[
        str,
        typer.Argument(
            help="The video, or an earlier result; with --boxes the folder of frames.",
            metavar="VIDEO",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="The output; a folder with --boxes; - for JSON lines on stdout while it runs.",
            show_default=False,
        ),
    ],
    config: EstimateConfig,
    to: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help=f"{o.FORMATS_HELP} Without it the ending of --out decides; .json is posetrack18.",
            show_default=False,
        ),
    ] = None,
    boxes: o.Boxes = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--gt",
            help="Ground truth files: results get their names and frames.",
            rich_help_panel="Data set",
            show_default=False,
        ),
    ] = None,
    quiet: o.Quiet = False,
    *,
    measures: Measures,
) -> None:
    """Poses in a file of any format, without an annotated video."""
    frames = boxes is not None or truth is not None
    to = to or _format_of(out, frames=frames)
    if frames:
        if not config.selection.everybody:
            raise UsageError("--boxes gives the people: none of them can be chosen", hint="leave the selection out")
        if measures != PIXELS:
            raise UsageError("measures are for videos, not for a data set of pictures", hint="leave them out")
        from .dataset_command import export_frames

        raise typer.Exit(export_frames(Path(video), boxes, out, config, to=to, truth=truth, quiet=quiet))
    if str(out) == "-":
        if measures != PIXELS:
            raise UsageError("lines on stdout are in pixels, at the times of the video", hint="name a file with --out")
        from .commands import export_lines

        raise typer.Exit(export_lines(video, config, to=to))
    if Path(video).suffix.lower() == ".json":
        from .convert_command import convert_result

        return convert_result(
            Path(video), out, to, overwrite=config.overwrite, selection=config.selection, measures=measures,
            fps=config.fps, shot_fps=config.shot_fps, quiet=quiet,
        )  # fmt: skip
    from .commands import export_one

    raise typer.Exit(export_one(video, out, config, to=to, measures=measures, quiet=quiet))


def _format_of(out: Path, *, frames: bool) -> str:
    """The format of an output without --format. frames: poses of a data set, which go to a folder."""
    from ..export.formats import format_of

    if str(out) == "-":
        return "jsonl"
    return "posetrack18" if frames or out.suffix.lower() == ".json" or out.is_dir() else format_of(out)


def batch(
    folder: Annotated[str, typer.Argument(help="Folder of videos, searched recursively.", show_default=False)],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for the results.", show_default=False)],
    config: EstimateConfig,
    workers: Annotated[
        int | None,
        typer.Option(help="Videos at a time; default: one per device, or per 4 cores.", rich_help_panel="Speed"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="Distribute the work on this Ray cluster: its address, or auto.", rich_help_panel="Speed"),
    ] = None,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> None:
    """All videos of a folder; what is finished is skipped, a bad file does not stop the others."""
    from .batch_command import run_batch

    raise typer.Exit(run_batch(folder, out, config, workers=workers, ray=ray, dry_run=dry_run, quiet=quiet))


def compare(
    video: Annotated[str, typer.Argument(help="The video.", metavar="VIDEO", show_default=False)],
    models: Annotated[
        str,
        typer.Option(
            "--models",
            metavar="MODEL,...",
            help="Models with commas between them; NAME:single is a model's single-frame network alone.",
            show_default=False,
        ),
    ],
    config: EstimateConfig,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The results side by side (.mp4, .mov, .mkv).")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--gt", "--truth", help="The clip's true joints: a sample's JSON, or PoseTrack annotations."),
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="The figures as JSON.")] = None,
    quiet: o.Quiet = False,
) -> None:
    """Several models on one video: their results side by side, and a table of accuracy, jitter, speed and cost."""
    from .compare_command import compare_models

    compare_models(video, models, out, config, truth=truth, json=json, quiet=quiet)
