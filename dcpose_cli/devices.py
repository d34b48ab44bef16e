"""Names of devices and precisions as `--device` and `--precision` give them. No torch here."""

from __future__ import annotations

import re
from typing import Final

from .errors import UsageError

#: Every CUDA device there is.
ALL: Final = "all"
#: Name of a precision -> torch's name of the number type.
PRECISIONS: Final = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def device_names(text: str) -> list[str]:
    """The names in "cuda:0,cuda:1", in order, twins kept; what they mean is not looked at. Raises UsageError."""
    names = [name.strip() for name in text.split(",")]
    if len(names) > 1 and not all(names):
        raise UsageError(f"a name is missing in the devices {text!r}", hint="write them as cuda:0,cuda:1")
    if ALL in names and len(names) > 1:
        raise UsageError(f"{ALL} stands alone, but the devices are {text!r}")
    return names


def require_one_device(text: str) -> None:
    """Raises UsageError for several devices: they share the videos of a batch, never one video."""
    if text == ALL or len(device_names(text)) > 1:
        raise UsageError(
            f"{text!r} is several devices, for `dcpose batch`, which gives each its own videos", hint="name one"
        )


def require_device_name(name: str) -> None:
    """Raises UsageError for a name that is none of a device; whether it is there is not looked at."""
    if not re.fullmatch(r"auto|all|(cpu|cuda|mps)(:(0|[1-9][0-9]?))?", name):
        raise UsageError(f"unknown device {name!r:.40}", hint="use auto, cpu, cuda, cuda:N or mps")


def require_precision(name: str) -> None:
    """Raises UsageError for a name that is none."""
    if name != "auto" and name not in PRECISIONS:
        raise UsageError(f"unknown precision {name!r:.40}", hint=f"use auto, {', '.join(PRECISIONS)}")
