"""`dcpose`: thin Typer commands over the library. torch is imported only inside the commands that need it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from ..config import DEFAULTS
from . import options as o
from . import view_app
from .console import run, show_details
from .result_app import add_result_commands

app = typer.Typer(
    name="dcpose",
    help="People's joints from video: annotated MP4 and PoseTrack JSON.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="The models there are, and bringing in others.", no_args_is_help=True)
app.add_typer(models_app, name="models", rich_help_panel=o.MODELS_PANEL)


def main() -> None:
    """Entry point of the `dcpose` script."""
    sys.exit(run(lambda: app(prog_name="dcpose", standalone_mode=False)))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dcpose {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


def _begin(debug: bool) -> None:
    if debug:
        os.environ["DCPOSE_DEBUG"] = "1"
        show_details()
    # What Apple's GPUs lack runs on the CPU; torch reads this when it is imported.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


@app.command(rich_help_panel=o.VIDEOS_PANEL)
def estimate(
    inputs: Annotated[list[str], typer.Argument(help="One or several videos.", metavar="VIDEO...", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Result video (.mp4, .mov, .mkv); a folder for several inputs."),
    ] = None,
    json: o.JsonPath = None,
    overwrite: o.Overwrite = False,
    resume: o.Resume = False,
    no_audio: o.NoAudio = False,
    model: o.Model = DEFAULTS.model,
    detector: o.Detector = DEFAULTS.detector,
    device: o.Device = DEFAULTS.device,
    precision: o.Precision = DEFAULTS.precision,
    batch: o.Batch = None,
    conf: o.Conf = DEFAULTS.conf,
    kpt_thr: o.KptThr = DEFAULTS.kpt_thr,
    interval: o.Interval = DEFAULTS.interval,
    flip_test: o.FlipTest = False,
    share_crops: o.ShareCrops = False,
    detect_every: o.DetectEvery = DEFAULTS.detect_every,
    hwaccel: o.Hwaccel = DEFAULTS.hwaccel,
    smooth: o.Smooth = DEFAULTS.smooth,
    start: o.Start = None,
    end: o.End = None,
    max_frames: o.MaxFrames = None,
    offline: o.Offline = False,
    allow_network: o.AllowNetwork = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Annotated video and PoseTrack JSON of one or several videos."""
    from .commands import estimate_videos

    _begin(debug)
    config = o.settings(
        model=model, detector=detector, device=device, precision=precision, batch=batch, conf=conf, kpt_thr=kpt_thr,
        interval=interval, flip_test=flip_test, share_crops=share_crops, detect_every=detect_every, hwaccel=hwaccel,
        smooth=smooth, start=start, end=end, max_frames=max_frames, no_audio=no_audio, json=json, overwrite=overwrite,
        resume=resume, offline=offline, allow_network=allow_network,
    )  # fmt: skip
    raise typer.Exit(estimate_videos(inputs, out, config, dry_run=dry_run, quiet=quiet))


