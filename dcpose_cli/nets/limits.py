"""Which numbers may describe a network: found out before one module of it is built."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Final

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


def require_buildable(config: Any, where: str = "") -> None:
    """Raise ValueError, which names the field, unless a network of this configuration can be built and run.

    config: a dataclass of nets; so is what is nested in it. where: what stands before the names of its fields.
    """
    for field in fields(config):
        value, name = getattr(config, field.name), f"{where}{field.name}"
        if is_dataclass(value):
            require_buildable(value, f"{name}.")
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
