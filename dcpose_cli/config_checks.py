"""The settings of a run, checked before anything is loaded or written: one rule per field of EstimateConfig.

Every command that takes them and every function of the library that does checks here. Only what needs torch comes
later: whether the device is there, and whether the model and detector can be loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ._text import printable
from .config import DEFAULTS, EstimateConfig, names_in
from .devices import device_names, require_device_name, require_one_device, require_precision
from .engines import require_engine
from .errors import UsageError
from .people.search import require_detect_size
from .people.tracker import require_tracker
from .results.measures import shot_rate
from .selection import require_selection
from .smooth import require_method
from .video.deinterlace import require_mode
from .video.hwaccel import require_hwaccel
from .video.reader import require_range

_Check = Callable[[str, Any], object]
#: Models of an ensemble besides the first one.
_MOST_FURTHER_MODELS: Final = 8


def _within(low: float, high: float, unit: str = "") -> _Check:
    def check(option: str, value: Any) -> None:
        if not low <= value <= high:  # written so that NaN fails, too
            raise UsageError(f"{option} must lie between {low:g} and {high:g}{unit}, got {value}")

    return check


def _at_least_one(option: str, value: Any) -> None:
    if value is not None and value < 1:
        raise UsageError(f"{option} must be at least 1, got {value}")


def _at_most_one(option: str, value: Any) -> None:
    if not value <= 1:
        raise UsageError(f"{option} must be at most 1, got {value}")


def _devices(option: str, value: Any) -> None:
    del option
    for name in device_names(value):
        require_device_name(name)


def _models(option: str, value: Any) -> None:
    names = names_in(value) if isinstance(value, str) else tuple(map(str, value))
    if len(names) > _MOST_FURTHER_MODELS:
        raise UsageError(f"{option} names {len(names)} models, {_MOST_FURTHER_MODELS} are the most")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{option} names {printable(twice[0], 60)} twice", hint="a model counts once")


def _plain(check: Callable[[Any], object]) -> _Check:
    """A check that names the option by itself; None is no setting."""
    return lambda option, value: None if value is None else check(value)


#: Field -> its check, called with the name of the option and the value. Files, folders and switches have none.
CHECKS: Final[dict[str, _Check]] = {
    "ensemble": _models,
    "device": _devices,
    "engine": _plain(require_engine),
    "precision": _plain(require_precision),
    "batch": _at_least_one,
    "conf": _within(0, 1),
    "keep_conf": _within(0, 1),
    "tracker": _plain(require_tracker),
    "track_iou": _within(0, 1),
    "track_memory": _within(0, 3600, " seconds"),
    "kpt_thr": _at_most_one,
    "interval": _at_least_one,
    "box_scale": lambda _, value: _within(0.1, 10)("the box scale", value),
    "detect_every": _at_least_one,
    "detect_size": _plain(require_detect_size),
    "smooth": _plain(require_method),
    "selection": _plain(require_selection),
    "fps": _plain(shot_rate),
    "shot_fps": _plain(shot_rate),
    "hwaccel": _plain(require_hwaccel),
    "deinterlace": _plain(require_mode),
}


def require_config(config: EstimateConfig, *, one_device: bool = True) -> None:
    """Raises UsageError for settings that cannot be meant, DeviceError for a hardware decoder that is not here.

    one_device: the run is of one video, which several devices cannot share.
    """
    if one_device:
        require_one_device(config.device)
    require_settings(**{name: getattr(config, name) for name in CHECKS})
    require_range(config.start, config.end, config.max_frames)


def require_settings(**settings: Any) -> None:
    """The same for some settings, by the names of EstimateConfig; others are those of the defaults."""
    for name, value in settings.items():
        if name in CHECKS:
            CHECKS[name](f"--{name.replace('_', '-')}", value)
    conf, keep = (settings.get(name, getattr(DEFAULTS, name)) for name in ("conf", "keep_conf"))
    if keep > conf and keep != DEFAULTS.keep_conf:
        raise UsageError(
            f"--keep-conf {keep:g} is above --conf {conf:g}, but it is for people who are tracked already",
            hint="raise --conf, or lower --keep-conf",
        )
    chosen = {name: settings.get(name, getattr(DEFAULTS, name)) for name in ("device", "precision")}
    require_engine(settings.get("engine", DEFAULTS.engine), **chosen)
    if settings.get("precision") == "fp16" and settings.get("device") == "cpu":
        raise UsageError("fp16 is slow and inexact on a CPU", hint="use --precision fp32 or bf16")
