"""Bodies of `dcpose models ...`. What was asked for goes to stdout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ..checkpoints import averaging
from ..checkpoints.files import fetched_models, find_weights, open_model, shipped_models, verify
from ..checkpoints.headers import read_metadata
from ..checkpoints.importing import import_checkpoint
from ..checkpoints.published import verify_fetched
from ..engines import engine_named, require_engine
from ..errors import UsageError, WeightsError
from ..files import printable, sha256_of
from ..people.detector_files import STOCK_IMGSZ
from ..pose.heatmaps import DECODERS
from ..pose.methods import KINDS
from ..pose.model import ModelHeader
from ..published.store import fetched_detectors, models_folder
from ..published.table import DETECTOR
from ..skeleton import NUM_JOINTS
from .terminal import say, show


def show_models() -> None:
    """A table of the models on this machine, shipped ones first."""
    table = Table("model", "kind", "input", "size", box=None)
    for folder in (*shipped_models(), *fetched_models()):
        path = find_weights(folder)
        data = read_metadata(path)
        table.add_row(folder.name, _kind(data), _input(data), f"{path.stat().st_size / 2**20:.1f} MiB")
    for path in fetched_detectors():
        table.add_row(path.name, DETECTOR, str(STOCK_IMGSZ), f"{path.stat().st_size / 2**20:.1f} MiB")
    show(table)


def show_model(model: str) -> None:
    """Everything a weights file says of itself, and its hash."""
    path = find_weights(model)
    data = read_metadata(path)
    if data["kind"] not in (*KINDS, "detector"):
        raise WeightsError(f"holds a {data['kind']}, which this version does not know", path=path, hint="update dcpose")
    rows: list[tuple[str, str]] = [("file", printable(path)), ("sha256", sha256_of(path)), ("kind", _kind(data))]
    rows.append(("input", _input(data)))
    if data.get("kind") in KINDS:
        loaded = open_model(model)
        rows.append(("parameters", f"{sum(p.numel() for p in loaded.net.parameters()):,}"))
        rows.append(("joints", _joints(loaded.header)))
        if loaded.header.kind != "dsta":  # has no heatmaps
            rows.append(("decoding", loaded.header.decoding))
        if loaded.header.crop_margin is not None:
            rows.append(("margin", f"crops end {loaded.header.crop_margin:g} of the person's longer side beyond them"))
        rows.append(("network", str(loaded.header.network)))
        rows.append(("source", loaded.header.source or "trained by dcpose"))
    for name, value in rows:
        say(f"{name + ':':<12}{value}")


def optimise_model(model: str, engine: str, precision: str, detector: str, *, quiet: bool) -> None:
    """Load the two networks with an engine, which makes the files that are missing."""
    require_engine(engine, precision=precision)
    if engine_named(engine).is_torch:
        raise UsageError("torch computes the weights as they are", hint="use --engine openvino or onnx")
    from ..estimator import PoseEstimator

    ready = PoseEstimator(model, engine=engine, precision=precision, detector=detector).load()
    if not quiet:
        names = ready.network.model.header.name, ready.detector.name
        say(f"{names[0]} and {names[1]}: ready for the engine {engine}, {ready.resolve().precision}")


def verify_models(names: list[str]) -> None:
    """Compare hashes, of shipped models with the published ones, of fetched models with those they came with.

    Without names, all models that are here. What differs is an error, after all were compared.
    """
    shipped = [folder.name for folder in shipped_models()]
    fetched = [path.name for path in (*fetched_models(), *fetched_detectors())]
    if not names and not shipped:
        raise WeightsError("there are no shipped models here", hint="reinstall dcpose")
    wrong: list[WeightsError] = []
    for name in names or [*shipped, *fetched]:
        try:
            say(f"{name}: {_verified(name, fetched)} ok")
        except WeightsError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        raise WeightsError(f"{len(wrong)} models are not as they came: " + "; ".join(map(str, wrong)))


def _verified(name: str, fetched: Sequence[str]) -> str:
    """SHA-256 of a model that is as it came. Raises UsageError, WeightsError."""
    if name in fetched or f"{name}.pt" in fetched:
        return verify_fetched(name)
    path = find_weights(name)
    if path.parent.parent == models_folder():
        return verify_fetched(path.parent.name)
    return verify(path)


def import_model(
    file: Path, out: Path, joints: str | None, input_size: str | None, decoding: str | None, *, overwrite: bool
) -> None:
    """Convert a checkpoint and say what it was."""
    if decoding is not None and decoding not in DECODERS:
        raise UsageError(f"--decoding must be one of {', '.join(DECODERS)}, got {decoding}")
    size = None if input_size is None else _size_of(input_size)
    path = import_checkpoint(file, out, joints=joints, input_size=size, decoding=decoding, overwrite=overwrite)
    data = read_metadata(path)
    found = f"crop {_input(data)}, joints {data['joints']}, decoding {data['decoding']}"
    say(f"{printable(path)}: {data['source']}, {_kind(data)}, {found}")


def _size_of(text: str) -> tuple[int, int]:
    """Width and height of a crop, whichever is written first; a person's crop is upright."""
    sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if sides is None:
        raise UsageError(f"--input-size must be like 192x256, got {text}")
    width, height = sorted(map(int, sides.groups()))
    return width, height


def export_model(model: str, out: Path, *, to: str, part: str, overwrite: bool) -> None:
    """Write a network in another format and say what it takes and gives."""
    from ..checkpoints.onnx import export_onnx

    if to != "onnx":
        raise UsageError(f"unknown format {to!r}", hint="use onnx")
    made = export_onnx(open_model(model), out, part=part, overwrite=overwrite)
    for name, shape in made.inputs.items():
        say(f"input  {name}: {' x '.join(map(str, shape))}")
    say(f"output heatmaps: {' x '.join(map(str, made.output))}")
    say(f"{printable(made.path)} written; it differs from torch by {made.difference:.1e} at most")


def average_models(models: list[str], out: Path, weights: str | None, *, overwrite: bool) -> None:
    """Write the mean of several models and say where it is."""
    try:
        numbers = None if weights is None else [float(part) for part in weights.split(",")]
    except ValueError as error:
        raise UsageError(f"--weights must be numbers like 0.7,0.3, got {printable(weights or '', 40)}") from error
    path = averaging.average_models(models, out, weights=numbers, overwrite=overwrite)
    say(f"{printable(path)}: the mean of {len(models)} models")


def _kind(data: dict[str, Any]) -> str:
    return str(data.get("kind", "?"))


def _joints(header: ModelHeader) -> str:
    """The joint set, and how many joints it has; names that somebody gave."""
    count = len(header.channels)
    names = f": {', '.join(header.names)}" if header.names else ""
    return header.joints if count == NUM_JOINTS and not names else f"{header.joints}, {count}{names}"


def _input(data: dict[str, Any]) -> str:
    size = data.get("input_size")
    shown = f"{size[0]}x{size[1]}" if isinstance(size, list) and len(size) == 2 else str(data.get("imgsz", ""))
    return printable(shown, 40)
