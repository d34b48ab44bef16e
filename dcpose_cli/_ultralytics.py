"""The one door to ultralytics: nothing else in the package imports it.

Its import changes much of the process: print options, OpenCV's threads, environment variables, warning filters, a log
handler on stdout, torch.save, a settings file in the home directory. All of that is put back here. Its predictor and
trainer, which set torch's thread count, ask the network and keep statistics, are never used: only network classes,
the loss and ByteTrack. Checkpoint files are read without it, see `read_checkpoint`.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import pickle
import re
import shutil
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch import nn

from dcpose_cli.errors import WeightsError

#: Set before ultralytics is imported and kept: no network, no pip, no unsafe unpickling, no chatter.
QUIET_ENVIRONMENT: Final[Mapping[str, str]] = types.MappingProxyType(
    {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "ULTRALYTICS_SAFE_LOAD": "true",
        "YOLO_VERBOSE": "false",
    }
)
#: Layers that fetch weights of their own when built.
_FETCHING_LAYERS: Final = frozenset({"TorchVision"})
_LAYER: Final = re.compile(r"(nn\.)?[A-Z][A-Za-z0-9]{0,40}|v10Detect")
_WORDS: Final = frozenset({"nc", "None", "True", "False", "nearest", "bilinear"})
_MAX_LAYERS: Final = 200
_MAX_NUMBER: Final = 8192

#: What a detector's pickle may name beyond torch's own tensor types. All of it is replaced by inert stand-ins.
_KNOWN_GLOBAL: Final = re.compile(
    r"torch\.nn\.modules\.\w+\.\w+|ultralytics\.nn\.[\w.]+|ultralytics\.(yolo\.)?utils\.[\w.]+"
    r"|numpy\.dtype|numpy\.(_core|core)\.multiarray\.scalar|pathlib\.(_local\.)?(Posix|Windows|Pure\w*)?Path"
    r"|builtins\.getattr"
)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A detector as data. architecture: ultralytics' model dictionary. names: of the classes, by number.

    state: tensors by name, as stored.
    """

    architecture: dict[str, Any]
    names: tuple[str, ...]
    state: dict[str, torch.Tensor]


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """Puts back what importing or using ultralytics changes in the process."""
    environment = dict(os.environ)
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch_print = vars(torch._tensor_str.PRINT_OPTS).copy()
    saver = torch.save
    try:
        with warnings.catch_warnings(), np.printoptions():
            yield
    finally:
        for key in set(os.environ) - set(environment):
            del os.environ[key]
        os.environ.update(environment)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)
        for key, value in torch_print.items():
            setattr(torch._tensor_str.PRINT_OPTS, key, value)
        torch.save = saver


def _load() -> None:
    """Imports what we use of ultralytics, once, leaving the process as it was."""
    if "ultralytics" in sys.modules:
        return
    os.environ.update(QUIET_ENVIRONMENT)
    with _restored():
        warnings.simplefilter("ignore")
        # The settings file is wanted during the import only; a private folder that goes away leaves no trace.
        folder = tempfile.mkdtemp(prefix="dcpose-")
        os.environ["YOLO_CONFIG_DIR"] = folder
        try:
            import ultralytics.nn.tasks
            import ultralytics.trackers.byte_tracker  # noqa: F401
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        logger = logging.getLogger("ultralytics")
        logger.handlers = [logging.NullHandler()]


def detection_model(architecture: str | Mapping[str, Any], classes: int = 1) -> nn.Module:
    """A detector with random weights from torch's generator, in training mode.

    architecture: name of one of ultralytics' model files ("yolov8n.yaml") or a model dictionary, which is checked:
    it may only name layers and plain numbers. Raises WeightsError for any other dictionary.
    """
    if not isinstance(architecture, str):
        check_architecture(architecture)
        architecture = copy.deepcopy(dict(architecture))
    _load()
    with _restored():
        from ultralytics.cfg import get_cfg
        from ultralytics.nn.tasks import DetectionModel

        model: nn.Module = DetectionModel(architecture, nc=classes, verbose=False)
        model.args = get_cfg()
    return model


def detection_loss(model: nn.Module) -> Any:
    """Ultralytics' v8 loss for a model of `detection_model`: loss(outputs, batch) -> (parts (3,), their values)."""
    _load()
    from ultralytics.utils.loss import v8DetectionLoss

    return v8DetectionLoss(model)


def fuse(model: nn.Module) -> nn.Module:
    """The same detector with batch norm folded into the convolutions, in evaluation mode."""
    with _restored():
        fused: nn.Module = model.eval().fuse(verbose=False)  # type: ignore[operator]
    return fused


