"""The header of a result: what made it, down to versions and hashes, without clock time, host or path."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from .. import __version__
from .._paths import SINGLE
from ..config import DEFAULTS, EstimateConfig
from ..engines import ENGINES, TORCH
from ..settings import ResolvedSettings
from ..types import VideoInfo
from .measures import shot_header

#: Settings that results of older versions do not name, and what held there.
EARLIER_SETTINGS: Final[Mapping[str, Any]] = {
    "flip_test": False,
    "fix_swaps": False,
    "ensemble": [],
    "selection": {},
    "deinterlace": DEFAULTS.deinterlace,
    "engine": TORCH,
}
_LIBRARIES: Final = ("av", "numpy", "opencv-python", "torch", "torchvision", "ultralytics")


def result_header(
    source: Path,
    info: VideoInfo,
    models: Mapping[str, Any],
    settings: ResolvedSettings,
    config: EstimateConfig,
    *,
    hwaccel: str | None = None,
) -> dict[str, Any]:
    """What made the result (dcpose_cli.results.posetrack documents it); no clock, host or path.

    models: {"model", "detector"}, each {"name", "sha256"}. settings: those of this video. config: its range counts.
    hwaccel: the hardware that decodes; None for software. Raises UsageError for a `shot_fps` that cannot be.
    """
    from ..sequences import input_hash
    from ..video.source import is_address, is_live  # late, so that looking at headers does not load a decoder

    # An address may hold a password: only what kind of source it was is written down.
    name = (
        f"{str(source).partition(':')[0]} stream"
        if is_address(source) or is_live(source)
        else source.name or source.resolve().name
    )
    header = {
        "dcpose": __version__,
        "input": {"name": name, "sha256": None if is_address(source) or is_live(source) else input_hash(source)},
        **models,
        "libraries": {name: _version(name) for name in (*_LIBRARIES, *ENGINES[settings.engine].packages)},
        "fps": None if info.fps is None else f"{info.fps.numerator}/{info.fps.denominator}",
        "time_base": f"{info.time_base.numerator}/{info.time_base.denominator}",
        "start_pts": info.start_pts,
        "width": info.width,
        "height": info.height,
        "pixel_aspect": f"{info.sample_aspect_ratio.numerator}/{info.sample_aspect_ratio.denominator}",
        "settings": _settings(settings, config) | ({} if hwaccel is None else {"hwaccel": hwaccel}),
        "video": None,
    } | ({} if config.selection.everybody else {"selection": config.selection.header()})
    return header if config.shot_fps is None else shot_header(header, config.shot_fps)


def _settings(settings: ResolvedSettings, config: EstimateConfig) -> dict[str, Any]:
    return {
        **settings.header(),
        "fix_swaps": config.repairs_sides,
        "start": config.start,
        "end": config.end,
        "max_frames": config.max_frames,
        **({} if config.fps is None else {"fps": config.fps}),
        **({} if config.deinterlace == DEFAULTS.deinterlace else {"deinterlace": config.deinterlace}),
        **({} if config.shot_fps is None else {"shot_fps": config.shot_fps}),
    }


def made_by(models: Mapping[str, Any], settings: ResolvedSettings, config: EstimateConfig) -> dict[str, Any]:
    """What decides the joints of a result: the settings, and the hashes of `model` and `detector`."""
    selection = config.selection.header()
    return model_and_detector({"settings": _settings(settings, config), "selection": selection, **models})


def _version(package: str) -> str | None:
    """None for a package that pip does not know, such as a distribution's OpenCV."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def model_and_detector(header: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the joints, from the header of a result: hashes of the models, settings."""
    others = [other["sha256"] for other in header["model"].get("ensemble", ())]
    made = {
        "ensemble": others,
        "selection": header.get("selection", {}),
        **header.get("settings", {}),
        **{key: header[key].get("sha256") for key in ("model", "detector")},
    }
    # The single-frame network of a model lies in the same file as the model.
    return {**made, "single": str(header["model"].get("name", "")).endswith(SINGLE)}