@app.command("export-json", rich_help_panel=o.VIDEOS_PANEL)
def export_json(
    video: Annotated[
        str,
        typer.Argument(
            help="The video, or an earlier result; with --boxes the folder of frames.",
            metavar="VIDEO",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The output; a folder with --boxes.", show_default=False)],
    to: Annotated[str, typer.Option("--format", "-f", help=o.FORMATS_HELP)] = "posetrack18",
    boxes: o.Boxes = None,
    truth: o.Truth = None,
    overwrite: o.Overwrite = False,
    resume: o.Resume = False,
    model: o.Model = DEFAULTS.model,
    detector: o.Detector = DEFAULTS.detector,
    device: o.Device = DEFAULTS.device,
    precision: o.Precision = DEFAULTS.precision,
    batch: o.Batch = None,
    conf: o.Conf = DEFAULTS.conf,
    interval: o.Interval = DEFAULTS.interval,
    flip_test: o.FlipTest = False,
    share_crops: o.ShareCrops = False,
    detect_every: o.DetectEvery = DEFAULTS.detect_every,
    hwaccel: o.Hwaccel = DEFAULTS.hwaccel,
    start: o.Start = None,
    end: o.End = None,
    max_frames: o.MaxFrames = None,
    offline: o.Offline = False,
    allow_network: o.AllowNetwork = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Poses in a file of any format, without rendering; with --boxes those of a data set."""
    _begin(debug)
    config = o.settings(
        model=model, detector=detector, device=device, precision=precision, batch=batch, conf=conf, interval=interval,
        flip_test=flip_test, share_crops=share_crops, detect_every=detect_every, hwaccel=hwaccel, start=start, end=end,
        max_frames=max_frames, overwrite=overwrite, resume=resume, offline=offline, allow_network=allow_network,
    )  # fmt: skip
    if boxes is not None or truth is not None:
        from .dataset_command import export_frames

        raise typer.Exit(export_frames(Path(video), boxes, out, config, to=to, truth=truth, quiet=quiet))
    if Path(video).suffix.lower() == ".json":
        from .convert_command import convert_result

        return convert_result(Path(video), out, to, overwrite=overwrite, quiet=quiet)
    from .commands import export_one

    raise typer.Exit(export_one(video, out, config, to=to, quiet=quiet))


@app.command(rich_help_panel=o.VIDEOS_PANEL)
def batch(
    folder: Annotated[str, typer.Argument(help="Folder of videos, searched recursively.", show_default=False)],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for the results.", show_default=False)],
    overwrite: o.Overwrite = False,
    resume: o.Resume = False,
    no_audio: o.NoAudio = False,
    model: o.Model = DEFAULTS.model,
    detector: o.Detector = DEFAULTS.detector,
    device: o.Devices = DEFAULTS.device,
    precision: o.Precision = DEFAULTS.precision,
    batch_size: Annotated[
        int | None, typer.Option("--batch", help="People in one pass of the network.", rich_help_panel="Speed")
    ] = None,
    conf: o.Conf = DEFAULTS.conf,
    kpt_thr: o.KptThr = DEFAULTS.kpt_thr,
    interval: o.Interval = DEFAULTS.interval,
    flip_test: o.FlipTest = False,
    share_crops: o.ShareCrops = False,
    detect_every: o.DetectEvery = DEFAULTS.detect_every,
    hwaccel: o.Hwaccel = DEFAULTS.hwaccel,
    smooth: o.Smooth = DEFAULTS.smooth,
    max_frames: o.MaxFrames = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Videos at a time; default: one per device, or per 4 cores.", rich_help_panel="Speed"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="Share the work on this Ray cluster: its address, or auto.", rich_help_panel="Speed"),
    ] = None,
    offline: o.Offline = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """All videos of a folder; what is finished is skipped, a bad file does not stop the others."""
    from .batch_command import run_batch

    _begin(debug)
    config = o.settings(
        model=model, detector=detector, device=device, precision=precision, batch=batch_size, conf=conf,
        kpt_thr=kpt_thr, interval=interval, flip_test=flip_test, share_crops=share_crops, detect_every=detect_every,
        hwaccel=hwaccel, smooth=smooth, max_frames=max_frames, no_audio=no_audio, overwrite=overwrite, resume=resume,
        offline=offline,
    )  # fmt: skip
    raise typer.Exit(run_batch(folder, out, config, workers=workers, ray=ray, dry_run=dry_run, quiet=quiet))


@models_app.command("list")
def models_list() -> None:
    """The shipped models."""
    from .model_commands import show_models

    show_models()


@models_app.command("info")
def models_info(
    model: Annotated[str, typer.Argument(help="A shipped name, a folder or a file.", show_default=False)],
) -> None:
    """What a model is: kind, input, parameters, hash."""
    from .model_commands import show_model

    show_model(model)


@models_app.command("verify")
def models_verify(
    models: Annotated[list[str] | None, typer.Argument(help="Shipped models; all when none is named.")] = None,
) -> None:
    """Compare shipped weights with their published SHA-256."""
    from .model_commands import verify_models

    verify_models(models or [])


@models_app.command("import")
def models_import(
    file: Annotated[Path, typer.Argument(help="Official DCPose or DSTA, HRNet or SimpleBaseline.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new model.", show_default=False)],
    joints: Annotated[
        str | None, typer.Option(help="Meaning of an HRNet's 17 channels: posetrack or coco.", show_default=False)
    ] = None,
    overwrite: o.Overwrite = False,
    debug: o.Debug = False,
) -> None:
    """Convert a published checkpoint; code inside a file is never run."""
    from .model_commands import import_model

    _begin(debug)
    import_model(file, out, joints, overwrite=overwrite)


@models_app.command("export")
def models_export(
    model: Annotated[str, typer.Argument(help="A shipped name, a folder or a file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .onnx file.", show_default=False)],
    to: Annotated[str, typer.Option("--format", "-f", help="onnx.")] = "onnx",
    part: Annotated[str, typer.Option(help="whole, backbone or head.")] = "whole",
    overwrite: o.Overwrite = False,
    debug: o.Debug = False,
) -> None:
    """A network for other runtimes, checked against torch."""
    from .model_commands import export_model

    _begin(debug)
    export_model(model, out, to=to, part=part, overwrite=overwrite)


@app.command(rich_help_panel=o.MODELS_PANEL)
def train(
    recipe: Annotated[Path, typer.Argument(help="models/<name>/recipe.toml.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Folder of the data the recipe names.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the new model.")] = None,
    work: Annotated[Path | None, typer.Option(help="Checkpoints and logs; default runs/<name>.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Start from this model: a shipped name, a folder or a file.", show_default=False)
    ] = None,
    device: o.Device = DEFAULTS.device,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: torch's own choice.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Threads that prepare batches ahead.")] = 0,
    stages: Annotated[
        str | None, typer.Option(help="Only these, such as 2,3; default: all of the recipe.", show_default=False)
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard logs too.")] = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Train a model; the same command resumes an interrupted training."""
    from .train_command import train_model

    _begin(debug)
    train_model(
        recipe, data, out, work, init=init, device=device, threads=threads, workers=workers, stages=stages,
        tensorboard=tensorboard, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip


@app.command(rich_help_panel=o.VIDEOS_PANEL)
def compare(
    video: Annotated[str, typer.Argument(help="The video.", metavar="VIDEO", show_default=False)],
    models: Annotated[
        str,
        typer.Option(
            "--models",
            help="Models with commas between them; NAME:single is a model's single-frame network alone.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The results side by side (.mp4, .mov, .mkv).")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="The clip's true joints: a sample's JSON, or PoseTrack annotations.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="The figures as JSON.")] = None,
    overwrite: o.Overwrite = False,
    no_audio: o.NoAudio = False,
    detector: o.Detector = DEFAULTS.detector,
    device: o.Device = DEFAULTS.device,
    precision: o.Precision = DEFAULTS.precision,
    batch: o.Batch = None,
    conf: o.Conf = DEFAULTS.conf,
    kpt_thr: o.KptThr = DEFAULTS.kpt_thr,
    interval: o.Interval = DEFAULTS.interval,
    start: o.Start = None,
    end: o.End = None,
    max_frames: o.MaxFrames = None,
    offline: o.Offline = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Several models on one video: their results side by side, and a table of accuracy, jitter, speed and cost."""
    from .compare_command import compare_models

    _begin(debug)
    config = o.settings(
        detector=detector, device=device, precision=precision, batch=batch, conf=conf, kpt_thr=kpt_thr,
        interval=interval, start=start, end=end, max_frames=max_frames, no_audio=no_audio, overwrite=overwrite,
        offline=offline,
    )  # fmt: skip
    compare_models(video, models, out, config, truth=truth, json=json, quiet=quiet)


@app.command(rich_help_panel=o.MODELS_PANEL)
def doctor() -> None:
    """What is installed and whether it works: versions, devices, codecs, models."""
    from .doctor import report

    raise typer.Exit(report())


view_app.register(app)
add_result_commands(app)