def byte_tracker(*, lost_handicap: float, **settings: float | bool) -> Any:
    """ByteTrack with the given settings; its ids are its own business, see track.py.

    lost_handicap: added to the matching cost (1 - intersection over union) of tracks that were not seen last.
    """
    _load()
    from ultralytics.trackers.basetrack import TrackState
    from ultralytics.trackers.byte_tracker import BYTETracker

    class Handicapped(BYTETracker):  # type: ignore[misc, unused-ignore]
        def get_dists(self, tracks: list[Any], detections: list[Any]) -> Any:
            costs = super().get_dists(tracks, detections)
            lost = np.array([track.state == TrackState.Lost for track in tracks], np.bool_)
            return costs + lost_handicap * lost[:, None] if costs.size else costs

    return Handicapped(types.SimpleNamespace(**settings))


def check_architecture(architecture: Mapping[str, Any]) -> None:
    """Raises WeightsError unless the model dictionary holds layers and plain values only.

    Ultralytics evaluates some of a dictionary's strings, and some layers download weights; a model file must not be
    able to ask for either.
    """
    layers = [*architecture.get("backbone", ()), *architecture.get("head", ())]
    if "activation" in architecture or not 0 < len(layers) <= _MAX_LAYERS:
        raise WeightsError("the detector's architecture is not one of a YOLO network", hint="use another file")
    for layer in layers:
        good = isinstance(layer, list | tuple) and len(layer) == 4
        name = layer[2] if good else None
        if not (isinstance(name, str) and _LAYER.fullmatch(name) and name not in _FETCHING_LAYERS):
            raise WeightsError(f"the detector's architecture names the layer {name!r}, which is not allowed")
        if not all(_plain(part) for part in (layer[0], layer[1], layer[3])):
            raise WeightsError(
                f"the detector's layer {name} has arguments that are not allowed", hint="use another file"
            )
    rest = {k: v for k, v in architecture.items() if k in {"nc", "scales", "depth_multiple", "width_multiple"}}
    if not all(_plain(v) for v in rest.values()):
        raise WeightsError("the detector's scales are not numbers", hint="use another file")


def _plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_plain(v) for v in value.values())
    if isinstance(value, list | tuple):
        return all(_plain(v) for v in value)
    if isinstance(value, str):
        return value in _WORDS
    if isinstance(value, int | float):
        return abs(value) <= _MAX_NUMBER
    return value is None


class _Inert:
    """Stand-in for every class a pickle names: takes any arguments, does nothing, keeps its state."""

    def __new__(cls, *_args: object, **_kwargs: object) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            vars(self).update(state)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads an ultralytics `.pt` detector without running anything of it.

    torch's weights-only reader is given inert stand-ins for the network classes, whose tensors are then collected.
    Raises WeightsError when the file is damaged, no detector, or names anything but network layers.
    """
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        foreign = sorted(name for name in named if not _KNOWN_GLOBAL.fullmatch(name))
        if foreign:
            raise WeightsError(
                f"refused: it would run {foreign[0]} when loaded",
                path=path,
                hint="use a detector file that holds layers only",
            )
        data = _read_inert(path, named)
    except WeightsError:
        raise
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise WeightsError(f"cannot be read as a detector: {reason}", path=path, hint="fetch the file again") from error
    root = (data.get("ema") or data.get("model")) if isinstance(data, dict) else data
    architecture = getattr(root, "yaml", None)
    if type(root).__name__ not in {"DetectionModel", "YOLOv10DetectionModel"} or not isinstance(architecture, dict):
        raise WeightsError("not a YOLO detector", path=path, hint="name one like yolo11n.pt")
    names = getattr(root, "names", {})
    ordered = [names[key] for key in sorted(names)] if isinstance(names, dict) else list(names)
    return Checkpoint(architecture, tuple(map(str, ordered)), dict(_tensors(root)))


def _read_inert(path: Path, named: list[str]) -> Any:
    stand_ins: list[Any] = [(type(name.rsplit(".", 1)[-1], (_Inert,), {}), name) for name in named]
    others = torch.serialization.get_safe_globals()  # classes the process trusts elsewhere are not trusted here
    torch.serialization.clear_safe_globals()
    try:
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(others)


def _tensors(module: object, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    content = vars(module)
    for kind in ("_parameters", "_buffers"):
        for name, value in (content.get(kind) or {}).items():
            if isinstance(value, torch.Tensor):
                yield prefix + name, value.detach()
    for name, child in (content.get("_modules") or {}).items():
        if isinstance(child, _Inert):
            yield from _tensors(child, f"{prefix}{name}.")
