"""The kinds of person detectors that `--detector` names. A new one is a file here and a line in the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from ..engines.parts import Setup
from .detector import PersonDetector
from .protocols import Detector

#: The kind of a source that names none.
DEFAULT: Final = "yolo"
#: Kind -> what loads a detector of that kind, from a source and the options of `new_detector`.
DETECTORS: Final[dict[str, Callable[..., Detector]]] = {DEFAULT: PersonDetector}


def new_detector(
    source: str | Path,
    *,
    device: torch.device,
    conf: float,
    half: bool = False,
    offline: bool = False,
    engine: Setup | None = None,
) -> Detector:
    """The detector behind a source: "KIND:REST" for a kind of the registry, else a YOLO network (PersonDetector).

    conf: least score of a detection. half: reduced precision. offline: download nothing. engine: what computes a YOLO
    network in the place of torch; other kinds see to themselves. Raises WeightsError, DeviceError.
    """
    kind, _, rest = str(source).partition(":")
    if rest and kind in DETECTORS:
        return DETECTORS[kind](rest, device=device, conf=conf, half=half, offline=offline)
    options = {} if engine is None else {"engine": engine}
    return DETECTORS[DEFAULT](source, device=device, conf=conf, half=half, offline=offline, **options)
