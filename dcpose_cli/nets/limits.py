"""Which numbers may describe a network: found out before it has any memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Final, TypeVar

import torch
from torch import nn

#: Fields that say how often something is repeated.
_COUNTS: Final = frozenset(
    {"modules", "blocks", "layer1_blocks", "prf_blocks", "ptm_blocks", "combine_blocks", "frames"}
)
_MOST_REPEATS: Final = 64
#: Blocks of all exchange modules of an HRNet together; W48 has 116 in its widest reading.
_MOST_BLOCKS: Final = 1024
_MOST_CHANNELS: Final = 8192
_MOST_ENTRIES: Final = 64
#: Longest side of a crop, pixels.
MAX_CROP_SIDE: Final = 4096
#: Values of one activation for the frames of one person; the published networks need at most 18 million.
_MOST_VALUES: Final = 1 << 27
#: The published networks have at most 69 million. A recipe sets them all at random, which no interrupt shortens.
_MOST_PARAMETERS: Final = 1 << 28
#: Parameters times places of the heatmaps and frames, which is above the multiply-adds of a person. Of the published
#: networks 2.3 million million at most.
_MOST_WORK: Final = 1 << 46
#: Sides of a crop, over those of a network's first activation and of its heatmaps.
_FIRST_STRIDE: Final = 2
_STRIDE: Final = 4

Net = TypeVar("Net", bound=nn.Module)


def empty_network(network: Callable[[Any], Net], config: Any, *, crop: tuple[int, int] | None = None) -> Net:
    """The network of a configuration, without memory for its weights. crop: its width and height in pixels, where the
    configuration does not say them; without one, nothing is going to be run yet, and parameters are not counted.

    Raises ValueError for one that cannot be built and run; other errors as `network` does.
    """
    require_buildable(config, crop=crop)
    with torch.device("meta"):
        net = network(config)
    if crop is not None or hasattr(config, "input_size"):
        require_parameters(net, config, crop)
    return net


def require_parameters(net: nn.Module, config: Any, crop: tuple[int, int] | None) -> None:
    """Raise ValueError when a network has too many parameters, or too many for its crops."""
    parameters = sum(value.numel() for value in net.parameters())
    if parameters > _MOST_PARAMETERS:
        raise ValueError(f"the network has {parameters:,} parameters, {_MOST_PARAMETERS:,} are the most")
    pixels, crops = _pixels(config, crop)
    if parameters * pixels > _MOST_WORK * _STRIDE**2:
        raise ValueError(f"the network has {parameters:,} parameters, too many for {crops}")


def _pixels(config: Any, crop: tuple[int, int] | None) -> tuple[int, str]:
    """Pixels of all frames that a network looks at for one person, and what a message calls them. None where nothing
    says the size of a crop."""
    width, height = getattr(config, "input_size", crop) or (0, 0)
    frames = getattr(config, "frames", len(getattr(config, "neighbours", ())) + 1)
    return width * height * frames, f"{frames} crops of {width}x{height}"


def require_buildable(config: Any, where: str = "", *, crop: tuple[int, int] | None = None) -> None:
    """Raise ValueError, which names the field, unless a network of this configuration can be built and run.

    config: a dataclass of nets; so is what is nested in it. where: what stands before the names of its fields. crop:
    width and height in pixels, where the configuration does not say them.
    """
    _require_numbers(config, where)
    name, channels = max(_channels(config, where), key=lambda found: found[1])
    pixels, crops = _pixels(config, crop)
    if channels * pixels > _MOST_VALUES * _FIRST_STRIDE**2:
        raise ValueError(f"{name} is {channels}, too much for {crops}")


def _channels(config: Any, where: str) -> list[tuple[str, int]]:
    """Names and values of the fields that say how wide an activation is; the joints are among them."""
    found = [(f"{where}network", 64)]  # of a network that says none
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            found += _channels(value, f"{where}{field.name}.")
        elif type(value) is int and field.name not in _COUNTS | {"depth"}:
            found.append((f"{where}{field.name}", value))
    return found


def _require_numbers(config: Any, where: str) -> None:
    for field in fields(config):
        value, name = getattr(config, field.name), f"{where}{field.name}"
        if is_dataclass(value):
            _require_numbers(value, f"{name}.")
            continue
        entries = value if isinstance(value, tuple) else (value,)
        if len(entries) > _MOST_ENTRIES:
            raise ValueError(f"{name} has {len(entries)} entries, {_MOST_ENTRIES} are the most")
        for number in entries:
            if isinstance(number, int) and not isinstance(number, bool):
                _require_within(name, number, *_range_of(field.name))
    modules, blocks = getattr(config, "modules", ()), getattr(config, "blocks", ())
    if isinstance(blocks, tuple) and sum(m * b for m, b in zip(modules, blocks, strict=True)) > _MOST_BLOCKS:
        raise ValueError(f"{where}modules and {where}blocks make more than {_MOST_BLOCKS} blocks")


def _range_of(field: str) -> tuple[int, int]:
    if field in _COUNTS:
        return 0, _MOST_REPEATS
    return 1, MAX_CROP_SIDE if field == "input_size" else _MOST_CHANNELS


def _require_within(name: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        shown = str(number) if abs(number) < 10**18 else "a very large number"
        raise ValueError(f"{name} is {shown}, {least} to {most} can be")
