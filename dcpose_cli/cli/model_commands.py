"""Bodies of `dcpose models ...`. What was asked for goes to stdout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rich.table import Table

from ..checkpoints.files import fetched_models, find_weights, open_model, read_metadata, shipped_models, verify
from ..checkpoints.importing import import_checkpoint
from ..errors import UsageError, WeightsError
from ..files import printable, sha256_of
from ..people.detector_files import STOCK_IMGSZ
from ..pose.heatmaps import DECODERS
from ..pose.methods import KINDS
from ..pose.model import JOINT_ORDERS
from ..published.store import fetched_detectors
from ..published.table import DETECTOR
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
        rows.append(("joints", loaded.header.joints))
        if loaded.header.kind != "dsta":  # has no heatmaps
            rows.append(("decoding", loaded.header.decoding))
        rows.append(("network", str(loaded.header.network)))
        rows.append(("source", loaded.header.source or "trained by dcpose"))
    for name, value in rows:
        say(f"{name + ':':<12}{value}")


def verify_models(names: list[str]) -> None:
    """Compare hashes; the first difference is an error."""
    paths = [find_weights(name) for name in names] or [find_weights(folder) for folder in shipped_models()]
    if not paths:
        raise WeightsError("there are no shipped models here", hint="reinstall dcpose")
    for path in paths:
        say(f"{path.parent.name}: {verify(path)} ok")


def import_model(
    file: Path, out: Path, joints: str | None, input_size: str | None, decoding: str | None, *, overwrite: bool
) -> None:
    """Convert a checkpoint and say what it was."""
    for option, value, known in (("--joints", joints, JOINT_ORDERS), ("--decoding", decoding, tuple(DECODERS))):
        if value is not None and value not in known:
            raise UsageError(f"{option} must be one of {', '.join(known)}, got {value}")
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


def _kind(data: dict[str, Any]) -> str:
    return str(data.get("kind", "?"))


def _input(data: dict[str, Any]) -> str:
    size = data.get("input_size")
    shown = f"{size[0]}x{size[1]}" if isinstance(size, list) and len(size) == 2 else str(data.get("imgsz", ""))
    return printable(shown, 40)
