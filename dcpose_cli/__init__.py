"""dcpose: people's joints from video (DCPose, CVPR 2021), as a library and as the `dcpose` command.

    import dcpose_cli
    dcpose_cli.estimate("input.mp4", out="result.mp4")

The public names below are imported on first use, so that `import dcpose_cli` does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import _moved
from .config import EstimateConfig
from .errors import DCPoseError, DeviceError, InputError, OutputError, UsageError, WeightsError
from .types import (
    DecodeReport,
    Detections,
    EstimateSummary,
    Frame,
    FrameResult,
    Person,
    TrackedBoxes,
    VideoInfo,
    Window,
)

if TYPE_CHECKING:
    from .checkpoints.files import load_model
    from .estimator import PoseEstimator
    from .export.formats import convert
    from .pipeline import estimate, export_json
    from .results.posetrack import read_posetrack
    from .video.live import StopRequest

__version__ = "0.7.0.dev0"

#: Public name -> the module that has it, imported on first use. Former names of modules are in _moved.py.
_LATE = {
    "PoseEstimator": "estimator",
    "convert": "export.formats",
    "StopRequest": "video.live",
    "estimate": "pipeline",
    "export_json": "pipeline",
    "load_model": "checkpoints.files",
    "read_posetrack": "results.posetrack",
}

__all__ = [
    "DCPoseError",
    "DecodeReport",
    "Detections",
    "DeviceError",
    "EstimateConfig",
    "EstimateSummary",
    "Frame",
    "FrameResult",
    "InputError",
    "OutputError",
    "Person",
    "PoseEstimator",
    "StopRequest",
    "TrackedBoxes",
    "UsageError",
    "VideoInfo",
    "WeightsError",
    "Window",
    "__version__",
    "convert",
    "estimate",
    "export_json",
    "load_model",
    "read_posetrack",
]


_moved.install()


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f".{_LATE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
