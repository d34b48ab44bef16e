"""The one door to ultralytics: nothing else in the package imports it.

Its import changes much of the process: print options, OpenCV's threads, environment variables, warning filters, a log
handler on stdout, torch.save, a settings file in the home directory. All of that is put back here. Its predictor and
trainer, which set torch's thread count, ask the network and keep statistics, are never used: only network classes
and the loss. Checkpoint files are read without it, see `read_checkpoint`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import os
import re
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from dcpose_cli._inductor import load_compiler
from dcpose_cli._opencv import cv2
from dcpose_cli._pickles import require_honest, require_unpacked
from dcpose_cli._scratch import scratch_folder
from dcpose_cli._text import one_line, printable
from dcpose_cli._work import SIDE, LimitedWork, ShortRanges, limited_parts
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
#: Of the name of a class, characters.
_LONGEST_NAME: Final = 255
#: Values in an argument or a table of a model dictionary.
_MAX_VALUES: Final = 10_000
#: How often a layer may be repeated, before and by a scale.
_MAX_REPEATS: Final = 64
_MAX_SCALE: Final = 8
#: Keys of a model dictionary that build the network; others are left out.
_ARCHITECTURE_KEYS: Final = frozenset(
    {
        *("nc", "ch", "channels", "backbone", "head", "scales", "scale", "depth_multiple", "width_multiple"),
        *("end2end", "reg_max", "kpt_shape"),
    }
)
#: What detectors of one architecture differ in; each is limited by itself.
_FREE_KEYS: Final = frozenset({"nc", "ch", "channels", "scale"})
#: Classes up to which the work of a stock architecture is known to be within the limits.
_STOCK_CLASSES: Final = 1000
#: Levels of modules in a detector.
_MAX_LEVELS: Final = 40

#: The architecture files of ultralytics by the names of their scales: yolov8n-p6.yaml is the scale n of yolov8-p6.yaml.
_STOCK_NAME: Final = re.compile(r"(?P<family>yolov?[0-9]+)(?P<scale>[nslmxtcebu]?)(?P<variant>(-[a-z0-9]+)*)\.yaml")

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
        with scratch_folder() as folder:
            os.environ["YOLO_CONFIG_DIR"] = str(folder)
            import ultralytics.nn.tasks  # noqa: F401
        logger = logging.getLogger("ultralytics")
        logger.handlers = [logging.NullHandler()]


def detection_model(architecture: str | Mapping[str, Any], classes: int = 1) -> nn.Module:
    """A detector with random weights from torch's generator, in training mode.

    architecture: name of one of ultralytics' model files ("yolov8n.yaml") or a model dictionary, which is checked:
    it may only name layers and plain numbers. Raises WeightsError for any other dictionary or name.
    """
    _load()
    if isinstance(architecture, str):
        architecture = _stock_architecture(architecture)
    else:
        check_architecture(architecture)
        architecture = copy.deepcopy({k: v for k, v in architecture.items() if k in _ARCHITECTURE_KEYS})
    with _restored():
        from ultralytics.cfg import get_cfg
        from ultralytics.nn.tasks import DetectionModel

        model: nn.Module = DetectionModel(architecture, nc=classes, verbose=False)
        model.args = get_cfg()
    return model


def _stock_architecture(name: str) -> dict[str, Any]:
    """The model dictionary of a name like "yolov8n.yaml", from ultralytics' own folder, whatever the working folder
    holds. Raises WeightsError."""
    import yaml

    found = _STOCK_NAME.fullmatch(name)
    files = _stock_files()
    path = (files.get(name) or files.get(f"{found['family']}{found['variant']}.yaml")) if found else None
    if found is None or path is None:
        raise WeightsError(
            f"ultralytics has no architecture {printable(name, 60)!r}", hint="name one like yolov8n.yaml"
        )
    structure: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return structure | ({"scale": found["scale"]} if found["scale"] in structure.get("scales", ()) else {})


def shapes_of(architecture: Mapping[str, Any], classes: int, most: int) -> dict[str, torch.Size]:
    """Names and shapes of the tensors of a detector that `detection_model` would build, without memory for them.

    most: parameters it may have. Raises WeightsError as soon as many more are made, or more modules, memory or work
    are asked for than a detector needs (_work.py); other errors as `detection_model` does.
    """
    check_architecture(architecture)
    structure = copy.deepcopy({k: v for k, v in architecture.items() if k in _ARCHITECTURE_KEYS} | {"nc": classes})
    _load()
    with _restored(), limited_parts(most), torch.device("meta"), ShortRanges():
        from ultralytics.nn.tasks import parse_model

        layers, _ = parse_model(structure, ch=3, verbose=False)
        if not (classes <= _STOCK_CLASSES and _is_stock(architecture)):
            _require_little_work(layers)
    return {f"model.{name}": tensor.shape for name, tensor in layers.state_dict().items()}


def _is_stock(architecture: Mapping[str, Any]) -> bool:
    """Whether it is one of ultralytics' own, at one of its scales: their work is within the limits, untried."""
    wanted = {k: v for k, v in architecture.items() if k in _ARCHITECTURE_KEYS - _FREE_KEYS}
    for stock in _stock_architectures():
        same = wanted == {k: v for k, v in stock.items() if k in _ARCHITECTURE_KEYS - _FREE_KEYS}
        if same and architecture.get("scale") in {None, *stock.get("scales", ())}:
            return True
    return False


