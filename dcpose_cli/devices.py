"""Names of devices as `--device` gives them: one, several with commas between them, or all. No torch here."""

from __future__ import annotations

from .errors import UsageError

#: Every CUDA device there is.
ALL = "all"


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
