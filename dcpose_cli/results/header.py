"""The header of a result: what made it, down to versions and hashes, and never a clock, host or path."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from .._paths import SINGLE
from ..config import EstimateConfig
from ..files import sha256_of
from ..types import VideoInfo

if TYPE_CHECKING:
    from ..estimator import PoseEstimator

#: Settings that results of older versions do not name, and what held there.
EARLIER_SETTINGS: Final[Mapping[str, Any]] = {"flip_test": False}
_LIBRARIES: Final = ("av", "numpy", "opencv-python", "torch", "torchvision", "ultralytics")


def result_header(
    source: Path, info: VideoInfo, people: PoseEstimator, settings: EstimateConfig, *, hwaccel: str | None = None
) -> dict[str, Any]:
    """What made the result (dcpose_cli.results.posetrack documents it); no clock, host or path.

    hwaccel: the hardware that decodes; nothing is said of software.
    """
    from ..video.source import is_address, is_live  # late, so that looking at headers does not load a decoder

    # An address may hold a password: only what kind of source it was is written down.
    name = f"{str(source).partition(':')[0]} stream" if is_address(source) or is_live(source) else source.name
    return {
        "dcpose": __version__,
        "input": {"name": name, "sha256": sha256_of(source) if source.is_file() else None},
        **_models(people),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "fps": None if info.fps is None else f"{info.fps.numerator}/{info.fps.denominator}",
        "time_base": f"{info.time_base.numerator}/{info.time_base.denominator}",
        "width": info.width,
        "height": info.height,
        "settings": _settings(people, settings) | ({} if hwaccel is None else {"hwaccel": hwaccel}),
        "video": None,
    }


def _settings(people: PoseEstimator, settings: EstimateConfig) -> dict[str, Any]:
    return {
        "conf": people.conf,
        "interval": people.interval,
        "box_scale": people.network.box_scale,
        "flip_test": people.network.flip_test,
        "share_crops": people.share_crops,
        "detect_every": people.detect_every,
        "device": people.device.type,
        "precision": str(people.network.precision).removeprefix("torch."),
        "start": settings.start,
        "end": settings.end,
        "max_frames": settings.max_frames,
    }


def _models(people: PoseEstimator) -> dict[str, dict[str, str]]:
    model, detector = people.network.model, people.detector
    return {
        "model": {"name": model.header.name, "sha256": model.sha256},
        "detector": {"name": detector.name, "sha256": detector.sha256},
    }


def made_by(people: PoseEstimator, settings: EstimateConfig) -> dict[str, Any]:
    """What decides the joints of a result: the settings, and the hashes of `model` and `detector`."""
    return model_and_detector({"settings": _settings(people, settings), **_models(people)})


def _version(package: str) -> str | None:
    """None for one that came another way than pip: a distribution's OpenCV, say."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def model_and_detector(header: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the joints, from the header of a result: hashes of the models, settings."""
    made = {**header.get("settings", {}), **{key: header[key].get("sha256") for key in ("model", "detector")}}
    # The single-frame network of a model lies in the same file as the model.
    return {**made, "single": str(header["model"].get("name", "")).endswith(SINGLE)}