@functools.cache
def _stock_architectures() -> tuple[dict[str, Any], ...]:
    """The model dictionaries of all detectors that ultralytics brings along."""
    import yaml

    reader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C: a tenth of the time
    paths = (path for name, path in _stock_files().items() if _STOCK_NAME.fullmatch(name))
    return tuple(yaml.load(path.read_bytes(), reader) for path in paths)


def _stock_files() -> dict[str, Path]:
    import ultralytics

    return {path.name: path for path in (Path(ultralytics.__file__).parent / "cfg" / "models").rglob("*.yaml")}


def _require_little_work(layers: Any) -> None:
    """Runs layers of the device "meta" on one picture, within the limits on work."""
    load_compiler()
    layers.eval()
    layers[-1].training = True  # then the head gives its feature maps as they are
    outputs: list[Any] = [torch.zeros(1, 3, SIDE, SIDE)]
    with torch.no_grad(), LimitedWork():
        for layer in layers:
            source = layer.f if isinstance(layer.f, list) else [layer.f]
            given = [outputs[at if at < 0 else at + 1] for at in source]
            outputs.append(layer(given if isinstance(layer.f, list) else given[0]))


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


class _Rows(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        last: Any = next(module for module in self.model.modules() if hasattr(module, "anchors"))
        last.export = last.dynamic = True  # rows alone, and places made anew for pictures of any size

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        out = self.model(pixels)
        rows: torch.Tensor = out[0] if isinstance(out, tuple | list) else out
        return rows


def rows_only(model: nn.Module) -> nn.Module:
    """A copy of a fused detector that gives its rows and nothing else, for any size: (B, 3, H, W) in 0..1 -> rows."""
    return _Rows(model).eval().requires_grad_(False)


def check_architecture(architecture: Mapping[str, Any]) -> None:
    """Raises WeightsError unless the model dictionary holds layers and plain values only.

    Ultralytics evaluates some of a dictionary's strings, and some layers download weights; a model file must not be
    able to ask for either.
    """
    parts = [architecture.get("backbone", ()), architecture.get("head", ())]
    layers = [layer for part in parts if isinstance(part, list | tuple) for layer in part]
    if "activation" in architecture or not 0 < len(layers) <= _MAX_LAYERS:
        raise WeightsError("the detector's architecture is not one of a YOLO network", hint="use another file")
    for layer in layers:
        good = isinstance(layer, list | tuple) and len(layer) == 4
        name = layer[2] if good else None
        if not (isinstance(name, str) and _LAYER.fullmatch(name) and name not in _FETCHING_LAYERS):
            shown = repr(printable(name, 60)) if isinstance(name, str) else "that is no text"
            raise WeightsError(f"the detector's architecture names the layer {shown}, which is not allowed")
        if not (_plain(layer[0]) and _plain(layer[1], _MAX_REPEATS) and _plain(layer[3])):
            raise WeightsError(
                f"the detector's layer {name} has arguments that are not allowed", hint="use another file"
            )
    rest = [v for k, v in architecture.items() if k in _ARCHITECTURE_KEYS - {"backbone", "head", "scale"}]
    if not all(map(_plain, rest)) or not _sane_scales(architecture):
        raise WeightsError("the detector's scales are not numbers that a detector has", hint="use another file")


def _sane_scales(architecture: Mapping[str, Any]) -> bool:
    """Whether depths and widths are multiplied by small numbers: scales holds (depth, width, most channels)."""
    scales = architecture.get("scales") or {}
    if not isinstance(scales, Mapping) or not isinstance(architecture.get("scale", "n"), str):
        return False
    rows = [row[:2] for row in scales.values() if isinstance(row, list | tuple)]
    multiples = [architecture.get(key, 1.0) for key in ("depth_multiple", "width_multiple")]
    return len(rows) == len(scales) and _plain([rows, multiples], _MAX_SCALE)


def _plain(value: object, most: float = _MAX_NUMBER) -> bool:
    """Whether a value is made of words and numbers only; one that is too large for a model file is not."""
    stack = [value]
    for _ in range(_MAX_VALUES):
        if not stack:
            return True
        part = stack.pop()
        if isinstance(part, Mapping):
            stack.extend(part.values())
        elif isinstance(part, list | tuple):
            stack.extend(part)
        elif isinstance(part, str):
            if part not in _WORDS:
                return False
        elif isinstance(part, int | float):
            if not abs(part) <= most:
                return False
        elif part is not None:
            return False
    return False


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
    require_unpacked(path)
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        foreign = sorted(name for name in named if not _KNOWN_GLOBAL.fullmatch(name))
        if foreign:
            raise WeightsError(
                f"refused: it would run {foreign[0]} when loaded",
                path=path,
                hint="use a detector file that holds layers only",
            )
        checkpoint = _collected(_read_inert(path, named), path)
        require_honest(checkpoint.state, path)
        return checkpoint
    except WeightsError:
        raise
    except Exception as error:  # torch's readers raise whatever a broken file makes them meet
        raise WeightsError(
            f"cannot be read as a detector: {one_line(error, 120)}", path=path, hint="fetch the file again"
        ) from error


def _collected(data: Any, path: Path) -> Checkpoint:
    root = (data.get("ema") or data.get("model")) if isinstance(data, dict) else data
    architecture = getattr(root, "yaml", None)
    if type(root).__name__ not in {"DetectionModel", "YOLOv10DetectionModel"} or not isinstance(architecture, dict):
        raise WeightsError("not a YOLO detector", path=path, hint="name one like yolo11n.pt")
    names = getattr(root, "names", {})
    ordered = [names[key] for key in sorted(names)] if isinstance(names, dict) else list(names)
    if len(ordered) > _MAX_NUMBER or not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in ordered):
        raise WeightsError("the names of its classes are no text", path=path, hint="use another file")
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


def _tensors(module: object, prefix: str = "", level: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    if level > _MAX_LEVELS:
        raise ValueError("its modules are nested too deeply")
    content = vars(module)
    for kind in ("_parameters", "_buffers"):
        for name, value in (content.get(kind) or {}).items():
            if isinstance(value, torch.Tensor):
                yield prefix + name, value.detach()
    for name, child in (content.get("_modules") or {}).items():
        if isinstance(child, _Inert):
            yield from _tensors(child, f"{prefix}{name}.", level + 1)
