"""Commands about models and the installation: models, train, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config import DEFAULTS
from ..skeleton.sets import JOINT_SETS
from . import options as o
from .command import command


def register(app: typer.Typer) -> None:
    """Add the commands to `dcpose`."""
    models = typer.Typer(help="List, fetch, check, import, export and average models.", no_args_is_help=True)
    command(models, "list")(list_models)
    command(models, "available")(available_models)
    command(models, "get")(get_models)
    command(models, "remove")(remove_models)
    command(models, "info")(info_model)
    command(models, "verify")(verify_models)
    command(models, "import")(import_model)
    command(models, "export")(export_model)
    command(models, "average")(average_models)
    command(models, "optimise")(optimise_model)
    app.add_typer(models, name="models", rich_help_panel=o.MODELS_PANEL)
    command(app, panel=o.MODELS_PANEL)(train)
    command(app, panel=o.MODELS_PANEL)(doctor)


def list_models() -> None:
    """The models on this machine: shipped ones, and published ones that were fetched."""
    from .model_commands import show_models

    show_models()


def available_models(
    details: Annotated[bool, typer.Option("--details", help="Licences, hashes and addresses, too.")] = False,
) -> None:
    """The published models that can be fetched: settings, published scores, sizes, licences."""
    from .store_commands import show_available

    show_available(details=details)


def get_models(
    names: Annotated[list[str], typer.Argument(help="As `dcpose models available` lists them.", show_default=False)],
    file: Annotated[
        Path | None, typer.Option("--from", help="The published file, fetched by other means.", show_default=False)
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(help="Address of a folder with the published files; default $DCPOSE_MIRROR.", show_default=False),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never download anything.")] = False,
    quiet: o.Quiet = False,
) -> None:
    """Download published models, check their hashes and store them; an interrupted download is resumed."""
    from .store_commands import get_models

    get_models(names, file, mirror, offline=offline, quiet=quiet)


def remove_models(
    names: Annotated[list[str], typer.Argument(help="Published models that were fetched.", show_default=False)],
) -> None:
    """Remove fetched models from this machine."""
    from .store_commands import remove_models

    remove_models(names)


def info_model(
    model: Annotated[str, typer.Argument(help="A shipped name, a folder or a file.", show_default=False)],
) -> None:
    """What a model is: kind, input, parameters, hash."""
    from .model_commands import show_model

    show_model(model)


def verify_models(
    models: Annotated[
        list[str] | None, typer.Argument(help="Shipped and fetched models; all when none is named.")
    ] = None,
) -> None:
    """Compare weights with their SHA-256: shipped models with the release, fetched models with the download."""
    from .model_commands import verify_models

    verify_models(models or [])


def import_model(
    file: Annotated[
        Path,
        typer.Argument(help="Official DCPose or DSTA, HRNet, SimpleBaseline or PoseWarper.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new model.", show_default=False)],
    joints: Annotated[
        str | None,
        typer.Option(
            help=f"Joints of the outputs: {', '.join(JOINT_SETS)}, or all names, a,b,c. Default: found.",
            show_default=False,
        ),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Crop in pixels; the longer side is its height. Default: found.", show_default=False
        ),
    ] = None,
    decoding: Annotated[
        str | None, typer.Option(help="quarter, smoothed, dark or udp. Default: found.", show_default=False)
    ] = None,
    overwrite: o.Overwrite = False,
) -> None:
    """Convert a published checkpoint; code inside a file is never run."""
    from .model_commands import import_model

    import_model(file, out, joints, input_size, decoding, overwrite=overwrite)


def export_model(
    model: Annotated[str, typer.Argument(help="A shipped name, a folder or a file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .onnx file.", show_default=False)],
    to: Annotated[str, typer.Option("--format", "-f", help="onnx.")] = "onnx",
    part: Annotated[str, typer.Option(help="whole, backbone or head.")] = "whole",
    overwrite: o.Overwrite = False,
) -> None:
    """A network for other runtimes, checked against torch."""
    from .model_commands import export_model

    export_model(model, out, to=to, part=part, overwrite=overwrite)


def average_models(
    models: Annotated[
        list[str], typer.Argument(help="Of one architecture, trained from one another.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new model.", show_default=False)],
    weights: Annotated[
        str | None,
        typer.Option(metavar="W,...", help="A number above 0 for each model. Default: equal.", show_default=False),
    ] = None,
    overwrite: o.Overwrite = False,
) -> None:
    """One model out of several: the mean of their weights. Measure whether it is better."""
    from .model_commands import average_models

    average_models(models, out, weights, overwrite=overwrite)


def optimise_model(
    model: Annotated[
        str, typer.Argument(help="A shipped name, a folder or a file.", show_default=False)
    ] = DEFAULTS.model,
    engine: Annotated[str, typer.Option(metavar="NAME", help="openvino or onnx.")] = "openvino",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16, as the engine has them.")] = "auto",
    detector: Annotated[str, typer.Option(help="The detector that is made ready, too.")] = DEFAULTS.detector,
    quiet: o.Quiet = False,
) -> None:
    """Convert networks for an engine in advance; otherwise the first run does it."""
    from .model_commands import optimise_model

    optimise_model(model, engine, precision, detector, quiet=quiet)


def train(
    recipe: Annotated[Path, typer.Argument(help="models/<name>/recipe.toml.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Folder of the data the recipe names.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the new model.")] = None,
    work: Annotated[Path | None, typer.Option(help="Checkpoints and logs; default runs/<name>.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Start from this model: a shipped name, a folder or a file.", show_default=False)
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Detector whose answers a detector learns from.", show_default=False)
    ] = None,
    device: o.Device = DEFAULTS.device,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: torch's own choice.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Threads that prepare batches ahead.")] = 0,
    stages: Annotated[
        str | None,
        typer.Option(metavar="N,...", help="Only these, such as 2,3; default: all of the recipe.", show_default=False),
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard logs too.")] = False,
    accept_changes: Annotated[
        bool,
        typer.Option("--accept-changes", help="Continue a training although labels, --init or --teacher have changed."),
    ] = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
) -> None:
    """Train a model; the same command resumes an interrupted training."""
    from .train_command import train_model

    train_model(
        recipe, data, out, work, init=init, teacher=teacher, device=device, threads=threads, workers=workers,
        stages=stages, tensorboard=tensorboard, accept_changes=accept_changes, overwrite=overwrite,
        quiet=quiet,
    )  # fmt: skip


def doctor(
    clean: Annotated[
        list[Path] | None,
        typer.Option(help="Remove from this folder what dead runs left there; nothing is checked.", metavar="FOLDER"),
    ] = None,
) -> None:
    """What is installed and whether it works: versions, devices, codecs, models."""
    from .doctor import clean_folders, report

    raise typer.Exit(clean_folders(clean) if clean else report())
