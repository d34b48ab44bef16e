"""`dcpose doctor`: what is installed and whether it works."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import __version__
from .._recovery import complete_sets, remove_stale
from .._scratch import remove_scratch
from ..errors import EXIT_BUG, EXIT_OK, DCPoseError, UsageError
from ..segments import remove_all_finished
from .terminal import say

_PACKAGES = (
    "torch",
    "torchvision",
    "ultralytics",
    "av",
    "opencv-python",
    "numpy",
    "safetensors",
    "lap",
    "platformdirs",
    "polars",
    "rich",
    "typer",
)


def report() -> int:
    """Print one line per check; EXIT_BUG when one of them fails."""
    good = True
    say(f"dcpose {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for name in _PACKAGES:
        try:
            _line(True, name, version(name))
        except PackageNotFoundError:
            _line(False, name, "not installed")
            good = False
    for name, check in (
        ("devices", _devices),
        ("video", _codecs),
        ("hwaccel", _hwaccels),
        ("models", _models),
        ("network", _network),
        ("recommended", _choice),
    ):
        try:
            _line(True, name, check())
        except DCPoseError as error:
            _line(False, name, str(error))
            good = False
        except Exception as error:  # a broken installation fails in ways nobody lists
            _line(False, name, f"{type(error).__name__}: {error}")
            good = False
    return EXIT_OK if good else EXIT_BUG


def clean_folders(folders: list[Path]) -> int:
    """Complete what dead processes of this host left half renamed, remove the rest, and say so.

    The system's temporary folder is cleaned too, of folders of dcpose only.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UsageError("there is no such folder", path=folder)
        completed = complete_sets(folder)
        removed = [*remove_stale(folder), *remove_all_finished(folder)]
        _tell(completed, removed)
        if not (removed or completed):
            say(f"{folder}: nothing to remove")
    with contextlib.suppress(OSError):  # there is no temporary folder
        _tell([], remove_scratch())
    return EXIT_OK


def _tell(completed: list[Path], removed: list[Path]) -> None:
    for path in completed:
        say(f"completed {path}")
    for path in sorted(removed):
        say(f"removed {path}")


def _line(good: bool, name: str, text: str) -> None:
    say(f"{'ok ' if good else 'BAD'} {name:<16}{text}")


def _devices() -> str:
    import torch

    threads = torch.get_num_threads()
    found = [f"cpu ({os.cpu_count()} cores, {threads} {'thread' if threads == 1 else 'threads'})"]
    found += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return ", ".join(found)


def _codecs() -> str:
    from ..video.versions import codec_summary

    return codec_summary()


def _hwaccels() -> str:
    from ..video.hwaccel import hwaccel_summary

    return hwaccel_summary()


def _models() -> str:
    from ..checkpoints.files import fetched_models, find_weights, shipped_models, verify
    from ..checkpoints.headers import read_metadata
    from ..published.store import fetched_detectors

    folders = shipped_models()
    for folder in folders:
        verify(find_weights(folder))
    for folder in fetched_models():
        read_metadata(find_weights(folder))
    fetched = [path.name for path in (*fetched_models(), *fetched_detectors())]
    shipped = ", ".join(folder.name for folder in folders) or "none shipped"
    return f"{shipped}; fetched: {', '.join(fetched)}" if fetched else shipped


def _choice() -> str:
    """Which step of the ladder in docs/models.md suits this machine."""
    import torch

    if torch.cuda.is_available():
        return "posewarper-w48-posetrack18 with yolov8m.pt (dcpose models get), or dcpose-s, shipped and faster"
    return "dcpose-s, shipped; the larger published models (dcpose models available) need a GPU to be quick"


def _network() -> str:
    import numpy as np

    from ..estimator import PoseEstimator

    estimator = PoseEstimator(device="cpu", offline=True)
    frame = np.zeros((64, 48, 3), np.uint8)
    poses = estimator.poses(frame, frame, frame, [[4, 4, 40, 56]])
    estimator.detector.detect([frame])
    if not np.isfinite(poses).all():
        raise ArithmeticError("the network's output is not finite")
    return f"{estimator.network.model.header.name} and {estimator.detector.name} run"
