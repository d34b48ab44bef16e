"""Former module names: they import the module that is in their place, with a DeprecationWarning."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Final

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
    "export.posetrack": "results.posetrack",
    "header": "results.header",
    "infer": "pose.network",
    "methods": "pose.methods",
    "onnx_export": "checkpoints.onnx",
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


def present_name(name: str) -> str | None:
    """The full present name of a former module of the package; None for any other module."""
    below = name.removeprefix(f"{_PACKAGE}.")
    if below == name:
        return None
    for old, new in MOVED.items():
        if below == old or below.startswith(f"{old}."):
            return f"{_PACKAGE}.{new}{below.removeprefix(old)}"
    return None


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules by their former names; both names are one module object."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for a former name."""
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
