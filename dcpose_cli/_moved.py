"""Former names: modules of version 0.6 and their contents are found where they are now, with a DeprecationWarning."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Final

_PACKAGE: Final = __package__ or "dcpose_cli"
#: The version that drops them.
_REMOVED_IN: Final = "1.0"
#: Former name -> present one, below the package; modules below a former package keep their own names.
MOVED: Final[dict[str, str]] = {
    "boxes": "people.boxes",
    "cadence": "people.interpolation",
    "confirm": "people.confirmation",
    "crop": "pose.crop",
    "dataset": "frame_folders",
    "decode": "pose.heatmaps",
    "detect": "people.detector",
    "export._numbers": "results.serialization",
    "export._posetrack_format": "results.format",
    "export._posetrack_reader": "results.reader",
    "export._posetrack_writer": "results.writer",
    "export._raw": "results.validation",
    "export.posetrack": "results.posetrack",
    "export.reading": "results.foreign",
    "header": "results.header",
    "infer": "pose.network",
    "methods": "pose.methods",
    "onnx_export": "checkpoints.onnx",
    "segments.keeping": "segments.store",
    "segments.parts": "batch.parts",
    "share": "pose.crop_plan",
    "track": "people.tracker",
    "training.augment": "training.data.augment",
    "training.batches": "training.data.batches",
    "training.curves": "training.engine.curves",
    "training.detector_canvas": "training.detector.canvas",
    "training.detector_data": "training.detector.data",
    "training.detector_graphics": "training.detector.graphics",
    "training.detector_recipe": "training.detector.recipe",
    "training.detector_score": "training.detector.score",
    "training.detector_teacher": "training.detector.teacher",
    "training.device_batches": "training.data.device_batches",
    "training.device_damage": "training.data.device_damage",
    "training.device_pictures": "training.data.device_pictures",
    "training.dsta_recipe": "training.dsta.recipe",
    "training.loop": "training.engine.loop",
    "training.losses": "training.dcpose.losses",
    "training.muon": "training.engine.muon",
    "training.pack": "training.data.pack",
    "training.pictures": "training.data.pictures",
    "training.ranks": "training.engine.distributed",
    "training.readers": "training.data.readers",
    "training.recipe": "training.dcpose.recipe",
    "training.rle": "training.dsta.rle",
    "training.run": "training.engine.run",
    "training.stages": "training.dcpose.stages",
    "training.train": "training.dcpose.train",
    "training.validation": "training.dcpose.validation",
    "weights": "checkpoints.files",
}
#: Former modules whose names are those of packages now -> their public names that are left, and the modules with them.
CONTENTS: Final[dict[str, dict[str, str]]] = {
    "checkpoints": dict.fromkeys(
        ("import_checkpoint", "load_pickle", "read_checkpoint", "recognise", "strip_openmmlab"), "checkpoints.importing"
    ),
    "training.detector": dict.fromkeys(
        ("MaskedBCE", "anchor_points", "anchor_weights", "collate", "labelled_anchors"), "training.detector.targets"
    ),
    "training.dsta": dict.fromkeys(
        ("in_time", "score", "start_from", "targets_of", "train_dsta"), "training.dsta.train"
    ),
}
#: Former modules without a present one -> why.
DROPPED: Final[dict[str, str]] = {
    "training.ablation": "the ablations are benchmarks/ablation of the repository, no part of the package",
}


def present_name(name: str) -> str | None:
    """The full present name of a former module of the package; None for any other module."""
    below = name.removeprefix(f"{_PACKAGE}.")
    if below == name:
        return None
    for old, new in MOVED.items():
        if below == old or below.startswith(f"{old}."):
            return f"{_PACKAGE}.{new}{below.removeprefix(old)}"
    return None


def former_contents(package: str) -> Callable[[str], Any]:
    """`__getattr__` of a package that has the name of a former module. package: its full name."""
    names = CONTENTS[package.removeprefix(f"{_PACKAGE}.")]

    def getattribute(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        place = f"{_PACKAGE}.{names[name]}"
        text = f"{package}.{name} is in {place} now; the former name will be removed in version {_REMOVED_IN}"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return getattr(import_module(place), name)

    return getattribute


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules by their former names; both names are one module object."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for a former name. Raises ModuleNotFoundError, which says why, for a module that was dropped."""
        reason = DROPPED.get(fullname.removeprefix(f"{_PACKAGE}."))
        if reason is not None and fullname.startswith(f"{_PACKAGE}."):
            raise ModuleNotFoundError(f"{fullname} was dropped after version 0.6: {reason}", name=fullname)
        return importlib.machinery.ModuleSpec(fullname, self) if present_name(fullname) else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the present module in the place of `module`."""
        name = module.__name__
        present = str(present_name(name))
        warnings.warn(
            f"{name} is called {present} now; the former name will be removed in version {_REMOVED_IN}",
            DeprecationWarning,
            stacklevel=2,
        )
        sys.modules[name] = import_module(present)


def install() -> None:
    """Let former module names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
