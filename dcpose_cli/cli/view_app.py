"""Commands that work on earlier results: no network runs in them unless they say so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config import DEFAULTS, Selection
from . import options as o
from .command import command

_Result = Annotated[Path, typer.Argument(help="A result JSON of dcpose.", metavar="RESULT.json", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to `dcpose`."""
    command(app, panel=o.RESULTS_PANEL)(smooth)
    command(app, panel=o.RESULTS_PANEL)(edit)
    command(app, panel=o.RESULTS_PANEL)(render)
    command(app, panel=o.RESULTS_PANEL)(report)


def smooth(
    result: _Result,
    out: Annotated[Path, typer.Option("--out", "-o", help="The smoothed JSON.", show_default=False)],
    method: Annotated[
        str, typer.Option("--method", "--smooth", help="gaussian, one-euro, butterworth or median.")
    ] = "gaussian",
    order: Annotated[int, typer.Option(help="Of butterworth, both passes together: 2, 4, 6 or 8.")] = 4,
    cutoff: Annotated[float, typer.Option(help="Of butterworth, hertz.")] = 6.0,
    window: Annotated[int, typer.Option(help="Of median, frames; odd.")] = 5,
    fix_swaps: Annotated[
        bool, typer.Option("--fix-swaps", help="Repair legs whose left and right are exchanged for some frames.")
    ] = False,
    shot_fps: o.ShotFps = None,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    *,
    selection: Selection,
) -> None:
    """A copy of a result with less jitter; the original stays raw."""
    from ..filters import Filter
    from .view_commands import smooth_file

    by = Filter(method=method, order=order, cutoff=cutoff, window=window)
    smooth_file(
        result, out, by, fix_swaps=fix_swaps, selection=selection, shot_fps=shot_fps, overwrite=overwrite, quiet=quiet
    )


_Edits = list[str] | None


def edit(
    result: Annotated[
        Path, typer.Argument(help="A result of dcpose or of another tool.", metavar="RESULT", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The edited JSON.", show_default=False)],
    script: Annotated[
        Path | None, typer.Option(help="Edits from a file, one per line; the report page writes one.")
    ] = None,
    merge: Annotated[_Edits, typer.Option(help="Tracks that are one: '3 7'.", show_default=False)] = None,
    split: Annotated[_Edits, typer.Option(help="A track that is two: '3 at 120'.", show_default=False)] = None,
    delete: Annotated[
        _Edits, typer.Option(help="A track to take out: '5', '5 from 100 to 200'.", show_default=False)
    ] = None,
    separate: Annotated[
        _Edits,
        typer.Option(help="A track id that several people of a frame have: '3', or 'all'.", show_default=False),
    ] = None,
    swap_ids: Annotated[
        _Edits, typer.Option(help="Tracks that exchange their ids: '3 7 from 120'.", show_default=False)
    ] = None,
    swap_sides: Annotated[
        _Edits, typer.Option(help="A person's left and right: '3 from 120 to 150'.", show_default=False)
    ] = None,
    move: Annotated[
        _Edits, typer.Option(help="A joint: '3 left_wrist at 120 to 410.5 220'.", show_default=False)
    ] = None,
    save_script: Annotated[Path | None, typer.Option(help="Write all edits to this file, too.")] = None,
    fps: Annotated[
        str | None, typer.Option(help="Frame rate of an input without times; default 25.", show_default=False)
    ] = None,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
) -> None:
    """Correct a result by hand: tracks, sides, joints. Frames are numbers, or seconds with an s.

    The script comes first, then the options in the order of this page. The header of the new JSON lists all edits.
    """
    from .edit_command import edit_file

    options = {"merge": merge, "split": split, "delete": delete, "separate": separate, "swap-ids": swap_ids,
               "swap-sides": swap_sides, "move": move}  # fmt: skip
    lines = [f"{verb} {text}" for verb, texts in options.items() for text in texts or ()]
    edit_file(result, out, script, lines, save_script=save_script, fps=fps, overwrite=overwrite, quiet=quiet)


_APPEARANCE = "Appearance"
_MAPS = "Heatmaps"


def render(
    video: Annotated[Path, typer.Argument(help="The video.", metavar="VIDEO", show_default=False)],
    result: _Result,
    out: Annotated[Path, typer.Option("--out", "-o", help="The new video (.mp4, .mov, .mkv).", show_default=False)],
    style: Annotated[str, typer.Option(help="limbs, lines, dots or none.", rich_help_panel=_APPEARANCE)] = "limbs",
    no_boxes: Annotated[bool, typer.Option("--no-boxes", help="No boxes.", rich_help_panel=_APPEARANCE)] = False,
    no_ids: Annotated[bool, typer.Option("--no-ids", help="No track numbers.", rich_help_panel=_APPEARANCE)] = False,
    black: Annotated[bool, typer.Option("--black", help="On black.", rich_help_panel=_APPEARANCE)] = False,
    trails: Annotated[
        float, typer.Option(help="Seconds that hands, feet and head leave a trail.", rich_help_panel=_APPEARANCE)
    ] = 0.0,
    blur_faces: Annotated[
        bool,
        typer.Option("--blur-faces", help="Hide the faces of everybody in the result.", rich_help_panel=_APPEARANCE),
    ] = False,
    smooth: Annotated[
        str, typer.Option(help="none, gaussian, one-euro, butterworth or median.", rich_help_panel=_APPEARANCE)
    ] = DEFAULTS.smooth,
    kpt_thr: Annotated[
        float, typer.Option(help="Least confidence of a drawn joint.", rich_help_panel=_APPEARANCE)
    ] = DEFAULTS.kpt_thr,
    beside: Annotated[
        Path | None, typer.Option(help="A second result, drawn to the right.", rich_help_panel=_APPEARANCE)
    ] = None,
    show: Annotated[
        str | None, typer.Option(help="heatmaps: of --track and --joint (runs the network).", rich_help_panel=_MAPS)
    ] = None,
    joint: Annotated[str | None, typer.Option(help="A joint, for example left_wrist.", rich_help_panel=_MAPS)] = None,
    model: Annotated[str, typer.Option(help="A DCPose model.", rich_help_panel=_MAPS)] = DEFAULTS.model,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...", rich_help_panel=_MAPS)] = DEFAULTS.device,
    no_audio: o.NoAudio = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    *,
    selection: Selection,
) -> None:
    """Draw a result again over its video; the network does not run."""
    from ..render.redraw import RenderConfig
    from .view_commands import render_file

    config = RenderConfig(
        style=style, boxes=not no_boxes, ids=not no_ids, black=black, trails=trails, blur_faces=blur_faces,
        smooth=smooth, kpt_thr=kpt_thr, choice=selection, audio=not no_audio, overwrite=overwrite,
    )  # fmt: skip
    render_file(video, result, out, config, beside=beside, show=show, joint=joint, model=model, device=device,
                quiet=quiet)  # fmt: skip


def report(
    result: _Result,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page (.html); default: beside the result.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="The video; default: looked for beside the result and here.")
    ] = None,
    embed: Annotated[bool, typer.Option("--embed", help="Put the video into the page.")] = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    *,
    selection: Selection,
) -> None:
    """An HTML page to look at a result: video, tracks, trajectories, angles, doubtful seconds. It opens offline."""
    from .view_commands import report_page

    report_page(result, out, video=video, embed=embed, selection=selection, overwrite=overwrite, quiet=quiet)
