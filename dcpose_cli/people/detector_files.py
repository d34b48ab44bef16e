"""Detector networks from files: our safetensors, ultralytics' `.pt`, and their stock detectors by name.

A safetensors file of ours carries the architecture in its metadata; of a `.pt` file, tensors and the description of the
architecture are read and no code is run (see `_ultralytics.read_checkpoint`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from dcpose_cli import _ultralytics
from dcpose_cli._paths import models_dir, shipped_model
from dcpose_cli._pickles import require_finite
from dcpose_cli._reading import state_of
from dcpose_cli._schema import Text, Within, build
from dcpose_cli._text import one_line, printable
from dcpose_cli.errors import OutputError, WeightsError
from dcpose_cli.files import output_error, write_atomic
from dcpose_cli.people.download import file_sha256, is_published, is_stock, stock_detector, stock_name

WEIGHTS_NAME: Final = "model.safetensors"
#: Key and format of the JSON text in the metadata of our weights files.
METADATA_KEY: Final = "dcpose"
FORMAT_VERSION: Final = 1
STOCK_IMGSZ: Final = 640
_COUNTER: Final = "num_batches_tracked"
#: Largest long side at which a detector may look, pixels.
MAX_DETECT_SIDE: Final = 8192


@dataclass(frozen=True, slots=True, eq=False)
class DetectorModel:
    """A detector network as loaded. person: number of the class. imgsz: long side it works best at, pixels."""

    net: nn.Module
    person: int
    imgsz: int
    name: str
    sha256: str


def load_detector(source: str | Path, *, offline: bool = False, fuse: bool = True) -> DetectorModel:
    """The network behind `source` (see PersonDetector), float32 on the CPU, with `fuse` batch norm folded in.

    Raises WeightsError when there is none, when it is damaged or unsafe, or when a download is needed but not allowed.
    """
    path = _find(source, offline)
    before = state_of(path)
    if path.suffix == ".pt":
        checkpoint, imgsz, name = _ultralytics.read_checkpoint(path), STOCK_IMGSZ, path.stem
    else:
        checkpoint, imgsz, name = _read_safetensors(path)
    require_finite(checkpoint.state, path)
    if "person" not in checkpoint.names:
        raise WeightsError(
            f"detects no people (its classes: {', '.join(checkpoint.names[:5])})", path=path, hint="use another"
        )
    net = _built(checkpoint, path)
    _fill(net, checkpoint.state, path)
    net = _ultralytics.fuse(net) if fuse else net
    digest = file_sha256(path)
    if state_of(path) != before:
        raise WeightsError("it changed while it was read", path=path, hint="run again when nobody writes to it")
    return DetectorModel(net, checkpoint.names.index("person"), imgsz, name, digest)


def detector_sha256(source: str | Path) -> str:
    """SHA-256 of the file behind `source`, hexadecimal. Raises WeightsError when there is none."""
    return file_sha256(_find(source, offline=False))


def _built(checkpoint: _ultralytics.Checkpoint, path: Path) -> nn.Module:
    """The network of a checkpoint with random weights. What a file of others asks for is compared with what it holds
    before anything is allocated."""
    architecture, classes = checkpoint.architecture, len(checkpoint.names)
    with torch.random.fork_rng(devices=[]):  # building draws random weights; the caller's generator stays put
        try:
            if not (models_dir() in path.parents or is_published(path)):
                elements = sum(value.numel() for value in checkpoint.state.values())
                _require_fit(_ultralytics.shapes_of(architecture, classes, elements), checkpoint.state, path)
            return _ultralytics.detection_model(architecture, classes)
        except WeightsError as error:
            raise error if error.path else WeightsError(error.reason, path=path, hint=error.hint) from error
        except OutputError:  # there is no folder for temporary files
            raise
        except Exception as error:  # ultralytics raises anything for a dictionary that makes no network
            raise WeightsError(
                f"its network cannot be built ({type(error).__name__}: {one_line(error)})",
                path=path,
                hint="use another",
            ) from error


def save_detector(net: nn.Module, folder: Path, *, name: str, imgsz: int, overwrite: bool = False) -> Path:
    """Write a one-class detector of `_ultralytics.detection_model` as a model folder; returns the file.

    Kernels are stored as float16; vectors (biases and batch norm, 1 % of the bytes) as float32. Raises OutputError.
    """
    structure: dict[str, Any] = net.yaml  # type: ignore[assignment]
    header = {
        "format": FORMAT_VERSION,
        "kind": "detector",
        "name": name,
        "names": ["person"],
        "nc": 1,
        "imgsz": imgsz,
        "architecture": {k: v for k, v in structure.items() if k in {"nc", "backbone", "head", "scales", "scale"}},
    }
    state = {k: v.detach().cpu() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    tensors = {k: (v.half() if v.ndim > 1 else v.float()).contiguous() for k, v in state.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error
    target = folder / WEIGHTS_NAME
    write_atomic(target, save(tensors, metadata={METADATA_KEY: json.dumps(header)}), overwrite=overwrite)
    return target


def _find(source: str | Path, offline: bool) -> Path:
    """The file of a detector. A shipped or stock one's name means it, whatever the working folder holds."""
    shipped = shipped_model(source, WEIGHTS_NAME, models_dir())
    if shipped is not None:
        return shipped
    source = stock_name(source) if isinstance(source, str) else source
    path = Path(source)
    if isinstance(source, str) and is_stock(source) and not is_published(path):
        return stock_detector(source, offline=offline)
    for candidate in (path, path / WEIGHTS_NAME):
        if _is_file(candidate):
            if candidate.suffix in {".pt", ".safetensors"}:
                return candidate
            raise WeightsError(
                "not a detector", path=candidate, hint="give a .pt or .safetensors file or a model's name"
            )
    raise WeightsError(
        "there is no such detector", path=source, hint="use person-n, yolo11n.pt, or the path of a .pt file"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name no file system takes, a folder we may not enter
        return False


def _read_safetensors(path: Path) -> tuple[_ultralytics.Checkpoint, int, str]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"damaged or not a safetensors file: {one_line(error)}", path=path, hint="fetch it again"
        ) from error
    try:
        data = json.loads(metadata[METADATA_KEY])
        if data["kind"] != "detector" or data["format"] != FORMAT_VERSION:
            raise WeightsError(
                f"not a detector of format {FORMAT_VERSION}", path=path, hint="use person-n or update dcpose"
            )
        header: _Header = build(_Header, data, unknown="keep")
        if not isinstance(header.architecture, dict):
            raise ValueError("architecture must be a table")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else one_line(error)
        raise WeightsError(
            f"has no header of a detector ({reason})", path=path, hint="use person-n or give another file"
        ) from error
    return _ultralytics.Checkpoint(header.architecture, header.names, state), header.imgsz, header.name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What is read of a detector's header; further keys say where it came from and are left alone."""

    name: Annotated[str, Text(255)]
    names: tuple[Annotated[str, Text(255)], ...]
    imgsz: Annotated[int, Within(32, MAX_DETECT_SIDE)]
    architecture: dict[str, Any]


def _fill(net: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Loads strictly; batch norm's counters mean nothing here and may be absent."""
    _require_fit({name: value.shape for name, value in net.state_dict().items()}, state, path)
    given = {k: v.float() for k, v in state.items() if not k.endswith(_COUNTER)}
    net.load_state_dict(given, strict=False)


def _require_fit(shapes: Mapping[str, torch.Size], state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise WeightsError, which lists the first tensors that are missing, extra or misshapen."""
    wanted = {name: shape for name, shape in shapes.items() if not name.endswith(_COUNTER)}
    given = {name: value.shape for name, value in state.items() if not name.endswith(_COUNTER)}
    problems = [f"missing {k}" for k in wanted if k not in given]
    problems += [f"unexpected {printable(k, 80)}" for k in given if k not in wanted]
    problems += [
        f"{k} is {tuple(given[k])}, expected {tuple(shape)}"
        for k, shape in wanted.items()
        if k in given and given[k] != shape
    ]
    if problems:
        raise WeightsError(f"does not fit its network: {'; '.join(problems[:5])} ({len(problems)} in all)", path=path)
